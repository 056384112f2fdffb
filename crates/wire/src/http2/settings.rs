//! What the peer asks of us (RFC 9113 section 6.5.2, RFC 8441 section 3).

use super::connection::Role;
use super::error::{Code, Error};
use super::flow::WINDOW_INITIAL;

pub(super) const HEADER_TABLE_SIZE: u16 = 0x1;
pub(super) const ENABLE_PUSH: u16 = 0x2;
pub(super) const MAX_CONCURRENT_STREAMS: u16 = 0x3;
pub(super) const INITIAL_WINDOW_SIZE: u16 = 0x4;
pub(super) const MAX_FRAME_SIZE: u16 = 0x5;
pub(super) const MAX_HEADER_LIST_SIZE: u16 = 0x6;
pub(super) const ENABLE_CONNECT_PROTOCOL: u16 = 0x8;

/// How many streams are opened towards a peer whose SETTINGS are still on their way (the least that section 6.5.2
/// recommends to allow).
const STREAMS_BEFORE_SETTINGS: u32 = 100;

/// The peer's settings as they stand.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct PeerSettings {
    /// Size of its decoder's table.
    pub header_table_bytes: u32,
    /// How many streams we may have open.
    pub streams_max: u32,
    /// With which window our direction of a stream begins.
    pub initial_window: u32,
    /// The longest payload it receives.
    pub frame_bytes_max: u32,
    /// The largest header list it wants, if it says.
    pub header_list_bytes_max: Option<u32>,
    /// Whether it takes extended CONNECT (RFC 8441).
    pub connect_protocol: bool,
}

/// The entries of a frame's payload, whose length is a multiple of six.
pub(super) fn entries(payload: &[u8]) -> impl Iterator<Item = (u16, u32)> {
    let (entries, _) = payload.as_chunks::<6>();
    entries.iter().map(|[i0, i1, v0, v1, v2, v3]| {
        (u16::from_be_bytes([*i0, *i1]), u32::from_be_bytes([*v0, *v1, *v2, *v3]))
    })
}

impl Default for PeerSettings {
    fn default() -> Self {
        Self {
            header_table_bytes: 4096,
            streams_max: STREAMS_BEFORE_SETTINGS,
            initial_window: WINDOW_INITIAL,
            frame_bytes_max: 16_384,
            header_list_bytes_max: None,
            connect_protocol: false,
        }
    }
}

impl PeerSettings {
    /// Takes over a frame's payload, whose length is a multiple of six; `first` if it is the first one. `us` is who we are.
    pub(super) fn apply(&mut self, payload: &[u8], first: bool, us: Role) -> Result<(), Error> {
        if first {
            self.streams_max = u32::MAX;
        }
        for (id, value) in entries(payload) {
            match id {
                HEADER_TABLE_SIZE => self.header_table_bytes = value,
                ENABLE_PUSH if value > 1 => {
                    return Err(Error::protocol("SETTINGS_ENABLE_PUSH is not 0 or 1"));
                }
                ENABLE_PUSH if value == 1 && us == Role::Client => {
                    return Err(Error::protocol("server enables push"));
                }
                MAX_CONCURRENT_STREAMS => self.streams_max = value,
                INITIAL_WINDOW_SIZE if value > 0x7fff_ffff => {
                    return Err(Error::new(
                        Code::FLOW_CONTROL_ERROR,
                        "SETTINGS_INITIAL_WINDOW_SIZE is too large",
                    ));
                }
                INITIAL_WINDOW_SIZE => self.initial_window = value,
                MAX_FRAME_SIZE if !(16_384..=16_777_215).contains(&value) => {
                    return Err(Error::protocol("SETTINGS_MAX_FRAME_SIZE is out of range"));
                }
                MAX_FRAME_SIZE => self.frame_bytes_max = value,
                MAX_HEADER_LIST_SIZE => self.header_list_bytes_max = Some(value),
                ENABLE_CONNECT_PROTOCOL if value > 1 || (value == 0 && self.connect_protocol) => {
                    return Err(Error::protocol(
                        "SETTINGS_ENABLE_CONNECT_PROTOCOL is not 0 or 1, or withdrawn",
                    ));
                }
                ENABLE_CONNECT_PROTOCOL => self.connect_protocol = value == 1,
                _ => {}
            }
        }
        Ok(())
    }
}
