//! `flowgate show`: all there is of one flow.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write, stdout};

use flowgate_contentview::escape;
use flowgate_dump::{Dumper, Style, human};
use flowgate_flow::{Connection, Flow, FlowKind, Priority};
use flowgate_options::Values;
use flowgate_session::{FlowSource, reason};

use super::{ReadingError, one_flow};

pub(super) fn show(
    source: &FlowSource,
    id: &str,
    values: &Values,
    out: &mut impl Write,
) -> Result<bool, ReadingError> {
    let flow = one_flow(source, id)?.flow()?;
    let variable = |name| std::env::var_os(name);
    let style =
        Style::detect(stdout().is_terminal(), variable("NO_COLOR").as_deref(), variable("TERM").as_deref());
    let mut text = facts(&flow);
    text.push('\n');
    text.push_str(&messages(&flow, values, style));
    out.write_all(text.as_bytes())?;
    Ok(true)
}

/// The messages of a flow, whole within the bounds of content views.
pub(super) fn messages(flow: &Flow, values: &Values, style: Style) -> String {
    let dumper = Dumper { flow_detail: 4, showhost: values.showhost, style, ..Dumper::default() };
    let mut text = String::new();
    dumper.saved_flow(flow, &mut text);
    if text.is_empty() {
        // Neither answered nor failed: the request is there.
        dumper.flow(flow, &mut text);
    }
    text
}

/// What is known besides, a line each.
fn facts(flow: &Flow) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "{name:8} ");
            escape::push_line(&mut text, value);
            text.push('\n');
        }
    };
    line("flow", &flow.id.to_string());
    let client = &flow.client.connection;
    let peer = client.peername.map_or_else(String::new, human::format_socket);
    line("client", &[peer, format!("({})", flow.client.mode), tls(client)].join(" "));
    if let Some(fingerprints) = &flow.client.fingerprints {
        line("", &format!("JA4 {}, JA3 {}", fingerprints.ja4, fingerprints.ja3));
    }
    if let Some(http2) = &client.http2 {
        let order = match &flow.kind {
            FlowKind::Http(http) => format!("|{}", http.request.pseudo.order.letters()),
            _ => String::new(),
        };
        line("", &format!("HTTP/2 {http2}{order}"));
    }
    if let FlowKind::Http(http) = &flow.kind
        && let Some(Priority { depends_on, exclusive, weight }) = http.request.pseudo.priority
    {
        let exclusive = if exclusive { ", exclusive" } else { "" };
        line("", &format!("priority: weight {weight}, depends on stream {depends_on}{exclusive}"));
    }
    let server = &flow.server.connection;
    if let Some(address) = &flow.server.address {
        let peer =
            server.peername.map_or_else(String::new, |peer| format!("({})", human::format_socket(peer)));
        line("server", [human::format_address(Some(address)), peer, tls(server)].join(" ").trim_end());
    }
    if let Some(http2) = &server.http2 {
        line("", &format!("HTTP/2 {http2}"));
    }
    if let Some(via) = &flow.server.via {
        line("via", &format!("{} {}", via.scheme, human::format_address(Some(&via.address))));
    }
    line("reason", reason(flow));
    line("mark", &flow.marked);
    line("comment", &flow.comment);
    if flow.backup.is_some() {
        line("edited", "yes; the state before is kept");
    }
    if let FlowKind::Http(http) = &flow.kind
        && let (Some(end), start) =
            (http.response.as_ref().and_then(|r| r.timestamp_end), http.request.timestamp_start)
    {
        line("took", &format!("{:.0} ms", end.seconds_since(start) * 1000.0));
    }
    text
}

/// `TLSv1.3 TLS_AES_128_GCM_SHA256 h2 example.com`, as far as there is any.
fn tls(connection: &Connection) -> String {
    let alpn = connection.alpn.as_ref().map(|alpn| String::from_utf8_lossy(alpn).into_owned());
    let parts = [
        connection.tls_version.clone().unwrap_or_default(),
        connection.cipher.clone().unwrap_or_default(),
        alpn.unwrap_or_default(),
        connection.sni.clone().unwrap_or_default(),
    ];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use flowgate_flow::{
        Body, ClientConnection, FlowId, Headers, HttpFlow, HttpVersion, PseudoField, PseudoFields,
        PseudoOrder, Request, ServerConnection, Timestamp,
    };

    use super::*;

    /// What the clients of a kind have in common stands there as fingerprints are written elsewhere.
    #[test]
    fn what_both_sides_of_http2_say_of_themselves_is_shown() {
        let order = PseudoOrder::new(&[PseudoField::Method, PseudoField::Path]);
        let priority = Some(Priority { depends_on: 0, exclusive: true, weight: 256 });
        let request = Request {
            version: HttpVersion::Http2,
            method: "GET".into(),
            scheme: "https".into(),
            host: "a".into(),
            port: 443,
            authority: "a".into(),
            path: "/".into(),
            pseudo: PseudoFields { order, priority, ..PseudoFields::default() },
            headers: Headers::new(),
            body: Body::EMPTY,
            trailers: None,
            timestamp_start: Timestamp(0.0),
            timestamp_end: None,
        };
        let mut client = ClientConnection::new(FlowId::from_random(1), "regular".to_owned());
        client.connection.http2 = "1:65536;2:0|15663105|0".parse().ok().map(Box::new);
        let mut server = ServerConnection::new(FlowId::from_random(2), None);
        server.connection.http2 = "3:128|0|3:0:0:201".parse().ok().map(Box::new);
        let http = HttpFlow { request, response: None, websocket: None };
        let kind = FlowKind::Http(Box::new(http));
        let flow = Flow::new(FlowId::from_random(3), client.into(), server.into(), kind, Timestamp(0.0));
        let facts = facts(&flow);
        let said: Vec<_> = facts.lines().filter_map(|line| line.strip_prefix("         ")).collect();
        let expected = [
            "HTTP/2 1:65536;2:0|15663105|0|m,p,a,s",
            "priority: weight 256, depends on stream 0, exclusive",
            "HTTP/2 3:128|0|3:0:0:201",
        ];
        assert_eq!(said, expected);
    }
}
