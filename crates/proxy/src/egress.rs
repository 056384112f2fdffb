//! The ways out: straight to a server, or through an upstream proxy. A value that each client connection carries.
//!
//! Any way in goes with any way out: who opens a connection to a server ([`server`](crate::server)) asks the egress and
//! nobody else does. Nothing here decides who is decrypted, and no upstream proxy is a server of a flow: flows name it as
//! `via`.

mod http_connect;
mod socks5;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flowgate_flow::{Address, Headers, Phase, Via};
use flowgate_net::BoxIo;
use flowgate_options::mode_spec::Mode;
use flowgate_options::server_spec::Scheme;
use flowgate_options::{Credentials, EgressSpec};
use flowgate_wire::http1::{EncodeError, HeadError};
use flowgate_wire::socks5_client::Socks5Error;
use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use crate::context::Context;
use crate::server::{self, TlsError};
use crate::settings::Settings;
use crate::tls_io::TlsIo;

/// How a client connection's servers are reached.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Egress {
    /// Straight.
    #[default]
    Direct,
    /// Through an HTTP proxy.
    Http(UpstreamProxy),
    /// Through an HTTP proxy that is spoken to in TLS ("secure web proxy").
    Https(UpstreamProxy),
    /// Through a SOCKS5 proxy (RFC 1928).
    Socks5(UpstreamProxy),
}

/// A proxy that we go through.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UpstreamProxy {
    /// Where it listens.
    pub address: Address,
    /// Who we are to it (mitmproxy: `upstream_auth`).
    pub credentials: Option<Credentials>,
    /// Who said that we do.
    pub chosen_by: ChosenBy,
}

/// Who chose a way out.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ChosenBy {
    /// The mode.
    #[default]
    Mode,
    /// A rule (`via`).
    Rule,
}

/// What a connection through the egress is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    /// Bytes for the server and nobody else.
    Tunnel,
    /// Requests in clear text that an upstream proxy for HTTP may read and forward itself (RFC 9112 section 3.2.2).
    Requests,
}

/// How requests are written for an upstream proxy that forwards them itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct ForwardedRequests {
    authorization: Option<Bytes>,
}

