//! Error codes, and what ends a whole connection.

use std::fmt;

use thiserror::Error;

use crate::hpack;

/// An error code of RST_STREAM and GOAWAY (RFC 9113 section 7); unknown ones are kept as they are.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Code(pub u32);

impl Code {
    /// No error: a graceful end.
    pub const NO_ERROR: Self = Self(0x0);
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(0x1);
    /// The sender of the code failed itself.
    pub const INTERNAL_ERROR: Self = Self(0x2);
    /// The peer sent more than its window.
    pub const FLOW_CONTROL_ERROR: Self = Self(0x3);
    /// SETTINGS were not acknowledged in time.
    pub const SETTINGS_TIMEOUT: Self = Self(0x4);
    /// A frame came for a stream that was over.
    pub const STREAM_CLOSED: Self = Self(0x5);
    /// A frame has a length it may not have.
    pub const FRAME_SIZE_ERROR: Self = Self(0x6);
    /// The stream was not processed at all: it may be tried again.
    pub const REFUSED_STREAM: Self = Self(0x7);
    /// The stream is no longer wanted.
    pub const CANCEL: Self = Self(0x8);
    /// The two sides' compression tables no longer agree.
    pub const COMPRESSION_ERROR: Self = Self(0x9);
    /// The connection behind CONNECT broke off.
    pub const CONNECT_ERROR: Self = Self(0xa);
    /// The peer asks for more than is good.
    pub const ENHANCE_YOUR_CALM: Self = Self(0xb);
    /// The transport is not secure enough.
    pub const INADEQUATE_SECURITY: Self = Self(0xc);
    /// The request should be made in HTTP/1.1.
    pub const HTTP_1_1_REQUIRED: Self = Self(0xd);
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0x0 => "NO_ERROR",
            0x1 => "PROTOCOL_ERROR",
            0x2 => "INTERNAL_ERROR",
            0x3 => "FLOW_CONTROL_ERROR",
            0x4 => "SETTINGS_TIMEOUT",
            0x5 => "STREAM_CLOSED",
            0x6 => "FRAME_SIZE_ERROR",
            0x7 => "REFUSED_STREAM",
            0x8 => "CANCEL",
            0x9 => "COMPRESSION_ERROR",
            0xa => "CONNECT_ERROR",
            0xb => "ENHANCE_YOUR_CALM",
            0xc => "INADEQUATE_SECURITY",
            0xd => "HTTP_1_1_REQUIRED",
            other => return write!(f, "error code {other:#x}"),
        })
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a connection cannot go on (RFC 9113 section 5.4.1). GOAWAY with its code is the last that is sent.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("{why} ({code})")]
pub struct Error {
    /// What the peer is told.
    pub code: Code,
    /// What a person is told.
    pub why: &'static str,
}

impl Error {
    pub(super) const fn new(code: Code, why: &'static str) -> Self {
        Self { code, why }
    }

    pub(super) const fn protocol(why: &'static str) -> Self {
        Self::new(Code::PROTOCOL_ERROR, why)
    }

    pub(super) const fn size(why: &'static str) -> Self {
        Self::new(Code::FRAME_SIZE_ERROR, why)
    }
}

impl From<hpack::Error> for Error {
    fn from(err: hpack::Error) -> Self {
        match err {
            hpack::Error::Excess => {
                Self::new(Code::ENHANCE_YOUR_CALM, "header block unpacks to far more than allowed")
            }
            _ => Self::new(Code::COMPRESSION_ERROR, "header block cannot be read"),
        }
    }
}
