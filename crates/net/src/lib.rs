//! What flowgate asks of the operating system: listeners, connections, relaying bytes, the limits of the process.
//!
//! Not here: what the bytes mean, and who may go where. The only crate that may hold `unsafe` blocks; `taken` and `process` have one each.

pub mod limits;

mod connect;
mod datagrams;
mod io;
mod known_names;
mod listen;
mod lookup;
mod original;
mod peer_process;
mod process;
mod read_ahead;
mod relay;
mod resolver;
mod stamp;
mod taken;

pub use connect::{ConnectError, connect, connect_judged};
pub use datagrams::{
    DATAGRAM_BYTES_MAX, Datagrams, LocalAddress, Received, bind_datagrams, connect_datagrams,
};
pub use io::{BoxIo, Io, Rewound};
pub use known_names::KnownNames;
pub use listen::{Accepts, BindError, bind};
pub use lookup::Lookup;
pub use original::{OriginalError, original_destination};
pub use peer_process::{PeerProcessError, peer_process};
pub use process::{ThreadWaits, give_memory_back, give_way, raise_descriptor_limit, resident_bytes};
pub use read_ahead::ReadAhead;
pub use relay::{NoTap, RelayEnd, Relayed, Tap, relay};
pub use resolver::{DNS_PORT, LookupError, Resolver};
pub use stamp::Stamp;
