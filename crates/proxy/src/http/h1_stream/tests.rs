//! The bounds of what waits and of what is kept.

use std::future::poll_fn;

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::*;

/// Whether another piece is asked for when so much waits for a reader that takes nothing.
async fn has_room(waiting: usize) -> bool {
    let (_peer, io) = duplex(1);
    let mut stream = H1Stream::new(Box::new(io));
    stream.send_head(Outgoing::UntilClose, |_| Ok::<(), SideError>(())).unwrap();
    stream.send_data(vec![b'x'; waiting].into()).unwrap();
    poll_fn(|cx| Poll::Ready(stream.poll_room(cx))).await.is_ready()
}

#[tokio::test]
async fn a_sender_waits_when_the_queue_is_full() {
    assert!(has_room(FIRST_WRITE_QUEUE_BYTES - 1).await);
    // What the pipe takes meanwhile makes room for no other.
    assert!(!has_room(FIRST_WRITE_QUEUE_BYTES + 1).await);
}

/// A piece of which the pipe took a part kept room for another beside it.
#[tokio::test]
async fn nothing_is_asked_for_behind_what_is_not_taken() {
    let (mut peer, io) = duplex(1);
    let mut stream = H1Stream::new(Box::new(io));
    stream.send_head(Outgoing::UntilClose, |_| Ok::<(), SideError>(())).unwrap();
    stream.send_data(vec![b'x'; 10].into()).unwrap();
    let mut poll = |cx: &mut Context<'_>| {
        let room = stream.poll_room(cx).is_ready();
        let flushed = stream.poll_flush(cx).is_ready();
        stream.leave_memory();
        Poll::Ready((room, flushed))
    };
    assert_eq!(poll_fn(&mut poll).await, (true, false), "little waits");
    assert_eq!(poll_fn(&mut poll).await, (false, false), "and is not taken");
    for _ in 0..10 {
        assert_eq!(peer.read_u8().await.unwrap(), b'x');
        poll_fn(&mut poll).await;
    }
    assert_eq!(poll_fn(&mut poll).await, (true, true));
}

/// Readers that took a little now and then were held as much for each time as the first time, and nobody gave that back.
#[tokio::test]
async fn one_small_piece_at_a_time_waits_for_who_was_slow() {
    for (read, leaves, room, piece) in [
        (0, false, true, BODY_START_READ_BYTES),
        (BODY_FIRST_BYTES, false, true, BODY_READ_BYTES),
        (0, true, false, BODY_START_READ_BYTES),
        (BODY_FIRST_BYTES, true, false, BODY_START_READ_BYTES),
    ] {
        let (_peer, io) = duplex(1);
        let mut stream = H1Stream::new(Box::new(io));
        stream.send_head(Outgoing::UntilClose, |_| Ok::<(), SideError>(())).unwrap();
        (stream.body_bytes, stream.sent_bytes) = (read, read);
        if leaves {
            stream.leave_memory();
        }
        stream.send_data(vec![b'x'; 10].into()).unwrap();
        let found = poll_fn(|cx| Poll::Ready(stream.poll_room(cx))).await.is_ready();
        assert_eq!((found, body_read_bytes(stream.body_bytes)), (room, piece), "{read}, {leaves}");
    }
}

#[tokio::test]
async fn of_what_is_refused_so_much_is_kept() {
    let stream = H1Stream::new(Box::new(duplex(1).1));
    for (len, kept) in
        [(0, 0), (REFUSED_BYTES_MAX, REFUSED_BYTES_MAX), (REFUSED_BYTES_MAX + 1, REFUSED_BYTES_MAX)]
    {
        assert_eq!(stream.refused(&vec![b'x'; len]).len(), kept);
    }
}

/// 5,000 readers that took nothing held 64 KiB each: the buffers of sockets were full long before reading in large pieces was worth
/// while.
#[test]
fn bodies_are_read_in_small_pieces_first() {
    for (read, piece) in [
        (0, BODY_START_READ_BYTES),
        (BODY_START_BYTES - 1, BODY_START_READ_BYTES),
        (BODY_START_BYTES, BODY_FIRST_READ_BYTES),
        (BODY_FIRST_BYTES - 1, BODY_FIRST_READ_BYTES),
        (BODY_FIRST_BYTES, BODY_READ_BYTES),
        (u64::MAX, BODY_READ_BYTES),
    ] {
        assert_eq!(body_read_bytes(read), piece, "{read}");
    }
}

/// With 16 KiB for all of a body, each record of TLS was a write of its own.
#[test]
fn little_waits_at_the_beginning_of_a_body_and_more_behind_it() {
    for (queued, wait) in [
        (0, FIRST_WRITE_QUEUE_BYTES),
        (BODY_FIRST_BYTES - 1, FIRST_WRITE_QUEUE_BYTES),
        (BODY_FIRST_BYTES, WRITE_QUEUE_BYTES),
    ] {
        assert_eq!(write_queue_bytes(queued), wait, "{queued}");
    }
}

/// A client and its server that rested after an exchange held three buffers for what might come.
#[tokio::test]
async fn who_rests_holds_no_buffer() {
    for (len, is_copied) in [(COPIED_PIECE_BYTES_MAX, true), (COPIED_PIECE_BYTES_MAX + 1, false)] {
        let (mut peer, io) = duplex(2 * HEAD_READ_BYTES);
        let mut stream = H1Stream::new(Box::new(io));
        assert!(poll_fn(|cx| Poll::Ready(stream.poll_stale(cx))).await.is_pending());
        assert_eq!(stream.read.capacity(), 0, "nothing came yet");
        peer.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        peer.write_all(&vec![b'x'; len]).await.unwrap();
        poll_fn(|cx| stream.poll_head(cx)).await.unwrap().unwrap();
        stream.expect_body(Framing::Length(len as u64));
        let buffer = stream.read.as_ptr();
        let BodyEvent::Data(data) = poll_fn(|cx| stream.poll_body(cx)).await.unwrap() else { unreachable!() };
        assert_eq!(data, vec![b'x'; len]);
        assert_eq!(data.as_ptr() == buffer, !is_copied, "{len}");
        assert_eq!(stream.read.capacity() == 0, is_copied, "{len}");
        let end = poll_fn(|cx| stream.poll_body(cx)).await.unwrap();
        assert_eq!((end, stream.read.capacity()), (BodyEvent::End(None), 0), "{len}");
        stream
            .send_head(Outgoing::Length(0), |out| {
                out.extend_from_slice(b"head");
                Ok::<(), SideError>(())
            })
            .unwrap();
        poll_fn(|cx| stream.poll_flush(cx)).await.unwrap();
        assert_eq!(stream.queue.tail_capacity(), 0);
    }
}
