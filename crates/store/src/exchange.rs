//! Plain HTTP exchanges in few bytes and with little work: most flows of traffic are such, and each is written while others wait.
//!
//! Not here: flows of other kinds, and with anything unusual on them. These are written as in a flow file, as [`put`] says.
//!
//! Numbers are variable (LEB128: seven bits a byte, the lowest first) or 64 bits, little-endian; texts stand behind their length.

use bytes::Bytes;
use flowgate_flow::{
    Body, Flow, FlowId, FlowKind, Headers, HttpFlow, HttpVersion, MetadataValue, Priority, PseudoField,
    PseudoFields, PseudoOrder, Request, Response, Timestamp,
};
use flowgate_formats::Connections;

/// Pseudo-header fields, by the numbers that stand for them.
const PSEUDO_FIELDS: [PseudoField; 5] = [
    PseudoField::Method,
    PseudoField::Authority,
    PseudoField::Scheme,
    PseudoField::Path,
    PseudoField::Protocol,
];

/// How a body stands there.
const NOT_KEPT: u8 = 0;
const COUNTED: u8 = 1;
const INLINE: u8 = 2;

/// Puts a flow behind what is there, without its connections; says whether it is one that this can be done with. If not, a part of it
/// may stand there.
pub(crate) fn put(flow: &Flow, to: &mut Vec<u8>) -> bool {
    let (FlowKind::Http(http), FlowId::Uuid(id)) = (&flow.kind, &flow.id) else { return false };
    let is_plain = flow.backup.is_none() && flow.error.is_none() && flow.replay.is_none();
    if !is_plain || http.websocket.is_some() || http.request.trailers.is_some() {
        return false;
    }
    to.reserve(bytes_about(http));
    to.extend_from_slice(&id.to_le_bytes());
    put_time(flow.created, to);
    to.push(flow.intercepted.into());
    put_bytes(flow.marked.as_bytes(), to);
    put_bytes(flow.comment.as_bytes(), to);
    put_number(flow.metadata.len() as u64, to);
    for (key, value) in &flow.metadata {
        let MetadataValue::Text(text) = value else { return false };
        put_bytes(key.as_bytes(), to);
        put_bytes(text.as_bytes(), to);
    }
    let request = &http.request;
    put_bytes(request.version.as_bytes(), to);
    put_bytes(&request.method, to);
    put_bytes(&request.scheme, to);
    put_bytes(request.host.as_bytes(), to);
    put_number(request.port.into(), to);
    put_bytes(&request.authority, to);
    put_bytes(&request.path, to);
    put_headers(&request.headers, to);
    put_times(request.timestamp_start, request.timestamp_end, to);
    if !put_body(&request.body, to) {
        return false;
    }
    to.push(http.response.is_some().into());
    if !http.response.as_ref().is_none_or(|response| put_response(response, to)) {
        return false;
    }
    put_pseudo(&request.pseudo, to);
    true
}

/// Puts order and priority, if they are not what requests have that say nothing of them.
fn put_pseudo(pseudo: &PseudoFields, to: &mut Vec<u8>) {
    if pseudo.order == PseudoOrder::default() && pseudo.priority.is_none() {
        return;
    }
    for field in pseudo.order.iter() {
        to.push(PSEUDO_FIELDS.iter().position(|known| *known == field).unwrap_or_default() as u8);
    }
    to.push(pseudo.priority.is_some().into());
    if let Some(Priority { depends_on, exclusive, weight }) = pseudo.priority {
        put_number(depends_on.into(), to);
        to.push(exclusive.into());
        put_number(weight.into(), to);
    }
}

fn put_response(response: &Response, to: &mut Vec<u8>) -> bool {
    put_bytes(response.version.as_bytes(), to);
    put_number(response.status.into(), to);
    put_bytes(&response.reason, to);
    put_headers(&response.headers, to);
    put_times(response.timestamp_start, response.timestamp_end, to);
    response.trailers.is_none() && put_body(&response.body, to)
}

/// What an exchange takes, about: so that its bytes are allocated once.
fn bytes_about(http: &HttpFlow) -> usize {
    let headers = |headers: &Headers| -> usize {
        headers.iter().map(|field| field.name.len() + field.value.len() + 4).sum()
    };
    let body = |body: &Body| if let Body::Bytes(bytes) = body { bytes.len() } else { 0 };
    let of_request = headers(&http.request.headers) + body(&http.request.body) + http.request.path.len();
    let of_response = |response: &Response| headers(&response.headers) + body(&response.body);
    256 + of_request + http.response.as_ref().map_or(0, of_response)
}

