//! Flow control in both directions, and whose turn it is.

use flowgate_wire::http2::{Event, Incoming, Role, StreamId};
use flowgate_wire::limits::H2_STREAM_QUEUE_BYTES;

use crate::support::{End, GET, Sent, frame, get, head, parse, settings, window_update};

/// A server with streams 1, 3, ... that have sent their heads.
fn answering(streams: u32, entries: &[(u16, u32)]) -> (End, Vec<StreamId>) {
    let mut end = End::with(Role::Server, entries);
    for n in 0..streams {
        end.give(&get(n * 2 + 1, true)).unwrap();
    }
    let ids: Vec<StreamId> = end
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Opened(id) => Some(id),
            _ => None,
        })
        .collect();
    for id in &ids {
        end.connection.send_head(*id, head(&[(":status", "200")]), false, false).unwrap();
    }
    end.frames();
    (end, ids)
}

#[test]
fn no_more_is_sent_than_the_windows_allow() {
    let (mut end, ids) = answering(1, &[(4, 10)]);
    end.connection.send_data(ids[0], "0123456789abcdef"[..].into());
    end.connection.send_end(ids[0], None);
    assert_eq!(end.told(), ["DATA 1 10"]);
    end.give(&window_update(1, 3)).unwrap();
    assert_eq!(end.told(), ["DATA 1 3"]);
    // Smaller initial windows make those that are open smaller, even less than nothing.
    end.give(&settings(&[(4, 5)])).unwrap();
    end.give(&window_update(1, 5)).unwrap();
    assert_eq!(end.told(), ["SETTINGS ACK"]);
    end.give(&window_update(1, 1)).unwrap();
    assert_eq!(end.told(), ["DATA 1 1"]);
    end.give(&settings(&[(4, 100)])).unwrap();
    assert_eq!(end.told(), ["SETTINGS ACK", "DATA 1 2 end"]);
}

#[test]
fn an_end_needs_no_window() {
    let (mut end, ids) = answering(2, &[(4, 0)]);
    end.connection.send_end(ids[0], None);
    end.connection.send_end(ids[1], Some([("t", "1")].into_iter().collect()));
    assert_eq!(end.told(), ["DATA 1 0 end", "HEADERS 3 end"]);
}

#[test]
fn streams_take_turns() {
    let (mut end, ids) = answering(3, &[]);
    for id in &ids {
        end.connection.send_data(*id, vec![0; 20_000].into());
        end.connection.send_end(*id, Some([("t", "1")].into_iter().collect()));
    }
    // The window of the connection is 65,535.
    let first = ["DATA 1 16384", "DATA 3 16384", "DATA 5 16384", "DATA 1 3616", "DATA 3 3616", "DATA 5 3616"];
    assert_eq!(end.told()[..6], first);
    let (mut end, ids) = answering(2, &[]);
    end.connection.send_data(ids[0], vec![0; 65_000].into());
    end.connection.send_data(ids[1], vec![0; 1000].into());
    let mut sent = Sent { max: Some(1), ..Sent::default() };
    end.connection.transmit(&mut sent);
    assert_eq!(parse(&sent.bytes).len(), 1, "no more than the sink takes");
    assert_eq!(end.told()[0], "DATA 3 1000");
}

#[test]
fn a_full_connection_window_stops_all_and_ends_pass() {
    let (mut end, ids) = answering(2, &[(4, 100_000)]);
    end.connection.send_data(ids[0], vec![0; 65_535].into());
    end.connection.send_data(ids[1], vec![0; 10].into());
    let sent: usize = end.frames().iter().map(|frame| frame.payload.len()).sum();
    assert_eq!(sent, 65_535);
    assert_eq!(end.told(), [""; 0]);
    end.give(&window_update(0, 20)).unwrap();
    assert!(!end.told().is_empty());
}

