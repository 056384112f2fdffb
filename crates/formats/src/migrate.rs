//! Flows of older formats, made into ones of the current version before anything else looks at them.
//!
//! mitmproxy numbers its formats and gives each change a step; so do we, on values, so that everything behind knows one
//! version. Steps never fail: what a broken flow lacks is told by the reader of the current version, with its key. Steps
//! whose work a later one undoes are left out, so many do nothing.
//!
//! Differs from mitmproxy: where a format had no ids of connections, they are made of what identifies a connection, not
//! at random; a backup is taken along; what a flow may lack (a response, a server's own address) does not end the reading.

mod connections;
mod entries;
mod handshakes;
mod messages;
mod settle;

use std::cell::OnceCell;

use bytes::Bytes;

use crate::FormatVersion;
use crate::tnetstring::Value;
use crate::version::VERSION;
use entries::Entries as _;

pub(crate) use handshakes::Handshakes;

/// The entries of a map, in the order of the file.
type Map<'a> = Vec<(Value<'a>, Value<'a>)>;
type Step = for<'a> fn(&mut Map<'a>);

/// Takes a flow and its backup to [`VERSION`]; one of an unknown version is left as it is.
///
/// `item` is what `value` was read from; `shelf` holds the item of a handshake that a WebSocket's flow is joined with.
pub(crate) fn to_current<'a>(
    value: Value<'a>,
    item: &Bytes,
    handshakes: &mut Handshakes,
    shelf: &'a OnceCell<Bytes>,
) -> Value<'a> {
    let Value::Map(mut flow) = value else { return value };
    if let Some(first) = first_step(&flow) {
        run(&mut flow, first..WEBSOCKET_STEP);
        if first <= WEBSOCKET_STEP {
            handshakes.join(&mut flow, item, shelf);
        }
        run(&mut flow, first.max(WEBSOCKET_STEP)..STEPS.len());
        finish(&mut flow);
    }
    migrate_backup(&mut flow);
    Value::Map(flow)
}

/// Backups of backups come from no program; the limit on nesting bounds them.
fn migrate_backup(flow: &mut Map<'_>) {
    let Some(backup) = flow.child("backup") else { return };
    if let Some(first) = first_step(backup) {
        run(backup, first..STEPS.len());
        finish(backup);
    }
    migrate_backup(backup);
}

fn finish(flow: &mut Map<'_>) {
    settle::settle(flow);
    flow.put("version", Value::Int(VERSION));
}

fn run(flow: &mut Map<'_>, steps: std::ops::Range<usize>) {
    for step in STEPS.get(steps).unwrap_or_default() {
        step(flow);
    }
}

/// The step that an older flow begins with; `None` for the current version and for those that nobody knows.
fn first_step(flow: &Map<'_>) -> Option<usize> {
    match FormatVersion::of(flow.value("version")?).ok()? {
        FormatVersion::Number(number @ 4..VERSION) => {
            usize::try_from(number).ok().map(|at| at - 4 + NUMBERS_FROM)
        }
        FormatVersion::Program(major, minor) => PROGRAMS.iter().position(|known| *known == (major, minor)),
        FormatVersion::Number(_) => None,
    }
}

/// The versions that were those of the program.
const PROGRAMS: [(i64, i64); NUMBERS_FROM] =
    [(0, 11), (0, 12), (0, 13), (0, 14), (0, 15), (0, 16), (0, 17), (0, 18), (0, 19), (1, 0), (2, 0), (3, 0)];
const NUMBERS_FROM: usize = 12;
/// The step from 11 to 12, which takes two flows.
const WEBSOCKET_STEP: usize = 11 - 4 + NUMBERS_FROM;

const STEPS: [Step; VERSION as usize - 4 + NUMBERS_FROM] = [
    nothing,                        // 0.11
    nothing,                        // 0.12
    messages::name_as_0_14,         // 0.13
    nothing,                        // 0.14
    messages::name_as_0_16,         // 0.15
    nothing,                        // 0.16
    connections::name_as_0_18,      // 0.17
    messages::add_what_0_19_has,    // 0.18
    nothing,                        // 0.19
    connections::unwrap_addresses,  // 1.0
    connections::add_mitmcert,      // 2.0
    nothing,                        // 3.0
    connections::add_ids,           // 4
    connections::say_tls_for_ssl,   // 5
    nothing,                        // 6
    messages::add_trailers,         // 7
    messages::add_authority,        // 8
    connections::add_offers,        // 9
    connections::name_alpn,         // 10
    messages::add_websocket,        // 11, for flows without one
    messages::say_mark_in_words,    // 12
    messages::add_comment,          // 13
    messages::say_whether_injected, // 14
    messages::add_creation_time,    // 15
    nothing,                        // 16
    connections::add_mode,          // 17
    connections::name_as_19,        // 18
    nothing,                        // 19
    connections::number_quic,       // 20
];

fn nothing(_: &mut Map<'_>) {}