fn put_number(mut number: u64, to: &mut Vec<u8>) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

fn put_bytes(bytes: &[u8], to: &mut Vec<u8>) {
    put_number(bytes.len() as u64, to);
    to.extend_from_slice(bytes);
}

fn put_time(time: Timestamp, to: &mut Vec<u8>) {
    to.extend_from_slice(&time.0.to_le_bytes());
}

fn put_times(start: Timestamp, end: Option<Timestamp>, to: &mut Vec<u8>) {
    put_time(start, to);
    to.push(end.is_some().into());
    if let Some(end) = end {
        put_time(end, to);
    }
}

fn put_headers(headers: &Headers, to: &mut Vec<u8>) {
    put_number(headers.len() as u64, to);
    for field in headers.iter() {
        put_bytes(field.name, to);
        put_bytes(field.value, to);
    }
}

fn put_body(body: &Body, to: &mut Vec<u8>) -> bool {
    match body {
        Body::Missing => to.push(NOT_KEPT),
        Body::Counted(bytes) => {
            to.push(COUNTED);
            put_number(*bytes, to);
        }
        Body::Bytes(bytes) => {
            to.push(INLINE);
            put_bytes(bytes, to);
        }
        Body::Stored(_) => return false,
    }
    true
}

/// Reads what [`put`] wrote, all of it; `None` if it is something else.
pub(crate) fn read(item: &Bytes, (client, server): Connections) -> Option<Flow> {
    let mut from = Cursor { item, at: 0 };
    let id = FlowId::Uuid(u128::from_le_bytes(*from.array()?));
    let created = from.time()?;
    let intercepted = from.flag()?;
    let (marked, comment) = (from.text()?, from.text()?);
    let entries = from.count()?;
    let metadata = (0..entries)
        .map(|_| Some((from.text()?, MetadataValue::Text(from.text()?))))
        .collect::<Option<Vec<_>>>()?;
    let mut request = from.request()?;
    let response = if from.flag()? { Some(from.response()?) } else { None };
    if from.at < item.len() {
        request.pseudo = from.pseudo()?;
    }
    if from.at != item.len() {
        return None;
    }
    let kind = FlowKind::Http(Box::new(HttpFlow { request, response, websocket: None }));
    Some(Flow { intercepted, marked, comment, metadata, ..Flow::new(id, client, server, kind, created) })
}

