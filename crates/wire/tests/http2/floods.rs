//! Each flood ends the connection with ENHANCE_YOUR_CALM one past its limit, and not before.

use flowgate_wire::http2::{Code, Role};
use flowgate_wire::limits::{
    H2_CONTINUATIONS_MAX, H2_EMPTY_DATA_MAX, H2_HEADER_BLOCK_BYTES_MAX, H2_IGNORED_FRAMES_MAX,
    H2_LARGE_HEADERS_MAX, H2_LATE_DATA_BYTES_MIN, H2_LATE_DATA_MAX, H2_MALFORMED_MAX, H2_PINGS_MAX,
    H2_RESETS_MAX, H2_SETTINGS_MAX, H2_WINDOW_UPDATES_MAX,
};

use crate::support::{End, block, frame, get, rst, settings, window_update};

/// What is sent the n-th time.
type Nth<'a> = &'a dyn Fn(u32) -> Vec<u8>;

#[test]
fn floods() {
    let large = block(&[("x", &"y".repeat(4096))]);
    // Who opens a window by nothing has the stream reset.
    let reset = |n: u32, then: Vec<u8>| {
        if n == 0 { [get(1, false), window_update(1, 0), then].concat() } else { then }
    };
    let rows: [(&str, u32, Nth<'_>); 11] = [
        ("rapid reset", H2_RESETS_MAX, &|n| [get(n * 2 + 1, false), rst(n * 2 + 1, 8)].concat()),
        ("made you reset", H2_RESETS_MAX, &|n| [get(n * 2 + 1, true), window_update(n * 2 + 1, 0)].concat()),
        ("PING", H2_PINGS_MAX, &|_| frame(6, 0, 0, &[0; 8])),
        // The first SETTINGS count too, and the acknowledgement of ours.
        ("SETTINGS", H2_SETTINGS_MAX - 2, &|_| settings(&[])),
        ("SETTINGS acknowledged", H2_SETTINGS_MAX - 2, &|_| frame(4, 1, 0, b"")),
        ("small DATA behind our reset", H2_LATE_DATA_MAX, &|n| reset(n, frame(0, 0, 1, b"x"))),
        // The reset counts too.
        ("HEADERS behind our reset", H2_RESETS_MAX - 1, &|n| reset(n, frame(1, 4, 1, &block(&[("x", "y")])))),
        ("empty DATA", H2_EMPTY_DATA_MAX, &|n| {
            let data = frame(0, 8, 1, &[1, 0]);
            if n == 0 { [get(1, false), data].concat() } else { data }
        }),
        ("WINDOW_UPDATE", H2_WINDOW_UPDATES_MAX, &|_| window_update(0, 1)),
        ("PRIORITY", H2_IGNORED_FRAMES_MAX, &|n| frame(2, 0, n * 2 + 1, &[0; 5])),
        ("header list", H2_LARGE_HEADERS_MAX, &|n| frame(1, 5, n * 2 + 1, &large)),
    ];
    for (name, max, nth) in rows {
        let mut end = End::new(Role::Server);
        for n in 0..max {
            end.give(&nth(n)).unwrap_or_else(|err| panic!("{name} {n}: {err}"));
            for event in end.events() {
                if let flowgate_wire::http2::Event::Opened(id) = event {
                    // The others keep their streams busy.
                    if end.connection.reset_of(id).is_some() || name == "header list" {
                        end.connection.release(id);
                    }
                }
            }
            end.frames();
        }
        assert_eq!(end.give(&nth(max)).map_err(|err| err.code), Err(Code::ENHANCE_YOUR_CALM), "{name}");
        assert!(end.told().last().is_some_and(|said| said.starts_with("GOAWAY")), "{name}");
    }
}

/// What a sender of large pieces has on its way behind our reset does not count, however much of it there is. It counts for the window
/// of the connection, which is opened again.
#[test]
fn large_data_behind_our_reset() {
    for (len, ends) in [(H2_LATE_DATA_BYTES_MIN, false), (H2_LATE_DATA_BYTES_MIN - 1, true)] {
        let mut end = End::new(Role::Server);
        end.give(&[get(1, false), window_update(1, 0)].concat()).unwrap();
        let data = frame(0, 0, 1, &vec![0; len]);
        let given = (0..=H2_LATE_DATA_MAX).try_for_each(|_| {
            end.frames();
            end.give(&data)
        });
        assert_eq!(
            given.map_err(|err| err.code),
            if ends { Err(Code::ENHANCE_YOUR_CALM) } else { Ok(()) },
            "{len}"
        );
    }
}

#[test]
fn malformed_requests() {
    let mut end = End::new(Role::Server);
    for n in 0..=H2_MALFORMED_MAX {
        end.give(&get(n * 2 + 1, true)).unwrap();
        let id = end.opened();
        assert_eq!(end.connection.failure(), None);
        end.connection.refuse_malformed(id);
        end.connection.release(id);
        assert_eq!(
            end.told().first().map(String::as_str),
            Some(format!("RST {} {}", n * 2 + 1, Code::PROTOCOL_ERROR).as_str())
        );
    }
    assert_eq!(end.connection.failure().map(|err| err.code), Some(Code::ENHANCE_YOUR_CALM));
}

#[test]
fn continuation_floods() {
    let mut end = End::new(Role::Server);
    end.give(&frame(1, 1, 1, b"")).unwrap();
    for _ in 0..H2_CONTINUATIONS_MAX {
        end.give(&frame(9, 0, 1, b"")).unwrap();
    }
    assert_eq!(end.give(&frame(9, 0, 1, b"")).unwrap_err().code, Code::ENHANCE_YOUR_CALM);
    let mut end = End::new(Role::Server);
    end.give(&frame(1, 1, 1, &[0; 16_384])).unwrap();
    for _ in 0..H2_HEADER_BLOCK_BYTES_MAX / 16_384 - 1 {
        end.give(&frame(9, 0, 1, &[0; 16_384])).unwrap();
    }
    assert_eq!(end.give(&frame(9, 0, 1, &[0])).unwrap_err().code, Code::ENHANCE_YOUR_CALM);
}

#[test]
fn a_block_that_unpacks_to_far_too_much() {
    // One entry of 4,000 bytes, then 100 times its index.
    let mut bytes = block(&[]);
    bytes.extend_from_slice(b"\x40\x01x\x7f\xa1\x1e");
    bytes.extend_from_slice(&[b'y'; 4000]);
    bytes.extend_from_slice(&[0xbe; 100]);
    let mut end = End::new(Role::Server);
    assert_eq!(end.give(&frame(1, 5, 1, &bytes)).unwrap_err().code, Code::ENHANCE_YOUR_CALM);
}

/// A client of gRPC that takes the first message of each stream and cancels it was taken for one that floods us.
#[test]
fn who_waits_for_an_answer_may_take_a_stream_back() {
    let mut end = End::new(Role::Server);
    for n in 0..4 * H2_RESETS_MAX {
        let stream = n * 2 + 1;
        end.give(&get(stream, true)).unwrap();
        let id = end.opened();
        end.connection.send_head(id, crate::support::head(&[(":status", "200")]), false, false).unwrap();
        end.connection.send_data(id, vec![0; 10].into());
        end.frames();
        end.give(&rst(stream, 8)).unwrap_or_else(|err| panic!("{n}: {err}"));
        end.connection.release(id);
    }
}

#[test]
fn honest_traffic_earns_its_window_updates() {
    let mut end = End::new(Role::Server);
    end.give(&get(1, true)).unwrap();
    let id = end.opened();
    end.connection.send_head(id, crate::support::head(&[(":status", "200")]), false, false).unwrap();
    for _ in 0..4 * H2_WINDOW_UPDATES_MAX {
        end.connection.send_data(id, vec![0; 1000].into());
        assert_eq!(end.frames().iter().filter(|frame| frame.kind == 0).count(), 1);
        end.give(&[window_update(0, 1000), window_update(1, 1000)].concat()).unwrap();
    }
}
