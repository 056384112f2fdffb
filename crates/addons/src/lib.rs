//! The built-in features: rewrite, map, block, replay. Each is an [`Addon`](flowgate_proxy::Addon) on the same hooks that
//! everybody has.
//!
//! Read [`Features`] first: which options make which addons, in which order. A feature's file holds its rules as plain data, what they
//! do to plain data, and a few lines that stand on hooks. What an option says is checked when the addons are made, so that a mistake
//! ends the start, or leaves what was in force.
//!
//! Not here: who is decrypted (`flowgate-policy`), and reading of flow files (`flowgate-formats`), which are handed in as [`Recordings`].
#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing)]

mod error;
mod features;
pub mod limits;
// How features are written ...
mod on_request;
mod replacement;
mod spec;
// ... what they are ...
mod block_list;
mod faults;
mod map_local;
mod map_remote;
mod modify_body;
mod modify_headers;
mod onboarding;
mod private_targets;
mod proxy_auth;
mod server_replay;
mod small_edits;
mod sticky_auth;
mod sticky_cookie;
// ... and what they need.
mod date;
mod decoding;
mod log;

#[cfg(test)]
mod testing;

use flowgate_flow::Response;
use flowgate_proxy::LiveFlow;

pub use decoding::Decoding;
pub use error::{FeatureError, FeatureFault};
pub use features::{Features, OPTIONS};
pub use onboarding::CaFiles;
pub use server_replay::{Recordings, is_offline};

/// How we name ourselves in responses of our own.
const SERVER: &str = concat!("flowgate/", env!("CARGO_PKG_VERSION"));

/// Answers a client that has nothing yet, as requests' hooks promise.
fn answer(flow: &mut LiveFlow, response: Response) {
    debug_assert!((200..=999).contains(&response.status), "features answer with final statuses");
    let _ = flow.respond(response);
}
