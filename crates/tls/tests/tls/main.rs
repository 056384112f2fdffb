//! The crate from outside: handshakes in memory against what it makes. One binary, because linking takes longer than
//! running.

#[cfg(test)]
mod authority;
#[cfg(test)]
mod common;
#[cfg(test)]
mod leaves;
#[cfg(test)]
mod quic;
#[cfg(test)]
mod servers;
#[cfg(test)]
mod user_certs;
