//! Reading: the entries one by one from a stream, whatever stands around them.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead, Read};

use flowgate_flow::Flow;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::entry::Entry;
use super::import;
use super::lenient::{Object, Text};
use super::unicode::{NotText, Utf8};
use super::url::NoUrl;

/// What is accepted of a HAR file. Depth is bounded besides: at 127 lists and objects within each other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HarLimits {
    /// Bytes of one entry, and of what stands before or after the entries.
    pub entry_bytes_max: u64,
    /// Entries of a file.
    pub entries_max: u64,
}

impl HarLimits {
    /// 512 MiB: browsers write no larger ones.
    pub const ENTRY_BYTES_MAX: u64 = 512 << 20;
    /// More than any file of a terabyte has.
    pub const ENTRIES_MAX: u64 = 1 << 32;
}

impl Default for HarLimits {
    fn default() -> Self {
        Self { entry_bytes_max: Self::ENTRY_BYTES_MAX, entries_max: Self::ENTRIES_MAX }
    }
}

/// What was read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HarSummary {
    /// Entries that became flows.
    pub flows: u64,
    /// Entries that were no HTTP exchange: of `data:` and `blob:` URLs.
    pub skipped: u64,
}

/// Entries of which no flow could be made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Malformed {
    /// The first one, counted from 1.
    first: u64,
    /// How many come after it.
    more: u64,
}

/// Why the rest of a HAR file cannot be read. The flows before were handed out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HarError {
    /// The input failed.
    #[error("cannot read the HAR file at byte {offset} after {flows} flows")]
    Io {
        /// Bytes read before.
        offset: u64,
        /// Flows read before.
        flows: u64,
        /// What the input says.
        #[source]
        error: io::Error,
    },
    /// No JSON, or JSON that ends early.
    #[error("HAR file corrupted at byte {offset} after {flows} flows")]
    Corrupted {
        /// Bytes read before.
        offset: u64,
        /// Flows read before.
        flows: u64,
        /// What was expected, with line and column.
        #[source]
        error: serde_json::Error,
    },
    /// Bytes that stand in no text of UTF-8 or UTF-16.
    #[error("HAR file corrupted at byte {offset} after {flows} flows")]
    Text {
        /// Bytes read before.
        offset: u64,
        /// Flows read before.
        flows: u64,
        /// What is wrong with them.
        #[source]
        error: NotText,
    },
    /// JSON without `log.entries`.
    #[error("this JSON is no HAR file: it has no list `log.entries`")]
    NoEntries,
    /// An entry, or what stands around the entries, is larger than the reader allows.
    #[error("HAR entry of more than {limit} bytes at byte {offset} after {flows} flows")]
    EntryBytes {
        /// Bytes read before.
        offset: u64,
        /// Flows read before.
        flows: u64,
        /// [`HarLimits::entry_bytes_max`].
        limit: u64,
    },
    /// Entries without a request, or without a URL of it. All others were handed out, those behind it, too.
    #[error("HAR entry {first} has no URL of a request{}", more_like_it(*.more))]
    NoRequest {
        /// The first of them, counted from 1.
        first: u64,
        /// How many there are besides.
        more: u64,
    },
    /// More entries than the reader allows.
    #[error("HAR file of more than {limit} entries")]
    Entries {
        /// [`HarLimits::entries_max`].
        limit: u64,
    },
}

fn more_like_it(more: u64) -> String {
    if more == 0 { String::new() } else { format!(", nor have {more} more") }
}

