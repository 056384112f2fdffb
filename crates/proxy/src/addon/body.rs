//! What an addon may ask of a body: nothing, its chunks, or all of it at once.

use std::fmt;

use bytes::Bytes;

/// What an addon needs of one body.
///
/// Without a need a body streams, and nobody waits. Where one addon needs it whole and another changes its chunks, the chunks are
/// changed first.
#[derive(Default)]
pub enum BodyNeed {
    /// It crosses as it comes.
    #[default]
    Nothing,
    /// Its chunks are changed on their way, so that its length is not known beforehand: `Content-Length` goes.
    Transform(Box<dyn Transform>),
    /// It is held until all of it is there, and can be changed as a whole then. One of more than
    /// [`HELD_BODY_BYTES_MAX`](crate::limits::HELD_BODY_BYTES_MAX) bytes (or `stream_large_bodies`) streams all the same, and the
    /// flow says so in its metadata.
    Whole,
}

impl fmt::Debug for BodyNeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Transform(_) => "Transform",
            Self::Whole => "Whole",
        })
    }
}

/// Changes the chunks of one body as they cross. They are cut wherever the network cut them.
pub trait Transform: Send {
    /// Takes the next chunk, and appends to `out` what is to be sent of it now.
    fn chunk(&mut self, data: Bytes, out: &mut Vec<Bytes>);

    /// The body has ended: appends what was kept back.
    fn finish(&mut self, out: &mut Vec<Bytes>) {
        let _ = out;
    }
}
