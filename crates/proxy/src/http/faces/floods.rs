//! What is not worth its work ends a connection with ENHANCE_YOUR_CALM, and is not begun. What is counted, and how often it may come, is
//! tested in `wire`.

use flowgate_wire::limits::{H2_LARGE_HEADERS_MAX, H2_MALFORMED_MAX, H2_RESETS_MAX};

use super::clients::hello;
use super::fixture::{Proxy, Raw, Version};
use super::script::{block, frame};

/// GOAWAY with ENHANCE_YOUR_CALM, but for the last stream.
fn is_calm(heard: &[u8]) -> bool {
    heard.ends_with(&11_u32.to_be_bytes()) && heard[heard.len() - 17..][..4] == [0, 0, 8, 7]
}

/// What a client hears that says all this in one go, and how many flows came of it.
async fn heard(bytes: Vec<u8>) -> (Vec<u8>, bool, usize) {
    let proxy = Proxy::new();
    let mut served = proxy.serve(Version::H2, Version::H2);
    let (pipe, _) = tokio::io::duplex(1);
    let mut client = Raw::new(std::mem::replace(&mut served.client, pipe));
    let heard = client.say(&[hello(), bytes].concat()).await;
    let flows = proxy.told.take_flows().len();
    drop(client);
    served.serving.await.unwrap();
    (heard, served.servers.try_recv().is_ok(), flows)
}

#[tokio::test(start_paused = true)]
async fn malformed_requests_end_a_connection_beyond_their_limit() {
    let fields = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/"), ("X", "y")];
    for (count, ends) in [(H2_MALFORMED_MAX, false), (H2_MALFORMED_MAX + 1, true)] {
        let requests = (0..count).flat_map(|n| frame(1, 5, n * 2 + 1, &block(&fields))).collect();
        let (heard, connected, flows) = heard(requests).await;
        assert_eq!(is_calm(&heard), ends, "{count}");
        let resets =
            heard.windows(13).filter(|at| at.starts_with(&[0, 0, 4, 3, 0]) && at.ends_with(&[0, 0, 0, 1]));
        assert_eq!(resets.count(), count as usize, "each is reset with PROTOCOL_ERROR");
        assert_eq!(flows, count as usize, "each is a flow");
        assert!(!connected);
    }
}

/// The streams of a flood that came at once cost no exchange.
#[tokio::test(start_paused = true)]
async fn what_comes_with_a_flood_is_not_begun() {
    for (count, ends) in [(H2_RESETS_MAX, false), (H2_RESETS_MAX + 1, true)] {
        // GET / of a, in few enough bytes that one read takes it all.
        let get = |n: u32| frame(1, 5, n * 2 + 1, b"\x82\x86\x84\x41\x01a");
        let reset = |n: u32| [get(n), frame(3, 0, n * 2 + 1, &8_u32.to_be_bytes())].concat();
        let (heard, connected, flows) = heard((0..count).flat_map(reset).collect()).await;
        assert_eq!(is_calm(&heard), ends, "{count}");
        assert_eq!(flows == 0, ends, "{flows} flows");
        assert!(!connected);
    }
}

/// Browsers with a hundred cookies, programs with tokens of many kilobytes: as large as is allowed, on every request.
#[tokio::test(start_paused = true)]
async fn large_heads_that_are_allowed_are_no_flood() {
    let (cookie, token) = ("c=".to_owned() + &"v".repeat(40), "t".repeat(7000));
    let mut fields = vec![(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")];
    fields.extend([("cookie", cookie.as_str()); 100]);
    fields.extend([("x-token", token.as_str()); 7]);
    let block = block(&fields);
    let request = |n: u32| {
        let pieces: Vec<_> = block.chunks(16_384).collect();
        let last = pieces.len() - 1;
        let piece = |(at, piece): (usize, &&[u8])| {
            let (kind, ends_stream) = if at == 0 { (1, 1) } else { (9, 0) };
            frame(kind, ends_stream | if at == last { 4 } else { 0 }, n * 2 + 1, piece)
        };
        pieces.iter().enumerate().flat_map(piece).collect::<Vec<_>>()
    };
    let (heard, connected, _) = heard((0..4 * H2_LARGE_HEADERS_MAX).flat_map(request).collect()).await;
    assert!(connected, "the first is on its way to a server");
    assert!(!is_calm(&heard));
}
