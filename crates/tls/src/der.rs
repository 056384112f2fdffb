//! A writer for the little DER that certificates and PKCS#12 need (X.690 §8, §10). It reads nothing.
//!
//! Why not a library: a leaf must repeat its CA's subject byte for byte (RFC 5280 §4.1.2.4). rcgen reads
//! a name into a map and writes it anew, which loses one of `DC=example, DC=com` and with it the chain.
//!
//! Invariant: every value is complete when the closure of its [`Der::nest`] returns.

pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const BMP_STRING: u8 = 0x1e;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const NULL: u8 = 0x05;
const OBJECT_IDENTIFIER: u8 = 0x06;

/// The tag `[number]`, primitive: for implicitly tagged strings.
pub(crate) const fn context(number: u8) -> u8 {
    0x80 | number
}

/// The tag `[number]`, constructed: for explicit tags and implicitly tagged sequences.
pub(crate) const fn context_constructed(number: u8) -> u8 {
    0xa0 | number
}

/// DER under construction.
#[derive(Default)]
pub(crate) struct Der(Vec<u8>);

impl Der {
    /// The bytes that `fill` writes.
    pub(crate) fn build(fill: impl FnOnce(&mut Self)) -> Vec<u8> {
        let mut der = Self::default();
        fill(&mut der);
        der.0
    }

    /// A value whose content is written by `fill`. The length is put in afterwards.
    pub(crate) fn nest(&mut self, tag: u8, fill: impl FnOnce(&mut Self)) {
        self.0.push(tag);
        let start = self.0.len();
        fill(self);
        let length = length_octets(self.0.len() - start);
        self.0.splice(start..start, length);
    }

    pub(crate) fn sequence(&mut self, fill: impl FnOnce(&mut Self)) {
        self.nest(SEQUENCE, fill);
    }

    /// A value with these content bytes.
    pub(crate) fn value(&mut self, tag: u8, content: &[u8]) {
        self.0.push(tag);
        self.0.extend(length_octets(content.len()));
        self.0.extend_from_slice(content);
    }

    /// DER made elsewhere.
    pub(crate) fn raw(&mut self, der: &[u8]) {
        self.0.extend_from_slice(der);
    }

    /// An object identifier, given by its content bytes.
    pub(crate) fn oid(&mut self, content: &[u8]) {
        self.value(OBJECT_IDENTIFIER, content);
    }

    pub(crate) fn boolean_true(&mut self) {
        self.value(BOOLEAN, &[0xff]);
    }

    pub(crate) fn null(&mut self) {
        self.value(NULL, &[]);
    }

    /// An integer from its two's-complement bytes. The caller sees to it that they are the shortest form.
    pub(crate) fn integer(&mut self, content: &[u8]) {
        self.value(INTEGER, content);
    }

    /// Whole octets as a bit string.
    pub(crate) fn bit_string(&mut self, octets: &[u8]) {
        self.nest(BIT_STRING, |der| {
            der.raw(&[0]);
            der.raw(octets);
        });
    }
}

/// A length in its shortest form (X.690 §10.1).
fn length_octets(length: usize) -> impl Iterator<Item = u8> {
    let bytes = length.to_be_bytes();
    let significant = bytes.len() - length.leading_zeros() as usize / 8;
    let prefix = match length {
        0..0x80 => None,
        _ => Some(0x80 | significant as u8),
    };
    let skip = bytes.len() - significant.max(1);
    prefix.into_iter().chain(bytes.into_iter().skip(skip))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_the_shortest() {
        for (length, expected) in [
            (0, vec![0]),
            (1, vec![1]),
            (127, vec![127]),
            (128, vec![0x81, 128]),
            (255, vec![0x81, 255]),
            (256, vec![0x82, 1, 0]),
            (65_536, vec![0x83, 1, 0, 0]),
        ] {
            assert_eq!(length_octets(length).collect::<Vec<_>>(), expected, "{length}");
        }
    }

    #[test]
    fn nested_values_get_the_length_of_what_was_written() {
        let der = Der::build(|der| {
            der.sequence(|der| {
                der.boolean_true();
                der.nest(context_constructed(0), |der| der.null());
                der.bit_string(&[7]);
            });
        });
        assert_eq!(der, [0x30, 11, 1, 1, 0xff, 0xa0, 2, 5, 0, 3, 2, 0, 7]);
    }
}
