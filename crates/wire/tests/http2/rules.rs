//! What RFC 9113 says of each frame that must not come, as tables: what we do, and with which code.

use flowgate_flow::Priority;
use flowgate_wire::http2::{By, Code, Event, Incoming, PREFACE, Role};
use flowgate_wire::limits::{H2_BEGINNING_PRIORITIES_MAX, H2_BEGINNING_SETTINGS_MAX, H2_CLOSED_STREAMS_KEPT};

use crate::support::{End, GET, block, frame, get, head, lines, rst, settings, window_update};

/// Name, what the connection has seen, what it sees then, and what is said to that.
type Row<'a, S> = (&'a str, &'a [Vec<u8>], Vec<u8>, S);

/// `state` and then `bytes` are given to a server; `expected` is all it says to `bytes`.
fn server_says(name: &str, state: &[Vec<u8>], bytes: &[Vec<u8>], expected: &[&str]) {
    let mut end = End::new(Role::Server);
    end.give(&state.concat()).unwrap();
    end.frames();
    let failed = end.give(&bytes.concat()).is_err();
    assert_eq!(end.told(), expected, "{name}");
    assert_eq!(failed, expected.iter().any(|said| said.starts_with("GOAWAY")), "{name}");
    // Another stream works unless the connection ended.
    if !failed {
        end.give(&get(101, true)).unwrap_or_else(|err| panic!("{name}: {err}"));
        assert!(end.events().iter().any(|event| matches!(event, Event::Opened(id) if id.get() == 101)));
    }
}

