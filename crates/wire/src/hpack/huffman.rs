//! The Huffman code of RFC 7541 appendix B. It is canonical, so its lengths say all; the tables are made when compiling.
//!
//! Reading takes four bits a step through a table of (state, four bits); the shortest code has five bits, so a step
//! ends at most one symbol.
#![expect(clippy::indexing_slicing, reason = "every index is a byte or made from the table's own bounds")]

use super::Error;

/// The symbol that ends a string, and must not be in one.
const EOS: usize = 256;

/// How many bits each symbol has.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

static CODES: [u32; 257] = codes();
static STEPS: [[Step; 16]; 256] = steps();
static ENDS: [bool; 256] = ends();

/// What four bits do in one state of the reader.
#[derive(Clone, Copy)]
struct Step {
    next: u8,
    symbol: u8,
    emits: bool,
    fails: bool,
}

/// Appends what `coded` stands for.
pub(super) fn decode(coded: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    out.reserve(coded.len() * 8 / 5);
    let mut state = 0_u8;
    for byte in coded {
        for four in [byte >> 4, byte & 15] {
            let step = STEPS[usize::from(state)][usize::from(four)];
            if step.fails {
                return Err(Error::Huffman);
            }
            if step.emits {
                out.push(step.symbol);
            }
            state = step.next;
        }
    }
    if ENDS[usize::from(state)] { Ok(()) } else { Err(Error::Huffman) }
}

/// How many bytes `text` takes when coded.
pub(super) fn coded_len(text: &[u8]) -> usize {
    let bits: usize = text.iter().map(|byte| usize::from(LENGTHS[usize::from(*byte)])).sum();
    bits.div_ceil(8)
}

/// Appends `text` in code, padded with ones.
pub(super) fn encode(text: &[u8], out: &mut Vec<u8>) {
    let (mut bits, mut count) = (0_u64, 0_u32);
    for byte in text {
        let len = u32::from(LENGTHS[usize::from(*byte)]);
        bits = bits << len | u64::from(CODES[usize::from(*byte)]);
        count += len;
        while count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    if count > 0 {
        out.push((bits << (8 - count)) as u8 | 0xff >> count);
    }
}

const fn codes() -> [u32; 257] {
    let mut codes = [0; 257];
    let (mut len, mut code) = (1, 0);
    while len <= 30 {
        let mut symbol = 0;
        while symbol < 257 {
            if LENGTHS[symbol] == len {
                codes[symbol] = code;
                code += 1;
            }
            symbol += 1;
        }
        code <<= 1;
        len += 1;
    }
    codes
}

/// The code as a tree: 0 is no child, up to 255 a node, from 256 on a symbol.
const fn tree() -> [[u16; 2]; 256] {
    let codes = codes();
    let mut tree = [[0_u16; 2]; 256];
    let mut nodes = 1;
    let mut symbol = 0;
    while symbol < 257 {
        let mut node = 0;
        let mut left = LENGTHS[symbol];
        while left > 1 {
            left -= 1;
            let bit = (codes[symbol] >> left & 1) as usize;
            if tree[node][bit] == 0 {
                tree[node][bit] = nodes;
                nodes += 1;
            }
            node = tree[node][bit] as usize;
        }
        tree[node][(codes[symbol] & 1) as usize] = 256 + symbol as u16;
        symbol += 1;
    }
    tree
}

const fn steps() -> [[Step; 16]; 256] {
    let tree = tree();
    let mut steps = [[Step { next: 0, symbol: 0, emits: false, fails: false }; 16]; 256];
    let mut state = 0;
    while state < 256 {
        let mut four = 0;
        while four < 16 {
            let mut node = state;
            let mut bit = 4;
            while bit > 0 {
                bit -= 1;
                let child = tree[node][four >> bit & 1] as usize;
                node = if child < 256 { child } else { 0 };
                if child == 256 + EOS {
                    steps[state][four].fails = true;
                } else if child >= 256 {
                    steps[state][four].emits = true;
                    steps[state][four].symbol = (child - 256) as u8;
                }
            }
            steps[state][four].next = node as u8;
            four += 1;
        }
        state += 1;
    }
    steps
}

/// The states in which a string may end: up to seven ones since the last symbol.
const fn ends() -> [bool; 256] {
    let tree = tree();
    let mut ends = [false; 256];
    let (mut node, mut ones) = (0, 0);
    while ones < 8 {
        ends[node] = true;
        node = tree[node][1] as usize;
        ones += 1;
    }
    ends
}
