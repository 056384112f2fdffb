//! Why a message of HTTP/2 is malformed (RFC 9113 section 8.1.1).

use flowgate_flow::PseudoField;
use thiserror::Error;

use crate::http1::TargetError;
use crate::limits::{HEAD_FIELDS_MAX, TARGET_BYTES_MAX};

/// Why a message was refused. `index` is the field's place, counted from 0: in what is read pseudo-header fields count,
/// in what is to be sent the header fields (or trailer fields) alone.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum MessageError {
    /// The list is larger than we said it may be (SETTINGS_MAX_HEADER_LIST_SIZE).
    #[error("header list is too large")]
    TooLarge,
    /// More fields than [`HEAD_FIELDS_MAX`].
    #[error("more than {HEAD_FIELDS_MAX} header fields")]
    TooManyFields,
    /// `:path` is longer than [`TARGET_BYTES_MAX`].
    #[error(":path is longer than {TARGET_BYTES_MAX} bytes")]
    PathTooLong,
    /// A name that is not a token (section 8.2.1).
    #[error("field {index} has a malformed name")]
    Name {
        /// Which field.
        index: usize,
    },
    /// A name with a capital letter (section 8.2.1).
    #[error("field {index} has a name in upper case")]
    UpperCase {
        /// Which field.
        index: usize,
    },
    /// A value with CR, LF, NUL or another control byte, or white space at an end (section 8.2.1).
    #[error("field {index} has a malformed value")]
    Value {
        /// Which field.
        index: usize,
    },
    /// A field that belongs to a connection of HTTP/1 (section 8.2.2).
    #[error("field {index} belongs to a connection of HTTP/1")]
    ConnectionField {
        /// Which field.
        index: usize,
    },
    /// `TE` with another value than `trailers` (section 8.2.2).
    #[error("field {index} is a TE that says more than trailers")]
    Te {
        /// Which field.
        index: usize,
    },
    /// A field that frames or addresses a message, in its trailers (RFC 9110 section 6.5.1).
    #[error("field {index} must not be in trailers")]
    NoTrailer {
        /// Which field.
        index: usize,
    },
    /// A pseudo-header field behind another field (section 8.3).
    #[error("field {index} is a pseudo-header field behind others")]
    LatePseudo {
        /// Which field.
        index: usize,
    },
    /// A pseudo-header field that does not exist, or not in this kind of message (section 8.3).
    #[error("field {index} is a pseudo-header field that must not be here")]
    UnknownPseudo {
        /// Which field.
        index: usize,
    },
    /// The same pseudo-header field once more (section 8.3).
    #[error("field {index} is a repeated pseudo-header field")]
    RepeatedPseudo {
        /// Which field.
        index: usize,
    },
    /// A pseudo-header field that a request must have (section 8.3.1).
    #[error("{} is missing", .0.name())]
    Missing(PseudoField),
    /// A pseudo-header field that a CONNECT must not have (section 8.5).
    #[error("CONNECT with {}", .0.name())]
    NotInConnect(PseudoField),
    /// `:protocol` on another method than CONNECT (RFC 8441 section 4).
    #[error(":protocol without CONNECT")]
    ProtocolWithoutConnect,
    /// `:protocol` is not a token.
    #[error("malformed :protocol")]
    Protocol,
    /// `:method` is not a token.
    #[error("malformed :method")]
    Method,
    /// `:scheme` is neither `http` nor `https`.
    #[error(":scheme is neither http nor https")]
    Scheme,
    /// `:path` is empty, does not begin with a slash (`*` is for OPTIONS), or has bytes that no path has.
    #[error("malformed :path")]
    Path,
    /// The authority, in `:authority` or `Host`, is malformed or has user information (section 8.3.1).
    #[error("authority: {0}")]
    Authority(TargetError),
    /// Neither `:authority` nor `Host` (RFC 9110 section 4.2.1: no host, no http URI).
    #[error("neither :authority nor Host")]
    NoAuthority,
    /// `Host` once more (RFC 9110 section 7.2).
    #[error("field {index} is a second Host")]
    RepeatedHost {
        /// Which field.
        index: usize,
    },
    /// `Host` names another entity than `:authority` (section 8.3.1).
    #[error("Host differs from :authority")]
    HostDiffers,
    /// `:status` is missing.
    #[error(":status is missing")]
    NoStatus,
    /// `:status` does not have three digits.
    #[error("malformed :status")]
    Status,
    /// 101, which HTTP/2 does not have (section 8.6).
    #[error("status 101 in HTTP/2")]
    SwitchingProtocols,
    /// An interim response that ends the stream (section 8.1).
    #[error("interim response ends the stream")]
    InterimEnds,
    /// Trailers that do not end the stream (section 8.1).
    #[error("trailers do not end the stream")]
    TrailersDoNotEnd,
    /// `Content-Length` once more, or with several values.
    #[error("field {index} is a second Content-Length")]
    RepeatedLength {
        /// Which field.
        index: usize,
    },
    /// `Content-Length` is not a plain decimal number below 2^63.
    #[error("field {index} is a malformed Content-Length")]
    Length {
        /// Which field.
        index: usize,
    },
    /// `Content-Length` where there is no body: on a CONNECT or an interim response.
    #[error("field {index} is a Content-Length where none may be")]
    MisplacedLength {
        /// Which field.
        index: usize,
    },
    /// DATA is more or less than `Content-Length` says (section 8.1.1), or there is some where none may be.
    #[error("DATA is not as long as the head says")]
    LengthDiffers,
    /// A message that HTTP/1 has no words for: an extended CONNECT.
    #[error("extended CONNECT has no counterpart")]
    NoCounterpart,
}

impl MessageError {
    /// The status that tells a client why its request was refused.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::TooLarge | Self::TooManyFields => 431,
            Self::PathTooLong => 414,
            Self::NoCounterpart => 501,
            _ => 400,
        }
    }
}