#[test]
fn frames_that_end_the_connection() {
    let big = vec![0; 16_385];
    let rows: &[Row<'_, &str>] = &[
        ("4.2 too long", &[], frame(0xfa, 0, 0, &big), "0 FRAME_SIZE_ERROR"),
        ("4.3 broken block", &[], frame(1, 5, 1, &[0xff; 20]), "0 COMPRESSION_ERROR"),
        ("5.1 DATA on idle", &[], frame(0, 0, 1, b"x"), "0 PROTOCOL_ERROR"),
        ("5.1 RST on idle", &[], rst(1, 8), "0 PROTOCOL_ERROR"),
        ("5.1 WINDOW_UPDATE on idle", &[], window_update(1, 1), "0 PROTOCOL_ERROR"),
        ("5.1 CONTINUATION on idle", &[], frame(9, 4, 1, &block(GET)), "0 PROTOCOL_ERROR"),
        ("5.1.1 even number", &[], get(2, true), "0 PROTOCOL_ERROR"),
        ("5.1.1 lower number", &[get(5, true)], get(3, true), "5 PROTOCOL_ERROR"),
        ("6.1 DATA on 0", &[], frame(0, 0, 0, b"x"), "0 PROTOCOL_ERROR"),
        ("6.1 padding", &[get(1, false)], frame(0, 8, 1, b"\x02x"), "1 PROTOCOL_ERROR"),
        ("6.1 padding alone", &[get(1, false)], frame(0, 8, 1, b""), "1 PROTOCOL_ERROR"),
        ("6.2 HEADERS on 0", &[], frame(1, 5, 0, &block(GET)), "0 PROTOCOL_ERROR"),
        ("6.2 padding", &[], frame(1, 0xd, 1, b"\x05abc"), "0 PROTOCOL_ERROR"),
        ("6.2 short priority", &[], frame(1, 0x25, 1, b"abc"), "0 FRAME_SIZE_ERROR"),
        ("6.2 other frame inside", &[frame(1, 1, 1, b"")], frame(6, 0, 0, &[0; 8]), "0 PROTOCOL_ERROR"),
        ("6.2 other stream inside", &[frame(1, 1, 1, b"")], frame(9, 4, 3, b""), "0 PROTOCOL_ERROR"),
        ("6.2 HEADERS inside", &[frame(1, 1, 1, b"")], get(1, true), "0 PROTOCOL_ERROR"),
        ("5.5 unknown inside", &[frame(1, 1, 1, b"")], frame(0xfa, 0, 0, b""), "0 PROTOCOL_ERROR"),
        ("6.3 PRIORITY on 0", &[], frame(2, 0, 0, &[0, 0, 0, 3, 1]), "0 PROTOCOL_ERROR"),
        ("6.4 RST on 0", &[], rst(0, 8), "0 PROTOCOL_ERROR"),
        ("6.4 size", &[get(1, false)], frame(3, 0, 1, b"abc"), "1 FRAME_SIZE_ERROR"),
        ("6.5 on a stream", &[], frame(4, 0, 1, b""), "0 PROTOCOL_ERROR"),
        ("6.5 ACK with payload", &[], frame(4, 1, 0, &[0; 6]), "0 FRAME_SIZE_ERROR"),
        ("6.5 size", &[], frame(4, 0, 0, &[0; 5]), "0 FRAME_SIZE_ERROR"),
        ("6.5.2 push", &[], settings(&[(2, 2)]), "0 PROTOCOL_ERROR"),
        ("6.5.2 window", &[], settings(&[(4, 0x8000_0000)]), "0 FLOW_CONTROL_ERROR"),
        ("6.5.2 frame size low", &[], settings(&[(5, 16_383)]), "0 PROTOCOL_ERROR"),
        ("6.5.2 frame size high", &[], settings(&[(5, 16_777_216)]), "0 PROTOCOL_ERROR"),
        ("8441 3 value", &[], settings(&[(8, 2)]), "0 PROTOCOL_ERROR"),
        ("8441 3 withdrawn", &[settings(&[(8, 1)])], settings(&[(8, 0)]), "0 PROTOCOL_ERROR"),
        ("6.6 PUSH_PROMISE", &[get(1, true)], frame(5, 4, 1, &[0, 0, 0, 2]), "1 PROTOCOL_ERROR"),
        ("6.7 PING on a stream", &[], frame(6, 0, 1, &[0; 8]), "0 PROTOCOL_ERROR"),
        ("6.7 size", &[], frame(6, 0, 0, &[0; 7]), "0 FRAME_SIZE_ERROR"),
        ("6.8 on a stream", &[], frame(7, 0, 1, &[0; 8]), "0 PROTOCOL_ERROR"),
        ("6.8 size", &[], frame(7, 0, 0, &[0; 7]), "0 FRAME_SIZE_ERROR"),
        (
            "6.8 higher",
            &[frame(7, 0, 0, &[0; 8])],
            frame(7, 0, 0, &[0, 0, 0, 2, 0, 0, 0, 0]),
            "0 PROTOCOL_ERROR",
        ),
        ("6.9 nothing", &[], window_update(0, 0), "0 PROTOCOL_ERROR"),
        ("6.9 size", &[], frame(8, 0, 0, b"abc"), "0 FRAME_SIZE_ERROR"),
        ("6.9.1 overflow", &[], window_update(0, 0x7fff_ffff), "0 FLOW_CONTROL_ERROR"),
        (
            "6.9.2 overflow by settings",
            &[get(1, false), window_update(1, 0x7fff_0000)],
            settings(&[(4, 0x7fff_ffff)]),
            "1 FLOW_CONTROL_ERROR",
        ),
    ];
    for (name, state, bytes, expected) in rows {
        server_says(name, state, std::slice::from_ref(bytes), &[&format!("GOAWAY {expected}")]);
    }
}

