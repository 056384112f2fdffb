//! Our two ends talk to each other, in pieces of any size; and any frames at all end in nothing worse than an error.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use flowgate_wire::http2::{Connection, Event, Incoming, PREFACE, Role, StreamId};
use proptest::prelude::*;

use crate::support::{End, GET, Sent, config, frame, head, lines, settings};

/// Moves what one end has to say to the other, in pieces of the given sizes.
fn carry(
    from: &mut Connection<()>,
    to: &mut Connection<()>,
    input: &mut BytesMut,
    cuts: &mut impl Iterator<Item = usize>,
) -> bool {
    let mut sent = Sent { max: Some(30_000), ..Sent::default() };
    from.transmit(&mut sent);
    let mut rest = &sent.bytes[..];
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(cuts.next().unwrap_or(rest.len()).clamp(1, rest.len()));
        input.extend_from_slice(piece);
        to.receive(input).unwrap();
        rest = behind;
    }
    !sent.bytes.is_empty()
}

/// Takes what came on a stream; whether it is complete.
fn drain(end: &mut Connection<()>, id: StreamId, body: &mut Vec<u8>) -> bool {
    while let Some(incoming) = end.take(id).unwrap() {
        match incoming {
            Incoming::Head { ends, .. } => {
                if ends {
                    return true;
                }
            }
            Incoming::Data(data) => {
                end.consumed(id, data.len());
                body.extend_from_slice(&data);
            }
            Incoming::End(trailers) => {
                body.extend(trailers.iter().flat_map(lines).flat_map(String::into_bytes));
                return true;
            }
        }
    }
    false
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Each request's body comes back, with its trailers, however the bytes are cut.
    #[test]
    fn bodies_are_echoed(
        bodies in prop::collection::vec((prop::collection::vec(0_usize..40_000, 0..6), any::<bool>()), 1..8),
        cuts in prop::collection::vec(1_usize..5000, 1..50),
    ) {
        let (mut client, mut server) =
            (Connection::<()>::new(config(Role::Client)), Connection::<()>::new(config(Role::Server)));
        let (mut to_client, mut to_server) = (BytesMut::new(), BytesMut::new());
        let mut cuts = cuts.into_iter().cycle();
        let mut waiting: Vec<_> = bodies.into_iter().enumerate().collect();
        let mut asked: HashMap<StreamId, (Vec<u8>, Vec<u8>)> = HashMap::new();
        let mut echoes: HashMap<StreamId, Vec<u8>> = HashMap::new();
        let mut answered = 0;
        let count = waiting.len();
        let mut quiet = 0;
        while answered < count {
            while client.has_begun() && let Some((n, (pieces, trailers))) = waiting.pop() {
                let ends = pieces.is_empty() && !trailers;
                let Ok(id) = client.open(head(GET), ends, ()) else {
                    waiting.push((n, (pieces, trailers)));
                    break;
                };
                let mut whole = Vec::new();
                for len in pieces {
                    let piece: Vec<u8> = (0..len).map(|at| (at * 7 + n) as u8).collect();
                    whole.extend_from_slice(&piece);
                    client.send_data(id, piece.into());
                }
                let trailer: Option<flowgate_flow::Headers> = trailers.then(|| [("t", "1")].into_iter().collect());
                client.send_end(id, trailer);
                whole.extend_from_slice(if trailers { b"t: 1" } else { b"" });
                asked.insert(id, (whole, Vec::new()));
            }
            let moved = carry(&mut client, &mut server, &mut to_server, &mut cuts)
                | carry(&mut server, &mut client, &mut to_client, &mut cuts);
            while let Some(event) = server.next_event() {
                if let Event::Opened(id) = event {
                    echoes.insert(id, Vec::new());
                }
            }
            echoes.retain(|id, body| {
                if !drain(&mut server, *id, body) {
                    return true;
                }
                server.send_head(*id, head(&[(":status", "103")]), true, false).unwrap();
                server.send_head(*id, head(&[(":status", "200")]), false, false).unwrap();
                server.send_data(*id, Bytes::from(std::mem::take(body)));
                server.send_end(*id, None);
                server.release(*id);
                false
            });
            let mut done = Vec::new();
            for (id, (sent, body)) in &mut asked {
                if drain(&mut client, *id, body) {
                    prop_assert_eq!(&*sent, &*body);
                    done.push(*id);
                }
            }
            for id in done {
                asked.remove(&id);
                client.release(id);
                answered += 1;
            }
            quiet = if moved { 0 } else { quiet + 1 };
            prop_assert!(quiet < 3, "nothing moves");
        }
        while carry(&mut server, &mut client, &mut to_client, &mut cuts)
            | carry(&mut client, &mut server, &mut to_server, &mut cuts) {}
        prop_assert_eq!((client.streams(), server.streams()), (0, 0));
    }

    /// The same bytes in other pieces are the same events.
    #[test]
    fn cuts_do_not_matter(bytes in stream_of_frames(), cut in 1_usize..50) {
        let told = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            let mut end = End::fresh(Role::Server);
            let result = pieces.map(|piece| end.give(piece)).find(Result::is_err);
            // How much of a body is put together depends on nothing but its frames.
            (result, end.events(), end.told())
        };
        prop_assert_eq!(told(&mut std::iter::once(&bytes[..])), told(&mut bytes.chunks(cut)));
    }

    /// Whatever frames come in whatever state: no panic, bounded streams, and what is sent are frames.
    #[test]
    fn any_frames(bytes in stream_of_frames(), is_client in any::<bool>()) {
        let role = if is_client { Role::Client } else { Role::Server };
        let mut end = End::fresh(role);
        let mut own = Vec::new();
        if is_client {
            own.extend((0..3).map(|_| end.connection.open(head(GET), false, ()).unwrap()));
        }
        let from = if is_client { PREFACE.len() } else { 0 };
        for piece in bytes[from..].chunks(100) {
            if end.give(piece).is_err() {
                break;
            }
            for event in end.events() {
                if let Event::Opened(id) | Event::Changed(id) = event {
                    let taken = end.connection.take(id);
                    end.connection.send_head(id, head(&[(":status", "200")]), false, false).unwrap();
                    end.connection.send_data(id, vec![0; 3000].into());
                    if let Ok(Some(Incoming::End(_))) | Err(_) = taken {
                        end.connection.send_end(id, None);
                        end.connection.release(id);
                    }
                }
            }
            prop_assert!(end.connection.streams() <= 8);
        }
        end.told();
    }
}

/// A beginning, and then frames of which most make sense.
fn stream_of_frames() -> impl Strategy<Value = Vec<u8>> {
    let stream =
        prop_oneof![Just(0_u32), (0_u32..6).prop_map(|n| n * 2 + 1), any::<u32>().prop_map(|n| n >> 1)];
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        Just(crate::support::block(GET)),
        Just(vec![0; 4]),
        Just(vec![0, 0, 0, 9]),
        Just(vec![1; 8]),
        Just(vec![0, 4, 0, 0, 0, 100]),
        Just(vec![7; 2000]),
    ];
    let flags = prop_oneof![Just(0_u8), Just(4), Just(5), Just(1), any::<u8>()];
    prop::collection::vec((0_u8..11, flags, stream, payload), 0..60).prop_map(|frames| {
        let mut bytes = [&PREFACE[..], &settings(&[])].concat();
        bytes.extend(
            frames.iter().flat_map(|(kind, flags, stream, payload)| frame(*kind, *flags, *stream, payload)),
        );
        bytes
    })
}
