//! What header lists of HTTP/2 mean: messages out of lists, lists out of messages, and messages of HTTP/2 in HTTP/1
//! (RFC 9113 sections 8.1 to 8.3 and 8.5, RFC 8441). Downgrade smuggling lives here.
//!
//! Nothing is repaired: a message with two readings is an error, which ends its stream (PROTOCOL_ERROR, after the status that
//! [`MessageError::status`] says where a response can still be sent) and no other. What is sent passes `encode_*`, the
//! last gate: it writes no list that `read_*` would refuse.

mod authority;
mod encode;
mod error;
mod field;
mod length;
mod pseudo;
mod read;
mod to_http1;
mod websocket;

pub use encode::{check_trailers, encode_request, encode_response, encode_trailers};
pub use error::MessageError;
pub use length::BodyLength;
pub use read::{EndStream, ExtendedConnect, read_request, read_response, read_trailers};
pub use to_http1::{Http1Request, announces_trailers, request_to_http1, response_to_http1};
pub use websocket::{
    is_websocket_connect, websocket_connect, websocket_connected, websocket_switched, websocket_upgrade,
    websocket_upgrade_key,
};