/// Hands each flow of a HAR file to `each`, in order. It may begin with a byte order mark, and is UTF-16 if that says so.
///
/// # Errors
/// See [`HarError`]; what was read before has been handed out.
pub fn read_har(
    input: impl BufRead,
    limits: &HarLimits,
    each: impl FnMut(Flow),
) -> Result<HarSummary, HarError> {
    let (offset, mark) = (Cell::new(0), Cell::new(0));
    let input = Counted { input, offset: &offset, mark: &mark, limit: limits.entry_bytes_max };
    let mut state = State {
        each,
        summary: HarSummary::default(),
        malformed: None,
        found: false,
        offset: &offset,
        mark: &mark,
        limits: *limits,
    };
    let mut json = serde_json::Deserializer::from_reader(Utf8::new(input));
    let outcome = Level::Top(&mut state).deserialize(&mut json).and_then(|()| json.end());
    let flows = state.summary.flows;
    let offset = offset.get();
    match outcome {
        _ if state.entries() > limits.entries_max => Err(HarError::Entries { limit: limits.entries_max }),
        Ok(()) if !state.found => Err(HarError::NoEntries),
        Ok(()) => match state.malformed {
            Some(Malformed { first, more }) => Err(HarError::NoRequest { first, more }),
            None => Ok(state.summary),
        },
        Err(_) if offset - mark.get() > limits.entry_bytes_max => {
            Err(HarError::EntryBytes { offset, flows, limit: limits.entry_bytes_max })
        }
        Err(error) if error.is_io() => {
            let error = io::Error::from(error);
            let not_text = error.get_ref().and_then(|error| error.downcast_ref::<NotText>()).copied();
            Err(match not_text {
                Some(error) => HarError::Text { offset, flows, error },
                None => HarError::Io { offset, flows, error },
            })
        }
        Err(error) => Err(HarError::Corrupted { offset, flows, error }),
    }
}

struct State<'s, F> {
    each: F,
    summary: HarSummary,
    malformed: Option<Malformed>,
    found: bool,
    offset: &'s Cell<u64>,
    mark: &'s Cell<u64>,
    limits: HarLimits,
}

impl<F> State<'_, F> {
    /// How many entries there were.
    fn entries(&self) -> u64 {
        let malformed = self.malformed.map_or(0, |malformed| malformed.more + 1);
        self.summary.flows + self.summary.skipped + malformed
    }
}

/// Where in the document we are: above `log`, in it, at its `entries`.
enum Level<'l, 's, F> {
    Top(&'l mut State<'s, F>),
    Log(&'l mut State<'s, F>),
    Entries(&'l mut State<'s, F>),
}

impl<'de, F: FnMut(Flow)> DeserializeSeed<'de> for Level<'_, '_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        match &self {
            Self::Top(_) | Self::Log(_) => from.deserialize_map(self),
            Self::Entries(_) => from.deserialize_seq(self),
        }
    }
}

impl<'de, F: FnMut(Flow)> Visitor<'de> for Level<'_, '_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Top(_) => "an object with `log`",
            Self::Log(_) => "an object with `entries`",
            Self::Entries(_) => "a list of entries",
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (state, wanted, is_log) = match self {
            Self::Top(state) => (state, "log", false),
            Self::Log(state) => (state, "entries", true),
            Self::Entries(_) => return Ok(()),
        };
        while let Some(Text(key)) = map.next_key()? {
            if key.as_deref() != Some(wanted) {
                map.next_value::<IgnoredAny>()?;
            } else if is_log {
                map.next_value_seed(Level::Entries(&mut *state))?;
            } else {
                map.next_value_seed(Level::Log(&mut *state))?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self::Entries(state) = self else { return Err(A::Error::custom("expected an object")) };
        state.found = true;
        loop {
            state.mark.set(state.offset.get());
            let Some(entry) = seq.next_element::<Object<Entry>>()? else { return Ok(()) };
            let before = state.entries();
            match import::flow(entry.0, before) {
                Ok(flow) if before < state.limits.entries_max => {
                    state.summary.flows += 1;
                    (state.each)(flow);
                }
                Err(NoUrl::Malformed) => match &mut state.malformed {
                    Some(malformed) => malformed.more += 1,
                    none => *none = Some(Malformed { first: before + 1, more: 0 }),
                },
                _ => state.summary.skipped += 1,
            }
            if state.entries() > state.limits.entries_max {
                return Err(A::Error::custom("too many entries"));
            }
        }
    }
}

/// Counts what is read, and ends when too much was since the mark.
struct Counted<'c, R> {
    input: R,
    offset: &'c Cell<u64>,
    mark: &'c Cell<u64>,
    limit: u64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.offset.get() - self.mark.get() > self.limit {
            return Err(io::Error::other("an entry is too large"));
        }
        let n = self.input.read(buf)?;
        self.offset.set(self.offset.get() + n as u64);
        Ok(n)
    }
}
