//! Mode `reverse:`: everything goes to one server, whatever the client believes to talk to.

use flowgate_flow::Address;
use flowgate_net::BoxIo;
use flowgate_options::server_spec::{Scheme, ServerSpec};
use flowgate_policy::Expect;

use crate::context::Context;
use crate::tunnel::{self, AskFor, ServerTls, Target};

/// Serves a client until it is gone.
pub(crate) async fn serve(context: &Context, server: &ServerSpec, client: BoxIo) {
    let target = target(server, context.settings.keep_host_header);
    // Boxed: it is over before anything comes.
    let (context, server) = Box::pin(tunnel::open_early(context, &target)).await;
    tunnel::run(&context, target, client, server, None).await;
}

/// Where the mode sends everything.
pub(crate) fn target(server: &ServerSpec, keep_host_header: bool) -> Target {
    let address = Address { host: server.host.clone(), port: server.port };
    let ask_for = if keep_host_header { AskFor::ClientsName } else { AskFor::Address };
    let (expect, server_tls) = match server.scheme {
        Scheme::Http => (Expect::Http, ServerTls::Never),
        Scheme::Https => (Expect::Http, ServerTls::Always(ask_for)),
        Scheme::Tls => (Expect::Raw, ServerTls::Always(ask_for)),
        Scheme::Http3 => (Expect::Http, ServerTls::Always(ask_for)),
        // `tcp`, `udp` and `quic`: the options let no other scheme through.
        _ => (Expect::Raw, ServerTls::Never),
    };
    let host = (expect == Expect::Http && !keep_host_header).then(|| host_field(server));
    Target { address, expect, server_tls, host }
}

/// What the Host field names: the server, with its port unless the scheme implies that (RFC 9110 section 4.2).
fn host_field(server: &ServerSpec) -> String {
    let (open, close) = if server.host.contains(':') { ("[", "]") } else { ("", "") };
    let host = format!("{open}{}{close}", server.host);
    if server.scheme.default_port() == Some(server.port) { host } else { format!("{host}:{}", server.port) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_says_what_is_spoken() {
        let check = |spec: &str, expected: (Expect, ServerTls, Option<&str>)| {
            let target = target(&ServerSpec::parse(spec, Scheme::Https).unwrap(), false);
            assert_eq!((target.expect, target.server_tls, target.host.as_deref()), expected, "{spec}");
        };
        check("http://a.test", (Expect::Http, ServerTls::Never, Some("a.test")));
        check("http://a.test:443", (Expect::Http, ServerTls::Never, Some("a.test:443")));
        check("a.test:8443", (Expect::Http, ServerTls::Always(AskFor::Address), Some("a.test:8443")));
        check("https://[::1]", (Expect::Http, ServerTls::Always(AskFor::Address), Some("[::1]")));
        check("tls://a.test:1", (Expect::Raw, ServerTls::Always(AskFor::Address), None));
        check("tcp://a.test:1", (Expect::Raw, ServerTls::Never, None));
    }

    #[test]
    fn the_host_may_be_the_clients() {
        let target = target(&ServerSpec::parse("https://a.test", Scheme::Https).unwrap(), true);
        assert_eq!((target.host, target.server_tls), (None, ServerTls::Always(AskFor::ClientsName)));
    }
}
