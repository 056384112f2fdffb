//! Ids for flows and connections that a file has none for: the same file gives the same ones each time.

use flowgate_flow::FlowId;

/// FNV-1a of 128 bits: no secret, only the same name for the same thing.
pub(crate) struct IdHash(u128);

impl IdHash {
    /// Begins the id of a kind of thing.
    pub(crate) fn of(kind: &str) -> Self {
        let mut hash = Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
        hash.bytes(kind.as_bytes());
        hash
    }

    /// Mixes in what identifies it.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes.iter().chain(&[0xff]) {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    }

    /// As a UUID of version 8, whose contents are whatever its maker likes (RFC 9562 §5.8).
    pub(crate) const fn id(&self) -> FlowId {
        FlowId::Uuid(self.0 & !(0xf << 76) & !(0b11 << 62) | (0x8 << 76) | (0b10 << 62))
    }
}
