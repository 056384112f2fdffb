//! One flow as a JSON object on a line of its own. Names are sorted; what is not known is `null`.

use flowgate_session::{Flags, Row};
use serde_json::{Value, json};

pub(super) fn line(row: &Row) -> String {
    let text =
        |bytes: &Option<Vec<u8>>| bytes.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    // Several fields of one name are one list to their reader (RFC 9110 section 5.3).
    let list = |bytes: &Option<Vec<u8>>| text(bytes).map(|text| text.replace('\n', ", "));
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let replay = if row.flags.has(Flags::REPLAYED_REQUEST) {
        Value::from("request")
    } else if row.flags.has(Flags::REPLAYED_RESPONSE) {
        Value::from("response")
    } else {
        Value::Null
    };
    let object = json!({
        "client": row.source,
        "comment": some(&row.comment),
        "created": row.created.0,
        "duration": row.duration,
        "error": row.error,
        "host": row.site.as_ref().map(|(host, _)| String::from_utf8_lossy(host).into_owned()),
        "host_header": row.site.as_ref().map(|(_, said)| String::from_utf8_lossy(said).into_owned()),
        "id": row.id.to_string(),
        "kind": row.kind_name(),
        "marked": some(&row.marked),
        "method": text(&row.method),
        "number": row.number,
        "reason": some(&row.reason),
        "replay": replay,
        "request_bytes": row.request_bytes,
        "request_type": list(&row.request_type),
        "response_bytes": row.response_bytes,
        "response_type": list(&row.response_type),
        "server": row.destination,
        "sni": row.sni,
        "status": row.status,
        "url": text(&row.url),
    });
    format!("{object}\n")
}
