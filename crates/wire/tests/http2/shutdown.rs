//! GOAWAY in both directions.

use flowgate_wire::http2::{By, Code, Event, OpenError, Role};

use crate::support::{End, GET, frame, get, head};

fn go_away(last: u32, code: u32) -> Vec<u8> {
    frame(7, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

#[test]
fn a_server_warns_then_names_its_last_stream() {
    let mut end = End::new(Role::Server);
    end.give(&get(1, true)).unwrap();
    let first = end.opened();
    end.connection.shut_down();
    end.connection.shut_down();
    let frames = end.frames();
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[0].told(), "GOAWAY 2147483647 NO_ERROR");
    // What was on its way is still served.
    end.give(&get(3, true)).unwrap();
    let second = end.opened();
    end.give(&frame(6, 1, 0, &frames[1].payload)).unwrap();
    assert_eq!(end.told(), ["GOAWAY 3 NO_ERROR"]);
    end.give(&get(5, true)).unwrap();
    assert_eq!(end.events(), []);
    assert!(!end.connection.is_done());
    for id in [first, second] {
        end.connection.send_head(id, head(&[(":status", "200")]), false, true).unwrap();
        end.connection.release(id);
    }
    assert!(end.connection.is_done());
    assert_eq!(end.told(), ["HEADERS 1 end", "HEADERS 3 end"]);
}

#[test]
fn a_client_learns_which_of_its_streams_were_left_out() {
    let mut end = End::new(Role::Client);
    let ids: Vec<_> = (0..3).map(|_| end.connection.open(head(GET), true, ()).unwrap()).collect();
    end.give(&go_away(3, 0)).unwrap();
    assert!(end.events().contains(&Event::GoAway { code: Code::NO_ERROR }));
    assert_eq!(end.connection.can_open(), Err(OpenError::Closing));
    assert!(matches!(end.connection.take(ids[0]), Ok(None)));
    assert!(matches!(end.connection.take(ids[1]), Ok(None)));
    let reset = end.connection.take(ids[2]).unwrap_err();
    assert_eq!((reset.by, reset.was_unprocessed()), (By::GoAway, true));
    end.connection.release(ids[2]);
    end.give(&go_away(1, 2)).unwrap();
    assert_eq!(end.connection.take(ids[1]).unwrap_err().code, Code::INTERNAL_ERROR);
    end.connection.release(ids[1]);
    end.connection.release(ids[0]);
    assert!(end.connection.is_done());
}

#[test]
fn refused_streams_may_be_tried_again() {
    let mut end = End::new(Role::Client);
    let id = end.connection.open(head(GET), true, ()).unwrap();
    end.give(&frame(3, 0, 1, &7_u32.to_be_bytes())).unwrap();
    assert!(end.connection.take(id).unwrap_err().was_unprocessed());
}

#[test]
fn a_failure_of_ours_is_told() {
    let mut end = End::new(Role::Server);
    end.give(&get(1, false)).unwrap();
    end.connection.fail(Code::SETTINGS_TIMEOUT, "SETTINGS were not acknowledged");
    assert_eq!(end.told(), ["GOAWAY 1 SETTINGS_TIMEOUT"]);
    assert!(end.give(&get(3, false)).is_err());
    assert!(end.connection.is_done());
}

#[test]
fn pings_are_answered_to_their_sender() {
    let mut end = End::new(Role::Client);
    end.connection.ping(*b"12345678");
    let sent = end.frames();
    assert_eq!(sent[0].payload, b"12345678");
    end.give(&frame(6, 1, 0, b"12345678")).unwrap();
    assert_eq!(end.events(), [Event::Pong]);
}

#[test]
fn nothing_is_said_behind_the_last_goaway() {
    let mut end = End::new(Role::Server);
    end.give(&get(1, true)).unwrap();
    let id = end.opened();
    end.connection.send_head(id, head(&[(":status", "200")]), false, false).unwrap();
    end.connection.send_data(id, "x"[..].into());
    end.give(&frame(6, 0, 0, b"abc")).unwrap_err();
    end.connection.send_end(id, None);
    end.connection.release(id);
    end.connection.ping(*b"abcdefgh");
    assert_eq!(end.told(), ["HEADERS 1", "GOAWAY 1 FRAME_SIZE_ERROR"]);
    end.connection.ping(*b"abcdefgh");
    assert_eq!(end.told(), [""; 0]);
}
