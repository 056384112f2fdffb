//! HTTP/2 (RFC 9113) without sockets and clocks: frames, streams, flow control, settings.
//!
//! A [`Connection`] is one end of a connection. Bytes go in by `receive` and come out by `transmit`; what a stream brought
//! waits until it is taken. Time is not known here: whoever drives it calls `renew` now and then. What a field list means as a
//! message is for [`semantics`].

pub mod semantics;

mod connection;
mod error;
mod guard;
mod settings;
mod stream;

// What they stand on.
mod closed;
mod flow;
mod frame;

pub use connection::{Config, Connection, Event, OpenError, Role, Sink};
pub use error::{Code, Error};
pub use guard::Flood;
pub use settings::PeerSettings;
pub use stream::{By, Incoming, Reset, StreamId};

/// What a client sends first (section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