#[test]
fn frames_that_end_one_stream() {
    let trailer = frame(1, 4, 1, &block(&[("x", "y")]));
    let on_itself = frame(1, 0x25, 1, &[&[0, 0, 0, 1, 0][..], &block(GET)].concat());
    let rows: &[Row<'_, &str>] = &[
        ("5.1 DATA behind the end", &[get(1, true)], frame(0, 0, 1, b"x"), "STREAM_CLOSED"),
        ("5.1 HEADERS behind the end", &[get(1, true)], get(1, true), "STREAM_CLOSED"),
        ("8.1 trailers without end", &[get(1, false)], trailer, "PROTOCOL_ERROR"),
        ("5.3.1 on itself", &[], on_itself, "PROTOCOL_ERROR"),
        ("5.3.1 PRIORITY on itself", &[get(1, true)], frame(2, 0, 1, &[0, 0, 0, 1, 0]), "PROTOCOL_ERROR"),
        ("6.3 size", &[get(1, true)], frame(2, 0, 1, &[0; 4]), "FRAME_SIZE_ERROR"),
        ("6.9 nothing", &[get(1, true)], window_update(1, 0), "PROTOCOL_ERROR"),
        ("6.9.1 overflow", &[get(1, true)], window_update(1, 0x7fff_ffff), "FLOW_CONTROL_ERROR"),
        ("5.1 DATA behind RST", &[get(1, false), rst(1, 8)], frame(0, 0, 1, b"x"), "STREAM_CLOSED"),
        ("5.1 HEADERS behind RST", &[get(1, false), rst(1, 8)], get(1, true), "STREAM_CLOSED"),
    ];
    for (name, state, bytes, expected) in rows {
        server_says(name, state, std::slice::from_ref(bytes), &[&format!("RST 1 {expected}")]);
    }
}

/// Section 5.4.2: one RST_STREAM for a stream. Each frame behind the peer's own once drew another one, which a fuzzer of whole
/// connections found; they are still counted, as whoever sends them makes work.
#[test]
fn frames_behind_a_reset_are_answered_once() {
    for late in [frame(0, 0, 1, b"x"), get(1, true)] {
        let mut end = End::new(Role::Server);
        end.give(&[get(1, false), rst(1, 8)].concat()).unwrap();
        end.frames();
        end.give(&late.repeat(20)).unwrap();
        assert_eq!(end.told(), ["RST 1 STREAM_CLOSED"], "while somebody looks at the stream");
        end.events();
        end.give(&late.repeat(20)).unwrap();
        assert!(end.told().is_empty(), "and later");
        assert!(end.give(&late.repeat(2000)).is_err(), "a flood");
    }
    let mut end = End::new(Role::Server);
    end.give(&[get(1, true), frame(2, 0, 1, &[0; 4]).repeat(3)].concat()).unwrap();
    assert_eq!(end.told(), ["RST 1 FRAME_SIZE_ERROR"], "PRIORITY that is too short, again and again");
}

/// Be their heads in one piece or in two: whoever is given a stream begins to work on it.
#[test]
fn streams_that_depend_on_themselves_are_not_opened() {
    let head = [&[0, 0, 0, 1, 0][..], &block(GET)].concat();
    for bytes in
        [frame(1, 0x25, 1, &head), [frame(1, 0x21, 1, &head[..8]), frame(9, 4, 1, &head[8..])].concat()]
    {
        let mut end = End::new(Role::Server);
        end.give(&bytes).unwrap();
        assert_eq!(end.told(), ["RST 1 PROTOCOL_ERROR"]);
        assert_eq!(end.events(), []);
    }
}

#[test]
fn frames_that_are_all_right() {
    let priority = frame(1, 0x25, 1, &[&[0x80, 0, 0, 3, 0][..], &block(GET)].concat());
    let padded = frame(1, 0x0d, 1, &[&[2][..], &block(GET), &[0, 0]].concat());
    let big = frame(0, 0, 1, &[0; 16_384]);
    let rows: &[Row<'_, &[&str]>] = &[
        ("5.1 PRIORITY on idle", &[], frame(2, 0, 1, &[0, 0, 0, 3, 1]), &[]),
        ("5.1 RST behind the end", &[get(1, true)], rst(1, 8), &[]),
        ("5.1 WINDOW_UPDATE behind the end", &[get(1, true)], window_update(1, 5), &[]),
        ("5.1 WINDOW_UPDATE behind RST", &[get(1, false), rst(1, 8)], window_update(1, 5), &[]),
        ("5.5 unknown", &[], frame(0xfa, 0xff, 7, b"abc"), &[]),
        ("6.1 longest", &[get(1, false)], big, &[]),
        ("6.2 priority", &[], priority, &[]),
        ("6.2 padded", &[], padded, &[]),
        ("6.5 unknown", &[], settings(&[(0xfafa, 7)]), &["SETTINGS ACK"]),
        ("6.7 PING", &[], frame(6, 0, 0, b"abcdefgh"), &["PONG"]),
        ("6.7 PONG unasked", &[], frame(6, 1, 0, b"abcdefgh"), &[]),
        ("6.8 GOAWAY", &[], frame(7, 0, 0, &[0; 12]), &[]),
    ];
    for (name, state, bytes, expected) in rows {
        server_says(name, state, std::slice::from_ref(bytes), expected);
    }
}

