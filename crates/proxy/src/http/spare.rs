//! Buffers that are not needed at the moment: a few for each thread, lent to whichever connection something is there to be read of
//! or written to. So connections at rest, which are most, hold none, and those that are busy share memory that is in the caches.
//!
//! For heads and short bodies only; what is long has buffers of its own.

use std::cell::RefCell;

use bytes::BytesMut;

use crate::limits::{HEAD_READ_BYTES, SPARE_BUFFERS_MAX};

thread_local! {
    static SPARE: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer with room for [`HEAD_READ_BYTES`].
pub(super) fn take() -> BytesMut {
    let spare = SPARE.with_borrow_mut(Vec::pop);
    spare.unwrap_or_else(|| BytesMut::with_capacity(HEAD_READ_BYTES))
}

/// Gives a buffer back, if nothing is in it.
pub(super) fn give_back(buffer: &mut BytesMut) {
    if buffer.is_empty() && buffer.capacity() > 0 {
        let mut buffer = std::mem::take(buffer);
        // Somebody may still have a part of it: then it goes when they let go of that.
        let is_whole = buffer.try_reclaim(HEAD_READ_BYTES) && buffer.capacity() <= 2 * HEAD_READ_BYTES;
        if is_whole {
            SPARE.with_borrow_mut(|spare| {
                if spare.len() < SPARE_BUFFERS_MAX {
                    spare.push(buffer);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count() -> usize {
        SPARE.with_borrow(Vec::len)
    }

    #[test]
    fn only_whole_and_usual_buffers_are_lent_again() {
        // Tests may share a thread.
        SPARE.with_borrow_mut(Vec::clear);
        let mut buffer = take();
        assert!(buffer.capacity() >= HEAD_READ_BYTES);
        buffer.extend_from_slice(b"head and body");
        give_back(&mut buffer);
        assert_eq!((count(), &buffer[..]), (0, &b"head and body"[..]), "something is in it");
        let body = buffer.split_off(9).freeze();
        buffer.clear();
        give_back(&mut buffer);
        assert_eq!((count(), buffer.capacity()), (0, 0), "somebody has a part of it");
        assert_eq!(body, "body");

        let mut buffer = take();
        buffer.extend_from_slice(b"head");
        drop(buffer.split_to(4).freeze());
        let address = buffer.as_ptr().addr() - 4;
        give_back(&mut buffer);
        assert_eq!(count(), 1);
        let again = take();
        assert_eq!((again.as_ptr().addr(), again.len(), count()), (address, 0, 0), "the same, whole");
        assert!(again.capacity() >= HEAD_READ_BYTES);

        for capacity in [0, HEAD_READ_BYTES - 1, 2 * HEAD_READ_BYTES + 1] {
            give_back(&mut BytesMut::with_capacity(capacity));
            assert_eq!(count(), 0, "{capacity}");
        }
        for given in 1..=SPARE_BUFFERS_MAX + 1 {
            give_back(&mut BytesMut::with_capacity(HEAD_READ_BYTES));
            assert_eq!(count(), given.min(SPARE_BUFFERS_MAX));
        }
    }
}