struct Cursor<'a> {
    item: &'a Bytes,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn request(&mut self) -> Option<Request> {
        let version = HttpVersion::from_bytes(self.slice()?);
        let (method, scheme) = (self.bytes()?, self.bytes()?);
        let (host, port) = (self.text()?, self.number()?.try_into().ok()?);
        let (authority, path) = (self.bytes()?, self.bytes()?);
        let headers = self.headers()?;
        let (timestamp_start, timestamp_end) = self.times()?;
        let body = self.body()?;
        let pseudo = PseudoFields::default();
        Some(Request {
            version,
            method,
            scheme,
            host,
            port,
            authority,
            path,
            pseudo,
            headers,
            body,
            trailers: None,
            timestamp_start,
            timestamp_end,
        })
    }

    fn response(&mut self) -> Option<Response> {
        let version = HttpVersion::from_bytes(self.slice()?);
        let status = self.number()?.try_into().ok()?;
        let (reason, headers) = (self.bytes()?, self.headers()?);
        let (timestamp_start, timestamp_end) = self.times()?;
        let body = self.body()?;
        Some(Response {
            version,
            status,
            reason,
            headers,
            body,
            trailers: None,
            timestamp_start,
            timestamp_end,
        })
    }

    fn pseudo(&mut self) -> Option<PseudoFields> {
        let order = self.array::<5>()?.map(|number| PSEUDO_FIELDS.get(usize::from(number)).copied());
        let came: Vec<_> = order.into_iter().collect::<Option<_>>()?;
        let priority = if self.flag()? {
            let (depends_on, exclusive) = (self.number()?.try_into().ok()?, self.flag()?);
            Some(Priority { depends_on, exclusive, weight: self.number()?.try_into().ok()? })
        } else {
            None
        };
        Some(PseudoFields { order: PseudoOrder::new(&came), priority, ..PseudoFields::default() })
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.item.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        self.take(N)?.first_chunk()
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// How many things follow, each of a byte at least.
    fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= self.item.len() - self.at).then_some(count)
    }

    fn flag(&mut self) -> Option<bool> {
        let [byte] = self.array()?;
        (*byte <= 1).then_some(*byte == 1)
    }

    fn slice(&mut self) -> Option<&'a [u8]> {
        let len = self.count()?;
        self.take(len)
    }

    fn bytes(&mut self) -> Option<Bytes> {
        let slice = self.slice()?;
        Some(self.item.slice_ref(slice))
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.slice()?.to_vec()).ok()
    }

    fn time(&mut self) -> Option<Timestamp> {
        Some(Timestamp(f64::from_le_bytes(*self.array()?)))
    }

    fn times(&mut self) -> Option<(Timestamp, Option<Timestamp>)> {
        let start = self.time()?;
        let end = if self.flag()? { Some(self.time()?) } else { None };
        Some((start, end))
    }

    fn headers(&mut self) -> Option<Headers> {
        let count = self.count()?;
        (0..count).map(|_| Some((self.slice()?, self.slice()?))).collect()
    }

    fn body(&mut self) -> Option<Body> {
        let [how] = self.array()?;
        match *how {
            NOT_KEPT => Some(Body::Missing),
            COUNTED => Some(Body::Counted(self.number()?)),
            INLINE => Some(Body::Bytes(self.bytes()?)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use flowgate_flow::{ClientConnection, ServerConnection};
    use proptest::prelude::*;

    use super::*;

    fn connections() -> Connections {
        let id = FlowId::Uuid(0);
        (ClientConnection::new(id.clone(), "regular".into()).into(), ServerConnection::new(id, None).into())
    }

    fn plain(port: u16, body: Body, fields: Vec<(Vec<u8>, Vec<u8>)>) -> Flow {
        let headers: Headers = fields.into_iter().collect();
        let response = Response {
            version: HttpVersion::Http2,
            status: 204,
            reason: Bytes::new(),
            headers: headers.clone(),
            body: body.clone(),
            trailers: None,
            timestamp_start: Timestamp(3.5),
            timestamp_end: None,
        };
        let request = Request {
            version: HttpVersion::Http11,
            method: "GET".into(),
            scheme: "https".into(),
            host: "h".into(),
            port,
            authority: Bytes::new(),
            path: "/".into(),
            pseudo: PseudoFields::default(),
            headers,
            body,
            trailers: None,
            timestamp_start: Timestamp(1.5),
            timestamp_end: Some(Timestamp(2.5)),
        };
        let http = HttpFlow { request, response: Some(response), websocket: None };
        let (client, server) = connections();
        Flow::new(FlowId::from_random(7), client, server, FlowKind::Http(Box::new(http)), Timestamp(0.5))
    }

    /// Whole flows of all kinds go through a store in `random_flows`.
    #[test]
    fn what_is_put_is_read_and_nothing_less() {
        for (port, body) in [(0, Body::Missing), (u16::MAX, Body::Counted(u64::MAX)), (80, Body::EMPTY)] {
            let mut flow =
                plain(port, body, vec![(b"a".to_vec(), vec![0xff; 300]), (Vec::new(), Vec::new())]);
            let mut bytes = vec![1];
            assert!(put(&flow, &mut bytes));
            let unsaid = bytes.len();
            if let (FlowKind::Http(http), 1..) = (&mut flow.kind, port) {
                http.request.pseudo.order = PseudoOrder::new(&[PseudoField::Protocol, PseudoField::Path]);
                let priority = Priority { depends_on: 0x7fff_ffff, exclusive: true, weight: 256 };
                http.request.pseudo.priority = (port > 80).then_some(priority);
                bytes.truncate(1);
                assert!(put(&flow, &mut bytes));
            }
            // What a record from before has no word of is as it was read then.
            let without = Bytes::copy_from_slice(&bytes[1..unsaid]);
            assert!(read(&without, connections()).is_some());
            let item = Bytes::from(bytes.split_off(1));
            let back = read(&item, connections()).unwrap();
            assert_eq!(format!("{back:?}"), format!("{flow:?}"));
            for cut in (0..item.len()).filter(|cut| *cut != without.len()) {
                assert!(read(&item.slice(..cut), connections()).is_none(), "{cut}");
            }
            let longer = [&item[..], &[0]].concat().into();
            assert!(read(&longer, connections()).is_none());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(
            at in 0..200_usize,
            with in prop::collection::vec(any::<u8>(), 1..12),
        ) {
            let flow = plain(443, Body::Bytes("body".into()), vec![(b"name".to_vec(), b"value".to_vec())]);
            let mut bytes = Vec::new();
            prop_assert!(put(&flow, &mut bytes));
            let at = at.min(bytes.len());
            bytes.splice(at..bytes.len().min(at + with.len()), with);
            if let Some(read) = read(&bytes.clone().into(), connections()) {
                let mut again = Vec::new();
                prop_assert!(put(&read, &mut again));
            }
        }
    }
}
