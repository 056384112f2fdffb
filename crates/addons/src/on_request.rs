//! Features that act once on each request: when its head is there, or, if their filters look into bodies, when it is held whole.

use flowgate_proxy::{Addon, BodyNeed, HookFuture, LiveFlow};

/// What such a feature says and does.
pub(crate) trait RequestFeature: Send + Sync {
    /// As [`Addon::name`].
    fn name(&self) -> &str;

    /// Whether bodies have to be there before a request can be judged.
    fn reads_bodies(&self) -> bool;

    /// Acts on a request.
    fn act<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a>;

    /// As [`Addon::responseheaders`].
    fn responseheaders<'a>(&'a self, _: &'a mut LiveFlow) -> HookFuture<'a> {
        HookFuture::DONE
    }
}

/// The addon that asks the feature at the right time.
pub(crate) struct OnRequest<F>(pub(crate) F);

impl<F: RequestFeature> Addon for OnRequest<F> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn requestheaders<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        if self.0.reads_bodies() { HookFuture::DONE } else { self.0.act(flow) }
    }

    fn request_body(&self, _: &LiveFlow) -> BodyNeed {
        if self.0.reads_bodies() { BodyNeed::Whole } else { BodyNeed::Nothing }
    }

    fn request<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        // What is too long to be held cannot be judged.
        if self.0.reads_bodies() && flow.holds_request_body() { self.0.act(flow) } else { HookFuture::DONE }
    }

    fn responseheaders<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        self.0.responseheaders(flow)
    }
}
