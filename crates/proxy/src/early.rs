//! Connecting before the client has spoken, by the way out that is known then.
//!
//! Not a decision about the connection: what the client says may still change the way out, and then the tunnel gives up
//! what was opened here, unused, and connects again.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use flowgate_flow::Address;
use flowgate_options::ConnectionStrategy;
use flowgate_policy::{self as policy, Egress, Fact, Facts, FirstBytes};

use crate::context::Context;
use crate::egress::Purpose;
use crate::server::{self, OpenServer, ServerError};

/// Connects, unless that is to be lazy, or the host is one that exists only here, or the way out depends on what the client will say; then there is nothing yet. The
/// context that is given carries the way out.
pub(crate) async fn open<'a>(
    context: &'a Context,
    destination: &Address,
) -> (Cow<'a, Context>, Result<Option<OpenServer>, ServerError>) {
    let is_own = context.settings.addons.own(&destination.host);
    if is_own || context.settings.connection_strategy == ConnectionStrategy::Lazy {
        return (Cow::Borrowed(context), Ok(None));
    }
    let Some(context) = way_out(context, destination) else { return (Cow::Borrowed(context), Ok(None)) };
    let opened = server::open(&context, destination, Purpose::Tunnel).await;
    (context, opened.map(Some))
}

/// The connection with the way out that its destination alone says; `None` if that is not enough.
///
/// A client that names its destination is taken at its word: the name in the ClientHello is nearly always the same. Where
/// only an address is known, a rule about names has to wait for one.
fn way_out<'a>(context: &'a Context, destination: &Address) -> Option<Cow<'a, Context>> {
    let rules = &context.settings.rules;
    if !rules.choose_egress() {
        return Some(Cow::Borrowed(context));
    }
    let facts = context.facts(destination);
    let is_named = destination.host.parse::<IpAddr>().is_err();
    let egress = policy::egress(rules, &if is_named { as_it_stands(facts) } else { facts });
    let egress = match egress {
        Egress::Undecided { .. } => return None,
        Egress::OfMode => context.egress_by(None),
        Egress::Named(spec) => context.egress_by(Some(spec)),
    };
    Some(if Arc::ptr_eq(&egress, &context.egress) {
        Cow::Borrowed(context)
    } else {
        Cow::Owned(context.with_egress(egress))
    })
}

/// The facts as if nothing more were going to become known.
pub(crate) fn as_it_stands(facts: Facts<'_>) -> Facts<'_> {
    let end = |fact| if fact == Fact::Unknown { Fact::Absent } else { fact };
    Facts {
        first: match facts.first {
            FirstBytes::Nothing | FirstBytes::Partial => FirstBytes::Other,
            known => known,
        },
        sni: end(facts.sni),
        host: end(facts.host),
        ..facts
    }
}