#[test]
fn frames_behind_a_clean_end() {
    for (bytes, expected) in [
        (get(1, true), Some("GOAWAY 1 STREAM_CLOSED")),
        (frame(0, 1, 1, b"x"), Some("GOAWAY 1 STREAM_CLOSED")),
        (window_update(1, 1), None),
        (rst(1, 8), None),
        (frame(2, 0, 1, &[0, 0, 0, 3, 1]), None),
    ] {
        let mut end = End::new(Role::Server);
        end.give(&get(1, true)).unwrap();
        let id = end.opened();
        end.connection.take(id).unwrap();
        end.connection.send_head(id, head(&[(":status", "204")]), false, true).unwrap();
        end.connection.release(id);
        assert_eq!(end.told(), ["HEADERS 1 end"]);
        assert_eq!(end.connection.streams(), 0);
        assert_eq!(end.give(&bytes).is_err(), expected.is_some());
        assert_eq!(end.told(), Vec::from_iter(expected));
    }
}

#[test]
fn so_many_streams_that_are_over_are_remembered() {
    for (others, code) in
        [(H2_CLOSED_STREAMS_KEPT - 1, "STREAM_CLOSED"), (H2_CLOSED_STREAMS_KEPT, "PROTOCOL_ERROR")]
    {
        let mut end = End::new(Role::Server);
        for n in 0..=others {
            end.give(&get(u32::try_from(n).unwrap() * 2 + 1, true)).unwrap();
            let id = end.opened();
            end.connection.send_head(id, head(&[(":status", "204")]), false, true).unwrap();
            end.connection.release(id);
            end.frames();
        }
        assert_eq!(end.give(&get(1, true)).unwrap_err().code.to_string(), code);
    }
}

#[test]
fn what_comes_behind_our_reset_is_ignored() {
    let mut end = End::new(Role::Server);
    end.give(&get(1, false)).unwrap();
    let id = end.opened();
    end.connection.reset(id, Code::INTERNAL_ERROR, "test");
    end.connection.release(id);
    assert_eq!(end.told(), ["RST 1 INTERNAL_ERROR"]);
    // Its table entries still count, and so does its window.
    for _ in 0..20 {
        end.give(&frame(0, 0, 1, &[0; 16_384])).unwrap();
    }
    end.give(&frame(1, 5, 1, &block(&[("x", "y")]))).unwrap();
    assert_eq!(end.told(), ["WINDOW 0 114688", "WINDOW 0 114688"]);
}

