//! Hooks on exchanges, over an in-memory client and an in-memory server, in virtual time.

mod answers;
mod bodies;
mod gate;
mod http2;
mod order;
