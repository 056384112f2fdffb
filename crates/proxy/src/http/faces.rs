//! Both faces of HTTP/2, and both of HTTP/1, against peers that are played by hand: what each says, what it is told, what crosses.
//!
//! The tables are in `tests/data`, one case a line; a new case is a new line. All is in memory and the clock is paused, so that
//! "nothing more comes" is known at once and no case depends on how fast the machine is.

// What plays: scripts to bytes, bytes to what was said, servers, a proxy between pipes.
pub(super) mod fixture;
mod origin;
mod script;

// What is asked.
mod body_messages;
mod clients;
mod floods;
mod orderings;
mod pairs;
mod servers;
mod translation;
mod websockets;