#[test]
fn a_connection_begins_with_preface_and_settings() {
    for (role, bytes, expected) in [
        (Role::Server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rx".to_vec(), false),
        (Role::Server, b"GET / HTTP/1.1\r\n".to_vec(), false),
        (Role::Server, [&PREFACE[..], &frame(6, 0, 0, &[0; 8])].concat(), false),
        (Role::Server, [&PREFACE[..], &frame(4, 1, 0, &[])].concat(), false),
        (Role::Server, [&PREFACE[..], &settings(&[])].concat(), true),
        (Role::Client, settings(&[]), true),
        (Role::Client, b"HTTP/1.1 400 Bad Request\r\n".to_vec(), false),
    ] {
        let mut end = End::fresh(role);
        assert_eq!(end.told().first().map(String::as_str), Some("SETTINGS"));
        assert_eq!(end.give(&bytes).is_ok(), expected, "{}", bytes.escape_ascii());
        assert_eq!(end.connection.has_begun(), expected);
    }
}

#[test]
fn settings_are_kept_in_their_order() {
    let entries = [(0x3, 7), (0xfafa, 1), (0x1, 100), (0x8, 1), (0x6, 5000)];
    let end = End::with(Role::Client, &entries);
    let peer = end.connection.peer();
    assert_eq!(end.connection.beginning().settings, entries);
    assert_eq!((peer.streams_max, peer.header_table_bytes, peer.connect_protocol), (7, 100, true));
    assert_eq!(peer.header_list_bytes_max, Some(5000));
    assert!(end.connection.is_acknowledged());
}

/// By what stands before the first message clients are told apart.
#[test]
fn what_a_peer_says_first_is_kept() {
    let window = |bytes: u32| frame(8, 0, 0, &bytes.to_be_bytes());
    let priority = |stream: u32, weight: u8| frame(2, 0, stream, &[0x80, 0, 0, 0, weight]);
    let mut end = End::with(Role::Server, &[(4, 131_072), (1, 65_536)]);
    for bytes in [window(5), priority(3, 200), window(7), priority(5, 0), settings(&[(4, 9)])] {
        end.give(&bytes).unwrap();
    }
    end.give(&frame(1, 0x25, 7, &[&[0, 0, 0, 3, 21][..], &block(GET)].concat())).unwrap();
    let opened = end.events().into_iter().find_map(|event| match event {
        Event::Opened(id) => Some(id),
        _ => None,
    });
    let head = end.connection.take(opened.unwrap());
    let Ok(Some(Incoming::Head { priority: Some(of_head), .. })) = head else { panic!() };
    assert_eq!(of_head, Priority { depends_on: 3, exclusive: false, weight: 22 });
    let said = "4:131072;1:65536|12|3:1:0:201,5:1:0:1";
    assert_eq!(end.connection.beginning().to_string(), said);
    // What comes later says more of what is going on than of the peer.
    for bytes in [window(5), priority(9, 1), settings(&[(5, 20_000)])] {
        end.give(&bytes).unwrap();
    }
    assert_eq!(end.connection.beginning().to_string(), said);
}

#[test]
fn no_more_is_kept_of_a_beginning_than_the_limits_say() {
    for beyond in [0, 1] {
        let entries: Vec<_> =
            (0..H2_BEGINNING_SETTINGS_MAX + beyond).map(|id| (0x4000 + id as u16, 1)).collect();
        let mut end = End::with(Role::Server, &entries);
        for _ in 0..H2_BEGINNING_PRIORITIES_MAX + beyond {
            end.give(&frame(2, 0, 3, &[0; 5])).unwrap();
        }
        let beginning = end.connection.beginning();
        let kept = (beginning.settings.len(), beginning.priorities.len());
        assert_eq!(kept, (H2_BEGINNING_SETTINGS_MAX, H2_BEGINNING_PRIORITIES_MAX));
    }
}

#[test]
fn servers_must_not_push_nor_open_streams() {
    for bytes in [
        settings(&[(2, 1)]),
        frame(5, 4, 1, &[0, 0, 0, 2]),
        frame(1, 5, 2, &block(&[(":status", "200")])),
        frame(1, 5, 3, &block(&[(":status", "200")])),
        frame(0, 1, 2, b"x"),
    ] {
        let mut end = End::new(Role::Client);
        end.connection.open(head(GET), true, ()).unwrap();
        end.frames();
        assert_eq!(end.give(&bytes).unwrap_err().code, Code::PROTOCOL_ERROR);
    }
}

#[test]
fn heads_interim_heads_bodies_and_trailers_come_in_order() {
    let mut end = End::new(Role::Client);
    let id = end.connection.open(head(GET), true, ()).unwrap();
    end.give(&frame(1, 4, 1, &block(&[(":status", "103"), ("link", "x")]))).unwrap();
    end.give(&frame(1, 4, 1, &block(&[(":status", "200"), ("b", "1"), ("a", "2"), ("b", "3")]))).unwrap();
    end.give(&frame(0, 0, 1, b"bo")).unwrap();
    end.give(&frame(0, 8, 1, b"\x03dy...")).unwrap();
    end.give(&frame(1, 5, 1, &block(&[("t", "1")]))).unwrap();
    let mut got = Vec::new();
    while let Some(incoming) = end.connection.take(id).unwrap() {
        match incoming {
            Incoming::Head { fields, ends, .. } => got.push(format!("{} {ends}", lines(&fields).join(", "))),
            Incoming::Data(data) => got.push(String::from_utf8(data.to_vec()).unwrap()),
            Incoming::End(trailers) => got.push(lines(&trailers.unwrap()).join(", ")),
        }
    }
    assert_eq!(got, [":status: 103, link: x false", ":status: 200, b: 1, a: 2, b: 3 false", "body", "t: 1"]);
    end.connection.release(id);
    assert_eq!(end.connection.streams(), 0);
}

#[test]
fn at_most_sixteen_interim_heads() {
    let mut end = End::new(Role::Client);
    let id = end.connection.open(head(GET), true, ()).unwrap();
    let interim = frame(1, 4, 1, &block(&[(":status", "103")]));
    end.frames();
    end.give(&interim.repeat(16)).unwrap();
    assert_eq!(end.told(), [""; 0]);
    end.give(&interim).unwrap();
    assert_eq!(end.told(), ["RST 1 ENHANCE_YOUR_CALM"]);
    assert_eq!(end.connection.reset_of(id).map(|reset| reset.by), Some(By::Us));
    // An interim head is none that ends.
    let mut end = End::new(Role::Client);
    end.connection.open(head(GET), true, ()).unwrap();
    end.frames();
    end.give(&frame(1, 5, 1, &block(&[(":status", "100")]))).unwrap();
    assert_eq!(end.told(), ["RST 1 PROTOCOL_ERROR"]);
    // Nor is DATA a head.
    let mut end = End::new(Role::Client);
    end.connection.open(head(GET), true, ()).unwrap();
    end.frames();
    end.give(&frame(0, 1, 1, b"x")).unwrap();
    assert_eq!(end.told(), ["RST 1 PROTOCOL_ERROR"]);
}

#[test]
fn resets_cross_with_their_codes_behind_what_came_before() {
    let mut end = End::new(Role::Client);
    let id = end.connection.open(head(GET), true, ()).unwrap();
    end.give(&frame(1, 4, 1, &block(&[(":status", "200")]))).unwrap();
    end.give(&frame(0, 0, 1, b"part")).unwrap();
    end.give(&rst(1, 0xfeed)).unwrap();
    assert!(matches!(end.connection.take(id), Ok(Some(Incoming::Head { .. }))));
    assert!(matches!(end.connection.take(id), Ok(Some(Incoming::Data(_)))));
    let reset = end.connection.take(id).unwrap_err();
    assert_eq!((reset.code, reset.by, reset.was_unprocessed()), (Code(0xfeed), By::Peer, false));
    assert_eq!(reset.to_string(), "stream was reset with error code 0xfeed");
}

#[test]
fn a_response_may_end_before_its_request() {
    let mut end = End::new(Role::Server);
    end.give(&get(1, false)).unwrap();
    let id = end.opened();
    end.connection.send_head(id, head(&[(":status", "413")]), false, false).unwrap();
    end.connection.send_data(id, "no"[..].into());
    end.connection.send_end(id, None);
    end.connection.release(id);
    assert_eq!(end.told(), ["HEADERS 1", "DATA 1 2 end", "RST 1 NO_ERROR"]);
    // And one that is whole is taken although its server then resets the stream (section 8.1).
    let mut end = End::new(Role::Client);
    let id = end.connection.open(head(GET), false, ()).unwrap();
    end.give(&[frame(1, 5, 1, &block(&[(":status", "413")])), rst(1, 0)].concat()).unwrap();
    assert!(matches!(end.connection.take(id), Ok(Some(Incoming::Head { ends: true, .. }))));
    assert!(matches!(end.connection.take(id), Ok(None)));
}

/// The end of a request that was queued when its response was whole already used to be dropped with the stream, which looked to the
/// server as if the client had given up.
#[test]
fn the_end_of_a_request_goes_out_behind_its_response() {
    let mut end = End::new(Role::Client);
    let id = end.connection.open(head(GET), false, ()).unwrap();
    end.frames();
    end.give(&frame(1, 5, 1, &block(&[(":status", "200")]))).unwrap();
    assert!(matches!(end.connection.take(id), Ok(Some(Incoming::Head { ends: true, .. }))));
    end.connection.send_data(id, "rest"[..].into());
    end.connection.send_end(id, None);
    end.connection.release(id);
    assert_eq!(end.told(), ["DATA 1 4 end"]);
    assert_eq!(end.connection.streams(), 0);
}

#[test]
fn streams_are_bounded_both_ways() {
    let mut end = End::new(Role::Server);
    for n in 0..4 {
        end.give(&get(1 + 2 * n, true)).unwrap();
    }
    assert_eq!(end.told(), [""; 0]);
    end.give(&get(9, true)).unwrap();
    assert_eq!(end.told(), ["RST 9 REFUSED_STREAM"]);
    // One that is over makes room.
    let id = end.opened();
    end.connection.send_head(id, head(&[(":status", "200")]), false, true).unwrap();
    end.give(&get(11, true)).unwrap();
    assert_eq!(end.told(), ["HEADERS 1 end"]);
    let mut end = End::with(Role::Client, &[(3, 1)]);
    end.connection.open(head(GET), true, ()).unwrap();
    assert!(end.connection.open(head(GET), true, ()).is_err());
    end.give(&frame(1, 5, 1, &block(&[(":status", "200")]))).unwrap();
    assert!(end.events().contains(&Event::Capacity));
    end.connection.open(head(GET), true, ()).unwrap();
}

#[test]
fn streams_that_are_over_and_not_released_are_bounded_too() {
    let mut end = End::new(Role::Server);
    for n in 0..8 {
        end.give(&[get(1 + 2 * n, true), rst(1 + 2 * n, 8)].concat()).unwrap();
    }
    assert_eq!((end.told().len(), end.connection.streams()), (0, 8));
    end.give(&get(17, true)).unwrap();
    assert_eq!(end.told(), ["RST 17 REFUSED_STREAM"]);
}

#[test]
fn long_heads_are_continued_both_ways() {
    let long = "x".repeat(3000);
    let list = [(":status", "200"), ("a", long.as_str())];
    let whole = block(&list);
    let mut bytes = frame(1, 1, 1, &whole[..7]);
    bytes.extend(whole[7..].chunks(100).flat_map(|part| frame(9, 0, 1, part)));
    bytes.extend(frame(9, 4, 1, b""));
    let mut end = End::new(Role::Client);
    let id = end.connection.open(head(GET), true, ()).unwrap();
    end.give(&bytes).unwrap();
    let Ok(Some(Incoming::Head { fields, ends: true, .. })) = end.connection.take(id) else { panic!() };
    assert_eq!(lines(&fields)[1].len(), 3003);
    // 16 KiB of a text that does not get shorter.
    let long = "\u{7f}".repeat(40_000);
    let mut end = End::new(Role::Client);
    end.connection.open(head(&[(":method", &long)]), true, ()).unwrap();
    assert_eq!(end.told(), ["HEADERS 1 end", "CONTINUATION 1", "CONTINUATION 1"]);
}
