//! The addons of a proxy, and running them at a hook.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::FutureExt;

use super::{Addon, BodyNeed, HookFuture, LiveFlow, Outcome, Transform};

/// The hooks of an HTTP flow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Hook {
    RequestHeaders,
    Request,
    ResponseHeaders,
    Response,
    Error,
}

/// What all addons together need of one body.
#[derive(Default)]
pub(crate) struct Needs {
    pub(crate) transforms: Vec<Box<dyn Transform>>,
    pub(crate) whole: bool,
}

/// The addons of a proxy, in their order.
#[derive(Clone, Default)]
pub(crate) struct Addons(Arc<[Arc<dyn Addon>]>);

impl fmt::Debug for Addons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|addon| addon.name())).finish()
    }
}

impl Addons {
    pub(crate) fn new(addons: Vec<Arc<dyn Addon>>) -> Self {
        Self(addons.into())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Offers a flow to each addon in turn, until one has the last word.
    pub(crate) async fn run(&self, hook: Hook, live: &mut LiveFlow) {
        for addon in self.0.iter() {
            // A panic leaves a whole flow behind: its parts are only ever replaced. It fails all the same.
            let running = AssertUnwindSafe(async { call(&**addon, hook, live).await });
            if running.catch_unwind().await.is_err() {
                live.panicked(addon.name());
            }
            if *live.outcome() != Outcome::Continue {
                break;
            }
        }
    }

    /// What they need of the request's body (or the response's).
    ///
    /// # Errors
    /// The name of the addon that panicked.
    pub(crate) fn needs(&self, response: bool, live: &LiveFlow) -> Result<Needs, String> {
        let mut needs = Needs::default();
        for addon in self.0.iter() {
            let asking =
                AssertUnwindSafe(
                    || {
                        if response { addon.response_body(live) } else { addon.request_body(live) }
                    },
                );
            match catch_unwind(asking).map_err(|_| addon.name().to_owned())? {
                BodyNeed::Nothing => {}
                BodyNeed::Transform(transform) => needs.transforms.push(transform),
                BodyNeed::Whole => needs.whole = true,
            }
        }
        Ok(needs)
    }
}

fn call<'a>(addon: &'a dyn Addon, hook: Hook, live: &'a mut LiveFlow) -> HookFuture<'a> {
    match hook {
        Hook::RequestHeaders => addon.requestheaders(live),
        Hook::Request => addon.request(live),
        Hook::ResponseHeaders => addon.responseheaders(live),
        Hook::Response => addon.response(live),
        Hook::Error => addon.error(live),
    }
}
