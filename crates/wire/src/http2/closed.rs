//! What is remembered of streams that are over: not each of them, which would grow for ever, but the last ones.

use std::collections::VecDeque;

use crate::limits::H2_CLOSED_STREAMS_KEPT;

/// How a stream ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ended {
    /// Both directions did.
    Cleanly,
    /// The peer reset it.
    ByPeer,
    /// The peer reset it, sent more all the same and was told so: RFC 9113 section 5.4.2 wants that said once.
    ByPeerAndTold,
    /// We did, and the peer may not know yet: what it sends is ignored (RFC 9113 section 5.1).
    ByUs,
}

/// The streams that ended last.
#[derive(Debug, Default)]
pub(super) struct Closed(VecDeque<(u32, Ended)>);

impl Closed {
    pub(super) fn remember(&mut self, stream: u32, ended: Ended) {
        if self.0.len() == H2_CLOSED_STREAMS_KEPT {
            self.0.pop_front();
        }
        self.0.push_back((stream, ended));
    }

    pub(super) fn find(&self, stream: u32) -> Option<Ended> {
        self.0.iter().rev().find(|(id, _)| *id == stream).map(|(_, ended)| *ended)
    }
}
