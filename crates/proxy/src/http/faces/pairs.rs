//! Random valid messages through every pair of versions: what arrives is what was sent: method, target, fields in their order,
//! body, trailers; and the same for what is answered.

use std::sync::Arc;

use flowgate_wire::http1::{
    BodyDecoder, BodyEvent, Framing, HeadScanner, Scan, parse_response, response_framing,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::clients::hello;
use super::fixture::{Proxy, Raw, Version};
use super::origin::{Reply, play_with};
use super::script::{field, frame};
use crate::http::in_memory::listener::{Fields, Listener};

/// A message but for its start.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) fields: Fields,
    /// The pieces in which the body is sent.
    pub(crate) body: Vec<Vec<u8>>,
    /// Whether the head says how long the body is; then there are no trailers.
    pub(crate) length: bool,
    pub(crate) trailers: Fields,
}

impl Message {
    /// Its fields with the length of its body, if it tells it.
    fn all_fields(&self) -> Fields {
        let mut fields = self.fields.clone();
        if self.length {
            let length: usize = self.body.iter().map(Vec::len).sum();
            fields.insert(fields.len() / 2, (b"content-length".to_vec(), length.to_string().into_bytes()));
        }
        fields
    }

    /// In HTTP/1, behind its start line and `Host`; names get capitals.
    pub(crate) fn in_http1(&self, start: &str) -> Vec<u8> {
        let mut out = start.as_bytes().to_vec();
        for (name, value) in self.all_fields() {
            out.extend([&name.to_ascii_uppercase()[..], b": ", &value, b"\r\n"].concat());
        }
        if self.length {
            out.extend(b"\r\n");
            out.extend(self.body.concat());
            return out;
        }
        out.extend(b"Transfer-Encoding: chunked\r\n\r\n");
        for piece in self.body.iter().filter(|piece| !piece.is_empty()) {
            out.extend(format!("{:x}\r\n", piece.len()).as_bytes());
            out.extend([piece, &b"\r\n"[..]].concat());
        }
        out.extend(b"0\r\n");
        for (name, value) in &self.trailers {
            out.extend([&name.to_ascii_uppercase()[..], b": ", value, b"\r\n"].concat());
        }
        out.extend(b"\r\n");
        out
    }

    /// In HTTP/2, on a stream; heads are cut in the middle, and DATA is padded.
    pub(crate) fn in_http2(&self, stream: u32, pseudo: &[(&str, &str)]) -> Vec<u8> {
        let mut block: Vec<u8> = pseudo.iter().flat_map(|(n, v)| field(n.as_bytes(), v.as_bytes())).collect();
        block.extend(self.all_fields().iter().flat_map(|(name, value)| field(name, value)));
        let (front, back) = block.split_at(block.len() / 2);
        let nothing = self.body.is_empty() && self.trailers.is_empty();
        let mut out = [frame(1, u8::from(nothing), stream, front), frame(9, 4, stream, back)].concat();
        for (at, piece) in self.body.iter().enumerate() {
            let ends = self.trailers.is_empty() && at + 1 == self.body.len();
            out.extend(frame(0, 8 | u8::from(ends), stream, &[&[3][..], piece, &[0; 3]].concat()));
        }
        if !self.trailers.is_empty() {
            let block: Vec<u8> = self.trailers.iter().flat_map(|(name, value)| field(name, value)).collect();
            out.extend(frame(1, 5, stream, &block));
        }
        out
    }
}

fn fields(most: usize) -> impl Strategy<Value = Fields> {
    let name =
        prop_oneof!["x-[a-z0-9!#$&'*+.^_|~-]{0,6}", Just("accept".to_owned()), Just("set-cookie".to_owned())];
    let value = prop_oneof![
        3 => "[!-~]([ -~\t]{0,20}[!-~])?".prop_map(String::into_bytes),
        1 => Just(Vec::new()),
        1 => prop::collection::vec(0x80_u8..=0xff, 1..6),
    ];
    prop::collection::vec((name.prop_map(String::into_bytes), value), 0..most)
}

fn message() -> impl Strategy<Value = Message> {
    let body = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..4);
    (fields(8), body, any::<bool>(), fields(3)).prop_map(|(fields, body, length, trailers)| Message {
        fields,
        length,
        trailers: if length || body.is_empty() { Vec::new() } else { trailers },
        body,
    })
}

/// Fields that say the same in every version, but for those that frame a message or name its host.
fn without_framing(fields: &Fields) -> Fields {
    let lower = fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
    lower
        .filter(|(name, _)| !matches!(&name[..], [b':', ..] | b"host" | b"transfer-encoding"))
        .filter(|field| *field != (b"content-length".to_vec(), b"0".to_vec()))
        .collect()
}

