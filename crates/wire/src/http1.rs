//! HTTP/1.0 and HTTP/1.1 messages (RFC 9112), lossless.
//!
//! A head is kept as the lines that were received; what is not changed is written out byte for byte. A message that two
//! readers could read differently is refused, never repaired. The encoder is the last gate: it writes no head that
//! the parser would refuse.

mod chunked;
mod encode;
mod framing;
mod grammar;
mod head;
mod target;

pub use chunked::{ChunkError, ChunkedDecoder, push_chunk, push_last_chunk};
pub use encode::{
    EncodeError, check_request_framing, check_response_framing, encode_request, encode_request_with,
    encode_response, encode_response_with,
};
pub use framing::{BodyDecoder, BodyError, BodyEvent, Framing, request_framing, response_framing};
pub use grammar::is_token;
pub use head::{
    HeadError, HeadScanner, Names, RequestHead, ResponseHead, Scan, is_head_only, parse_request,
    parse_request_with, parse_response, parse_response_with,
};
pub use target::{Target, TargetError, parse_authority, parse_target};

pub(crate) use framing::parse_length;
pub(crate) use grammar::{is_value, token_len};
