//! Records in fewer bytes: zstd with a dictionary of what most of them have in common.
//!
//! A record is small and stands alone, so without a dictionary most of the time that unpacking it takes goes into tables of how often
//! each byte occurs, and names of fields stand in every one. Each packed record says whether it needs the dictionary; those from before
//! there was one do not. Not here: what is packed, and when.

use std::fmt;
use std::io;
use std::sync::LazyLock;

use zstd::dict::{DecoderDictionary, EncoderDictionary};

use crate::limits::SMALL_RECORD_BYTES_MAX;

/// Made by the example `dictionary`. Stores are written with it: it is never changed. Another one would stand beside it, with a number
/// of its own.
const DICTIONARY: &[u8] = include_bytes!("dictionary.zdict");

/// The fastest that is worth the name: traffic waits for it when all else is fast.
const LEVEL: i32 = 1;

/// Of small records the bytes that stand nowhere before stay as they are: to unpack these takes half as long, and a search of bodies
/// unpacks every record.
const LEVEL_OF_SMALL: i32 = -1;

static TO_PACK: LazyLock<EncoderDictionary<'static>> =
    LazyLock::new(|| EncoderDictionary::copy(DICTIONARY, LEVEL));

static TO_PACK_SMALL: LazyLock<EncoderDictionary<'static>> =
    LazyLock::new(|| EncoderDictionary::copy(DICTIONARY, LEVEL_OF_SMALL));

static TO_UNPACK: LazyLock<DecoderDictionary<'static>> =
    LazyLock::new(|| DecoderDictionary::copy(DICTIONARY));

/// Packs; keeps its memory from one record to the next.
pub(crate) struct Packer(zstd::bulk::Compressor<'static>);

impl Packer {
    /// `None` without memory for it.
    pub(crate) fn new() -> Option<Self> {
        zstd::bulk::Compressor::with_prepared_dictionary(&TO_PACK_SMALL).ok().map(Self)
    }

    pub(crate) fn pack(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let is_small = bytes.len() <= SMALL_RECORD_BYTES_MAX;
        self.0.set_prepared_dictionary(if is_small { &TO_PACK_SMALL } else { &TO_PACK })?;
        self.0.compress(bytes)
    }
}

impl fmt::Debug for Packer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Packer")
    }
}

/// Unpacks; keeps its memory from one record to the next.
#[derive(Default)]
pub(crate) struct Unpacker(Option<zstd::bulk::Decompressor<'static>>);

impl Unpacker {
    /// What was packed, if it is `len` bytes; takes no more memory than these.
    pub(crate) fn unpack(&mut self, packed: &[u8], len: usize) -> Option<Vec<u8>> {
        if self.0.is_none() {
            self.0 = zstd::bulk::Decompressor::with_prepared_dictionary(&TO_UNPACK).ok();
        }
        self.0.as_mut()?.decompress(packed, len).ok().filter(|bytes| bytes.len() == len)
    }
}

impl fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unpacker")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Who changes it can read no store any more.
    #[test]
    fn the_dictionary_is_the_one_that_stores_were_written_with() {
        assert_eq!(
            blake3::hash(DICTIONARY).to_hex().as_str(),
            "20202b7a91806ad431e54c3e40ac5a34929958562aebc673ab293d28f7622fb6"
        );
        assert!(TO_UNPACK.as_ddict().get_dict_id().is_some());
    }

    #[test]
    fn what_was_packed_before_there_was_a_dictionary_is_unpacked() {
        let text = "a text that was there before ".repeat(10);
        let packed = zstd::bulk::compress(text.as_bytes(), LEVEL).unwrap();
        let mut unpacker = Unpacker::default();
        assert_eq!(unpacker.unpack(&packed, text.len()).as_deref(), Some(text.as_bytes()));
        assert_eq!(unpacker.unpack(&packed, text.len() - 1), None);
    }

    #[test]
    fn a_small_record_takes_less_with_it() {
        let text = br#"7:headers;93:36:12:content-type,16:application/json,]6:server,5:nginx,]13:cache-control,8:no-cache,]]12:http_version;8:HTTP/2.0,}8:peername;8:sockname;0:~[{"id":7,"created_at":"2026-01-12"}]"#;
        let packed = Packer::new().unwrap().pack(text).unwrap();
        let without = zstd::bulk::compress(text, LEVEL).unwrap();
        assert!(packed.len() * 5 < without.len() * 4, "{} {}", packed.len(), without.len());
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(bytes in prop::collection::vec(0..4_u8, 0..3000), damage in any::<(usize, u8)>()) {
            let (mut packer, mut unpacker) = (Packer::new().unwrap(), Unpacker::default());
            let mut packed = packer.pack(&bytes)?;
            prop_assert_eq!(unpacker.unpack(&packed, bytes.len()), Some(bytes.clone()));
            let at = damage.0 % packed.len();
            packed[at] ^= damage.1;
            if let Some(other) = unpacker.unpack(&packed, bytes.len()) {
                prop_assert_eq!(other.len(), bytes.len());
            }
        }
    }
}
