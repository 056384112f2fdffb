//! The data of records that have names in them, which may be compressed (RFC 3597 section 4 says in which that can be).

use super::{Reader, name};

/// What stands in the data of a type up to its last name.
struct Layout {
    /// Bytes of fixed number,
    bytes: usize,
    /// then strings with their lengths before them,
    strings: usize,
    /// then names. What follows is taken as it is.
    names: usize,
}

impl Reader<'_> {
    /// The next `len` bytes, data of a record, with its names written out; `None` if there are none, or if it is not what its type
    /// says.
    pub(super) fn uncompressed(mut self, kind: u16, len: usize) -> Option<Vec<u8>> {
        let Layout { bytes, strings, names } = layout(kind)?;
        let end = self.at.checked_add(len)?;
        let mut out = self.take(bytes).ok()?.to_vec();
        for _ in 0..strings {
            let length = self.u8().ok()?;
            out.push(length);
            out.extend_from_slice(self.take(length.into()).ok()?);
        }
        for _ in 0..names {
            name::put(&self.name().ok()?, &mut out).ok()?;
        }
        out.extend_from_slice(self.take(end.checked_sub(self.at)?).ok()?);
        Some(out)
    }
}

fn layout(kind: u16) -> Option<Layout> {
    let (bytes, strings, names) = match kind {
        // NS, MD, MF, CNAME, MB, MG, MR, PTR, NXT
        2..=5 | 7..=9 | 12 | 30 => (0, 0, 1),
        // SOA, MINFO, RP
        6 | 14 | 17 => (0, 0, 2),
        // MX, AFSDB, RT
        15 | 18 | 21 => (2, 0, 1),
        // PX
        26 => (2, 0, 2),
        // SRV
        33 => (6, 0, 1),
        // NAPTR
        35 => (4, 3, 1),
        // SIG
        24 => (18, 0, 1),
        _ => return None,
    };
    Some(Layout { bytes, strings, names })
}
