//! The blocks of the file: lengths before and after, all padded to four bytes.

/// Section Header Block: little-endian, version 1.0, length not said.
pub(super) fn section(out: &mut Vec<u8>) {
    block(out, 0x0a0d_0d0a, |out| {
        out.extend_from_slice(&0x1a2b_3c4d_u32.to_le_bytes());
        out.extend_from_slice(&1_u16.to_le_bytes());
        out.extend_from_slice(&0_u16.to_le_bytes());
        out.extend_from_slice(&u64::MAX.to_le_bytes());
        option(out, SHB_USERAPPL, concat!("flowgate ", env!("CARGO_PKG_VERSION")).as_bytes());
        option(out, END_OF_OPTIONS, b"");
    });
}

/// Interface Description Block: packets begin with their IP header, times are in microseconds.
pub(super) fn interface(out: &mut Vec<u8>) {
    block(out, 1, |out| {
        out.extend_from_slice(&LINKTYPE_RAW.to_le_bytes());
        out.extend_from_slice(&0_u16.to_le_bytes());
        // No limit on packets.
        out.extend_from_slice(&0_u32.to_le_bytes());
        option(out, IF_NAME, b"flowgate");
        option(out, END_OF_OPTIONS, b"");
    });
}

/// Decryption Secrets Block with a TLS key log.
pub(super) fn secrets(out: &mut Vec<u8>, lines: &[u8]) {
    block(out, 10, |out| {
        out.extend_from_slice(&TLS_KEY_LOG.to_le_bytes());
        out.extend_from_slice(&(lines.len() as u32).to_le_bytes());
        out.extend_from_slice(lines);
        pad(out, lines.len());
    });
}

/// Enhanced Packet Block. `packet` writes the packet.
pub(super) fn packet(
    out: &mut Vec<u8>,
    microseconds: u64,
    comment: Option<&str>,
    packet: impl FnOnce(&mut Vec<u8>),
) {
    block(out, 6, |out| {
        out.extend_from_slice(&0_u32.to_le_bytes());
        out.extend_from_slice(&((microseconds >> 32) as u32).to_le_bytes());
        out.extend_from_slice(&(microseconds as u32).to_le_bytes());
        let lengths = out.len();
        out.extend_from_slice(&[0; 8]);
        let start = out.len();
        packet(out);
        let length = out.len() - start;
        for at in [lengths, lengths + 4] {
            put_length(out, at, length);
        }
        pad(out, length);
        if let Some(comment) = comment {
            option(out, OPT_COMMENT, comment.as_bytes());
            option(out, END_OF_OPTIONS, b"");
        }
    });
}

const LINKTYPE_RAW: u16 = 101;
/// `TLSK`
const TLS_KEY_LOG: u32 = 0x544c_534b;
const END_OF_OPTIONS: u16 = 0;
const OPT_COMMENT: u16 = 1;
const IF_NAME: u16 = 2;
const SHB_USERAPPL: u16 = 4;

fn block(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    body(out);
    let length = out.len() - start + 4;
    put_length(out, start + 4, length);
    out.extend_from_slice(&(length as u32).to_le_bytes());
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = value.get(..OPTION_BYTES_MAX.min(value.len())).unwrap_or_default();
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&(value.len() as u16).to_le_bytes());
    out.extend_from_slice(value);
    pad(out, value.len());
}

/// A length has 16 bits; nothing of ours comes near.
const OPTION_BYTES_MAX: usize = 4096;

fn pad(out: &mut Vec<u8>, length: usize) {
    out.resize(out.len() + (4 - length % 4) % 4, 0);
}

fn put_length(out: &mut [u8], at: usize, length: usize) {
    if let Some(place) = out.get_mut(at..at + 4) {
        place.copy_from_slice(&(length as u32).to_le_bytes());
    }
}
