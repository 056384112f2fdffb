//! Any header block that is a message goes on in HTTP/2 as the same message, and in HTTP/1 as one message that the strict
//! reader of HTTP/1 takes for what it is.
#![no_main]

use bytes::BytesMut;
use flowgate_flow::{HttpVersion, Timestamp};
use flowgate_wire::hpack::{Decoder, Encoder};
use flowgate_wire::http1::{
    Framing, check_request_framing, encode_request as encode_http1, parse_request, request_framing,
};
use flowgate_wire::http2::semantics::{
    EndStream, ExtendedConnect, encode_request, encode_response, encode_trailers, is_websocket_connect, read_request, read_response,
    read_trailers, request_to_http1, websocket_upgrade,
};
use libfuzzer_sys::fuzz_target;

const NOW: Timestamp = Timestamp(0.0);

fuzz_target!(|input: (bool, bool, Vec<u8>)| {
    let (ends, extended, block) = input;
    let Ok(list) = Decoder::new(4096).decode(&block, 1 << 16) else { return };
    let stream = if ends { EndStream::Yes } else { EndStream::No };
    let extended = if extended { ExtendedConnect::Enabled } else { ExtendedConnect::Disabled };
    let mut out = Vec::new();
    if let Ok((request, framing)) = read_request(&list, stream, extended, NOW) {
        encode_request(&request, framing, &mut Encoder::new(), &mut out).expect("what was read may be sent");
        let again = Decoder::new(4096).decode(&out, 1 << 17).expect("our own block is good");
        let (read, read_framing) = read_request(&again, stream, extended, NOW).expect("what was sent is read");
        assert_eq!((&read.method, &read.path, &read.pseudo, read_framing), (&request.method, &request.path, &request.pseudo, framing));
        assert_eq!(read.headers, request.headers);
        if is_websocket_connect(&request) {
            let upgrade = websocket_upgrade(&request, "dGhlIHNhbXBsZSBub25jZQ==").expect("what was read may be asked for");
            let mut bytes = BytesMut::new();
            encode_http1(&upgrade.method, &upgrade.target, &HttpVersion::Http11, &upgrade.headers, &mut bytes).expect("a head");
            match parse_request(bytes.freeze()) {
                Ok(head) => {
                    assert_eq!((&head.method[..], head.headers.get_all("sec-websocket-key").count()), (&b"GET"[..], 1));
                    let framing = request_framing(&head.version, &head.headers).expect("one length");
                    assert!(matches!(framing, Framing::None | Framing::Length(0)));
                }
                Err(_) => assert!(upgrade.headers.len() > 200),
            }
        }
        if let Ok(http1) = request_to_http1(&request, framing) {
            let mut bytes = BytesMut::new();
            if request.method.as_ref() == b"CONNECT" {
                return;
            }
            check_request_framing(&HttpVersion::Http11, &http1.headers, http1.framing).expect("the body is delimited");
            encode_http1(&request.method, &http1.target, &HttpVersion::Http11, &http1.headers, &mut bytes).expect("a head");
            let Ok(head) = parse_request(bytes.freeze()) else {
                // Fields are added, and a message of HTTP/2 may have as many as one of HTTP/1.
                assert!(http1.headers.len() > 200);
                return;
            };
            assert_eq!((head.method, head.target), (request.method, http1.target));
            let read = request_framing(&head.version, &head.headers).expect("one length");
            assert!(read == http1.framing || (read, http1.framing) == (Framing::Length(0), Framing::None));
        }
    }
    out.clear();
    if let Ok((response, framing)) = read_response(&list, stream, b"GET", NOW) {
        encode_response(&response, b"GET", framing, &mut Encoder::new(), &mut out).expect("what was read may be sent");
    }
    out.clear();
    if let Ok(trailers) = read_trailers(&list, stream) {
        encode_trailers(&trailers, &mut Encoder::new(), &mut out).expect("what was read may be sent");
    }
});
