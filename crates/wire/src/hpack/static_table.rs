//! The static table of RFC 7541 appendix A, and finding fields in it: names are hashed while compiling.
#![expect(
    clippy::indexing_slicing,
    reason = "every index is made from the table's own bounds, or taken modulo the length"
)]

use super::table::Found;

/// The fields at index 1 to 61, in order.
pub(super) static FIELDS: [(&[u8], &[u8]); 61] = [
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"200"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"304"),
    (b":status", b"400"),
    (b":status", b"404"),
    (b":status", b"500"),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    (b"accept-language", b""),
    (b"accept-ranges", b""),
    (b"accept", b""),
    (b"access-control-allow-origin", b""),
    (b"age", b""),
    (b"allow", b""),
    (b"authorization", b""),
    (b"cache-control", b""),
    (b"content-disposition", b""),
    (b"content-encoding", b""),
    (b"content-language", b""),
    (b"content-length", b""),
    (b"content-location", b""),
    (b"content-range", b""),
    (b"content-type", b""),
    (b"cookie", b""),
    (b"date", b""),
    (b"etag", b""),
    (b"expect", b""),
    (b"expires", b""),
    (b"from", b""),
    (b"host", b""),
    (b"if-match", b""),
    (b"if-modified-since", b""),
    (b"if-none-match", b""),
    (b"if-range", b""),
    (b"if-unmodified-since", b""),
    (b"last-modified", b""),
    (b"link", b""),
    (b"location", b""),
    (b"max-forwards", b""),
    (b"proxy-authenticate", b""),
    (b"proxy-authorization", b""),
    (b"range", b""),
    (b"referer", b""),
    (b"refresh", b""),
    (b"retry-after", b""),
    (b"server", b""),
    (b"set-cookie", b""),
    (b"strict-transport-security", b""),
    (b"transfer-encoding", b""),
    (b"user-agent", b""),
    (b"vary", b""),
    (b"via", b""),
    (b"www-authenticate", b""),
];

/// How many slots the index of names has.
const SLOTS: usize = 128;
static INDEX: Index = index();

/// The first entry of each name, by the name's slot, and from each the next one in its slot; 0 where there is none.
struct Index {
    heads: [u8; SLOTS],
    next: [u8; 62],
}

/// Looks a field up.
pub(super) fn find(name: &[u8], value: &[u8]) -> Found {
    let mut index = usize::from(INDEX.heads[slot(name)]);
    while index > 0 {
        if FIELDS[index - 1].0 == name {
            let named = FIELDS[index - 1..].iter().take_while(|field| field.0 == name);
            let whole = named.enumerate().find(|(_, field)| field.1 == value);
            return whole.map_or(Found::Name(index), |(more, _)| Found::Field(index + more));
        }
        index = usize::from(INDEX.next[index]);
    }
    Found::Nothing
}

const fn slot(name: &[u8]) -> usize {
    match name {
        [first, .., last] => (name.len() * 5 + *first as usize * 30 + *last as usize * 11) % SLOTS,
        _ => 0,
    }
}

const fn index() -> Index {
    let mut index = Index { heads: [0; SLOTS], next: [0; 62] };
    let mut at = FIELDS.len();
    while at > 0 {
        at -= 1;
        if at == 0 || !same(FIELDS[at].0, FIELDS[at - 1].0) {
            let slot = slot(FIELDS[at].0);
            index.next[at + 1] = index.heads[slot];
            index.heads[slot] = at as u8 + 1;
        }
    }
    index
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}