/// Why an upstream proxy did not let us through.
#[derive(Debug, Error)]
pub(crate) enum EgressError {
    #[error("{0}")]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Connection(#[from] std::io::Error),
    #[error("closed the connection before it answered")]
    Closed,
    #[error("did not answer in time")]
    TimedOut,
    #[error("cannot be asked: {0}")]
    Request(#[from] EncodeError),
    #[error("its answer to CONNECT is not HTTP/1: {0}")]
    Answer(#[from] HeadError),
    #[error("sent too many interim responses")]
    TooManyInterim,
    #[error("answered CONNECT with {status}{}", phrase(.reason))]
    Status { status: u16, reason: Bytes },
    #[error(transparent)]
    Socks5(#[from] Socks5Error),
}

/// A reason phrase as it follows a status; bytes that are no text are replaced.
fn phrase(reason: &[u8]) -> String {
    /// More is not an explanation.
    const BYTES_MAX: usize = 200;
    let shown = String::from_utf8_lossy(reason.get(..BYTES_MAX).unwrap_or(reason));
    if shown.is_empty() { String::new() } else { format!(" {shown}") }
}

impl Egress {
    /// The way out of connections that this mode accepts.
    #[must_use]
    pub fn of_mode(mode: &Mode, settings: &Settings) -> Self {
        let Mode::Upstream(spec) = mode else { return Self::Direct };
        let proxy = UpstreamProxy {
            address: Address { host: spec.host.clone(), port: spec.port },
            credentials: settings.upstream_auth.clone(),
            chosen_by: ChosenBy::Mode,
        };
        Self::through(spec.scheme, proxy)
    }

    /// The way out that a rule names.
    #[must_use]
    pub fn of_rule(spec: &EgressSpec) -> Self {
        match spec {
            EgressSpec::Direct => Self::Direct,
            EgressSpec::Proxy { server, credentials } => {
                let address = Address { host: server.host.clone(), port: server.port };
                let credentials = credentials.clone();
                Self::through(
                    server.scheme,
                    UpstreamProxy { address, credentials, chosen_by: ChosenBy::Rule },
                )
            }
        }
    }

    const fn through(scheme: Scheme, proxy: UpstreamProxy) -> Self {
        match scheme {
            Scheme::Https => Self::Https(proxy),
            Scheme::Socks5 => Self::Socks5(proxy),
            // Neither modes nor rules have other schemes.
            _ => Self::Http(proxy),
        }
    }

    /// The proxy that connections go through, if they do.
    pub(crate) const fn upstream_proxy(&self) -> Option<&UpstreamProxy> {
        match self {
            Self::Direct => None,
            Self::Http(proxy) | Self::Https(proxy) | Self::Socks5(proxy) => Some(proxy),
        }
    }

    /// The upstream proxy as flows name it.
    pub(crate) fn via(&self) -> Option<Via> {
        let scheme = match self {
            Self::Direct => return None,
            Self::Http(_) => Scheme::Http,
            Self::Https(_) => Scheme::Https,
            Self::Socks5(_) => Scheme::Socks5,
        };
        let address = self.upstream_proxy()?.address.clone();
        Some(Via { scheme: scheme.name().to_owned(), address })
    }

    /// How clear-text requests are written if the upstream proxy takes them as they are, without a tunnel.
    pub(crate) fn forwarded_requests(&self, purpose: Purpose) -> Option<ForwardedRequests> {
        match (purpose, self) {
            (Purpose::Requests, Self::Http(proxy) | Self::Https(proxy)) => {
                Some(ForwardedRequests { authorization: proxy.credentials.as_ref().map(basic) })
            }
            _ => None,
        }
    }

    /// Makes of a TCP connection to the first hop one that leads to `server`.
    pub(crate) async fn lead(
        &self,
        context: &Context,
        io: BoxIo,
        server: &Address,
        purpose: Purpose,
        deadline: Instant,
    ) -> Result<BoxIo, EgressError> {
        let leading = async {
            match self {
                Self::Direct => Ok(io),
                Self::Http(proxy) => lead_http(context, proxy, io, server, purpose).await,
                Self::Https(proxy) => {
                    let offers = [Bytes::from_static(b"http/1.1")];
                    let tls = server::connect_tls(context, io, &proxy.address.host, &offers).await?;
                    lead_http(context, proxy, Box::new(TlsIo::new(tls)), server, purpose).await
                }
                Self::Socks5(proxy) => socks5::open_tunnel(io, server, proxy.credentials.as_ref()).await,
            }
        };
        timeout_at(deadline, leading).await.unwrap_or(Err(EgressError::TimedOut))
    }
}

async fn lead_http(
    context: &Context,
    proxy: &UpstreamProxy,
    io: BoxIo,
    server: &Address,
    purpose: Purpose,
) -> Result<BoxIo, EgressError> {
    match purpose {
        Purpose::Requests => Ok(io),
        Purpose::Tunnel => {
            let authorization = proxy.credentials.as_ref().map(basic);
            let host = context.settings.http_connect_send_host_header;
            http_connect::open_tunnel(io, server, authorization.as_deref(), host).await
        }
    }
}

/// Basic credentials (RFC 7617).
pub(crate) fn basic(credentials: &Credentials) -> Bytes {
    let pair = format!("{}:{}", credentials.user(), credentials.password());
    format!("Basic {}", STANDARD.encode(pair)).into()
}

impl ForwardedRequests {
    /// The fields of a request as the upstream proxy gets them. What is added is for it alone, so flows do not show it.
    pub(crate) fn fields(&self, headers: &Headers) -> Headers {
        let mut headers = headers.clone();
        if let Some(authorization) = &self.authorization {
            headers.push("Proxy-Authorization", authorization);
        }
        headers
    }
}

impl EgressError {
    pub(crate) const fn phase(&self) -> Phase {
        if matches!(self, Self::Tls(_)) { Phase::Tls } else { Phase::Connect }
    }

    /// The status that tells a client of it: 502, or 504 if nobody answered. What the upstream proxy said is in the text.
    pub(crate) const fn status(&self) -> u16 {
        if matches!(self, Self::TimedOut | Self::Tls(TlsError::TimedOut { .. })) { 504 } else { 502 }
    }

    /// What can be done about it.
    pub(crate) fn hint(&self, chosen_by: ChosenBy) -> Option<String> {
        let hint = match (self, chosen_by) {
            (Self::Tls(err), _) => return err.hint(),
            (
                Self::Status { status: 407, .. }
                | Self::Socks5(Socks5Error::AuthRequired | Socks5Error::AuthRefused),
                chosen_by,
            ) => match chosen_by {
                ChosenBy::Mode => "option `upstream_auth` is where its name and password belong",
                ChosenBy::Rule => {
                    "its name and password belong into the rule: `via = \"SCHEME://USER:PASSWORD@HOST\"`"
                }
            },
            (Self::Socks5(Socks5Error::Version { .. }) | Self::Answer(_), chosen_by) => match chosen_by {
                ChosenBy::Mode => "is its scheme in `--mode upstream:SCHEME://HOST:PORT` the right one?",
                ChosenBy::Rule => "is its scheme in the rule's `via` the right one?",
            },
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::tests::context;
    use crate::limits::CONNECT_TIMEOUT;

    fn ways_through(address: &Address) -> [Egress; 3] {
        let proxy =
            || UpstreamProxy { address: address.clone(), credentials: None, chosen_by: ChosenBy::Mode };
        [Egress::Http(proxy()), Egress::Https(proxy()), Egress::Socks5(proxy())]
    }

    #[test]
    fn modes_choose_the_way_out() {
        let credentials = Credentials::parse("u:p");
        let settings = Settings { upstream_auth: credentials.clone(), ..Settings::default() };
        let way = |mode: &str| {
            Egress::of_mode(&mode.parse::<flowgate_options::mode_spec::ModeSpec>().unwrap().mode, &settings)
        };
        let proxy = |port| UpstreamProxy {
            address: Address { host: "p.test".into(), port },
            credentials: credentials.clone(),
            chosen_by: ChosenBy::Mode,
        };
        assert_eq!(way("regular"), Egress::Direct);
        assert_eq!(way("upstream:p.test"), Egress::Http(proxy(80)));
        assert_eq!(way("upstream:https://p.test"), Egress::Https(proxy(443)));
        assert_eq!(way("upstream:socks5://p.test"), Egress::Socks5(proxy(1080)));
    }

    #[test]
    fn rules_choose_the_way_out() {
        let way = |via: &str| Egress::of_rule(&EgressSpec::parse(via).unwrap());
        let proxy = |port, user: Option<&str>| UpstreamProxy {
            address: Address { host: "p.test".into(), port },
            credentials: user.and_then(Credentials::parse),
            chosen_by: ChosenBy::Rule,
        };
        assert_eq!(way("direct"), Egress::Direct);
        assert_eq!(way("http://p.test"), Egress::Http(proxy(80, None)));
        assert_eq!(way("https://u:p@p.test"), Egress::Https(proxy(443, Some("u:p"))));
        assert_eq!(way("socks5://u:p@p.test"), Egress::Socks5(proxy(1080, Some("u:p"))));
    }

    #[tokio::test(start_paused = true)]
    async fn an_upstream_proxy_that_says_nothing_is_given_up_in_time() {
        let address = Address { host: "p.test".into(), port: 1 };
        for egress in ways_through(&address) {
            let context = context(egress);
            let (ours, _theirs) = tokio::io::duplex(4096);
            let began = Instant::now();
            let lead = context.egress.lead(
                &context,
                Box::new(ours),
                &address,
                Purpose::Tunnel,
                began + CONNECT_TIMEOUT,
            );
            let Err(error) = lead.await else { panic!("a tunnel through nobody") };
            assert_eq!((error.status(), began.elapsed()), (504, CONNECT_TIMEOUT), "{error}");
        }
    }

    #[tokio::test]
    async fn an_upstream_proxy_that_is_this_one_is_refused() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap();
        for egress in ways_through(&Address { host: "127.0.0.1".into(), port: own.port() }) {
            let context = context(egress);
            context.proxy.now_listening(flowgate_flow::Transport::Tcp, own);
            let server = Address { host: "a.test".into(), port: 443 };
            let Err(error) = server::open(&context, &server, Purpose::Tunnel).await else {
                panic!("a tunnel through ourselves")
            };
            assert!(
                error.message.ends_with("is this proxy itself: nothing would ever leave it"),
                "{error:?}"
            );
            assert_eq!((error.status, error.facts.via.is_some()), (502, true));
        }
    }
}