#[test]
fn a_queue_that_is_full_says_when_it_has_room() {
    let (mut end, ids) = answering(1, &[(4, 10)]);
    assert_eq!(end.connection.has_room(ids[0]), Ok(true));
    end.connection.send_data(ids[0], vec![0; H2_STREAM_QUEUE_BYTES - 1].into());
    assert_eq!(end.connection.has_room(ids[0]), Ok(true));
    end.connection.send_data(ids[0], vec![0; 1].into());
    assert_eq!(end.connection.has_room(ids[0]), Ok(false));
    assert!(!end.connection.is_going_out(ids[0]));
    end.events();
    end.frames();
    assert_eq!(end.events(), [Event::Changed(ids[0])], "10 bytes have gone");
    assert_eq!(end.connection.has_room(ids[0]), Ok(true));
    end.give(&window_update(1, 60_000)).unwrap();
    end.give(&window_update(1, 60_000)).unwrap();
    end.give(&window_update(0, 1)).unwrap();
    end.frames();
    assert!(end.connection.is_going_out(ids[0]));
}

#[test]
fn windows_open_by_what_was_consumed_only() {
    let mut end = End::new(Role::Server);
    end.give(&get(1, false)).unwrap();
    let id = end.opened();
    end.connection.take(id).unwrap();
    for _ in 0..6 {
        end.give(&frame(0, 0, 1, &[0; 16_384])).unwrap();
    }
    assert_eq!(end.told(), [""; 0]);
    let mut taken = 0;
    while let Some(Incoming::Data(data)) = end.connection.take(id).unwrap() {
        end.connection.consumed(id, data.len());
        taken += data.len();
    }
    assert_eq!(taken, 6 * 16_384);
    assert_eq!(end.told(), ["WINDOW 1 65536"]);
    // One past the stream's window ends the stream, and its neighbours go on.
    end.give(&get(3, false)).unwrap();
    for _ in 0..4 {
        end.give(&frame(0, 0, 1, &[0; 16_384])).unwrap();
    }
    end.give(&frame(0, 0, 1, &[0; 1697])).unwrap();
    assert_eq!(end.told(), ["WINDOW 0 100001", "RST 1 FLOW_CONTROL_ERROR"]);
    end.give(&frame(0, 1, 3, b"x")).unwrap();
}

#[test]
fn one_past_the_connections_window_ends_it() {
    let mut end = End::new(Role::Server);
    end.give(&[get(1, false), get(3, false), get(5, false)].concat()).unwrap();
    for stream in [1, 3] {
        end.give(&frame(0, 0, stream, &[0; 16_000]).repeat(6)).unwrap();
    }
    end.give(&frame(0, 0, 5, &[0; 8000])).unwrap();
    assert_eq!(end.give(&frame(0, 0, 5, &[0])).unwrap_err().code.to_string(), "FLOW_CONTROL_ERROR");
}

#[test]
fn padding_and_dropped_data_are_given_back() {
    let mut end = End::new(Role::Server);
    end.give(&get(1, false)).unwrap();
    let padded = frame(0, 8, 1, &[&[255][..], &[0; 255]].concat());
    for _ in 0..391 {
        end.give(&padded).unwrap_or_else(|err| panic!("{err}"));
        end.connection.renew();
    }
    assert_eq!(end.told()[0], "WINDOW 1 50176");
    let mut end = End::new(Role::Client);
    let id = end.connection.open(head(GET), true, ()).unwrap();
    end.give(&frame(1, 4, 1, &crate::support::block(&[(":status", "200")]))).unwrap();
    end.give(&frame(0, 0, 1, &[0; 16_000]).repeat(6)).unwrap();
    end.frames();
    end.connection.release(id);
    assert_eq!(end.told(), ["RST 1 CANCEL"]);
    end.give(&frame(0, 0, 1, &[0; 4000])).unwrap();
    assert_eq!(end.told(), ["WINDOW 0 100000"]);
}

#[test]
fn small_pieces_are_put_together() {
    let mut end = End::new(Role::Server);
    end.give(&get(1, false)).unwrap();
    let id = end.opened();
    end.connection.take(id).unwrap();
    end.give(&frame(0, 0, 1, b"x").repeat(5000)).unwrap();
    let mut lens = Vec::new();
    while let Some(Incoming::Data(data)) = end.connection.take(id).unwrap() {
        lens.push(data.len());
    }
    assert_eq!(lens, [4096, 904]);
}