/// What a client of HTTP/1 read: status, fields, body, trailers.
fn read_http1(bytes: &[u8]) -> (u16, Fields, Vec<u8>, Fields) {
    let mut buf = bytes::BytesMut::from(bytes);
    let Scan::Head(len) = HeadScanner::default().scan(&mut buf).unwrap() else { panic!("no head") };
    let head = parse_response(buf.split_to(len).freeze()).unwrap();
    let framing = response_framing(&head.version, head.status, &head.headers, b"GET").unwrap();
    assert_ne!(framing, Framing::UntilClose, "the connection could have stayed open");
    let mut decoder = BodyDecoder::new(framing);
    let mut body = Vec::new();
    let list = |headers: &flowgate_flow::Headers| -> Fields {
        headers.iter().map(|f| (f.name.to_vec(), f.value.to_vec())).collect()
    };
    loop {
        match decoder.decode(&mut buf, false).unwrap() {
            BodyEvent::Data(data) => body.extend_from_slice(&data),
            BodyEvent::NeedMore => panic!("half a body"),
            BodyEvent::End(trailers) => {
                assert!(buf.is_empty(), "behind the response: {buf:?}");
                let trailers = trailers.as_ref().map(list).unwrap_or_default();
                return (head.status, list(&head.headers), body, trailers);
            }
        }
    }
}

/// Carries one exchange across and compares both halves.
async fn cross(
    proxy: &Proxy,
    (client, server): (Version, Version),
    method: &str,
    path: &str,
    up: &Message,
    down: &Message,
) {
    let served = proxy.serve(client, server);
    let asking = play_with(server, served.servers, Reply::Message(Arc::new(down.clone())));
    let mut raw = Raw::new(served.client);
    let (fields, body, trailers) = if client == Version::H1 {
        let start = format!("{method} {path} HTTP/1.1\r\nHost: a\r\n");
        let (status, fields, body, trailers) = read_http1(&raw.say(&up.in_http1(&start)).await);
        assert_eq!(status, 200);
        (fields, body, trailers)
    } else {
        let pseudo = [(":method", method), (":authority", "a"), (":scheme", "http"), (":path", path)];
        let mut listener = Listener::new();
        listener.hear(&raw.say(&[hello(), up.in_http2(1, &pseudo)].concat()).await);
        let heard = &listener.streams[&1];
        assert!(heard.ended && heard.reset.is_none(), "{}", listener.summary(u32::MAX));
        assert_eq!(heard.blocks[0][0], (b":status".to_vec(), b"200".to_vec()));
        (heard.blocks[0].clone(), heard.body.clone(), heard.blocks.get(1).cloned().unwrap_or_default())
    };
    drop(raw);
    served.serving.await.unwrap();
    assert_eq!(without_framing(&fields), without_framing(&down.all_fields()));
    assert_eq!(body, down.body.concat());
    assert_eq!(without_framing(&trailers), down.trailers);
    let asked = asking.asked.lock().unwrap();
    assert_eq!(asked.len(), 1);
    let asked = &asked[0];
    assert!(asked.whole);
    assert_eq!((&asked.method[..], &asked.target[..]), (method.as_bytes(), path.as_bytes()));
    assert_eq!(without_framing(&asked.fields), without_framing(&up.all_fields()));
    assert_eq!(asked.body, up.body.concat());
    assert_eq!(without_framing(&asked.trailers), up.trailers);
    let flows = proxy.told.take_flows();
    assert!(flows.len() == 1 && flows[0].error.is_none(), "{flows:?}");
}

#[test]
fn valid_messages_arrive_as_they_were_sent() {
    use Version::{H1, H2};
    let proxy = Proxy::new();
    let method = prop_oneof![Just("GET".to_owned()), Just("POST".to_owned()), "[A-Z]{1,8}"];
    let method = method.prop_filter("these are other things", |m| !matches!(m.as_str(), "HEAD" | "CONNECT"));
    let path = "/[a-z0-9/?=&%.;~!*'():@$,-]{0,20}";
    let pair = prop::sample::select(vec![(H1, H1), (H1, H2), (H2, H1), (H2, H2)]);
    let all = (pair, method, path, message(), message());
    let mut runner = TestRunner::new(Config::with_cases(2000));
    runner
        .run(&all, |(pair, method, path, up, down)| {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_time().start_paused(true).build().unwrap();
            runtime.block_on(cross(&proxy, pair, &method, &path, &up, &down));
            Ok(())
        })
        .unwrap();
}
