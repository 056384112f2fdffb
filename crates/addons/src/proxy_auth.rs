//! `proxyauth`: clients have to say who they are before anything of theirs goes anywhere: in Basic credentials (RFC 7617), or in
//! the messages of SOCKS5.
//!
//! Who was let in by a CONNECT or by SOCKS5 is let in for the whole connection; other requests say it each, and credentials that were
//! heeded go no further. Connections of others are not relayed, whatever rule exempts them. What a client asks for in a replay of
//! ours is not asked again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flowgate_flow::{Body, ClientConnection, FlowId, Headers, MetadataValue, Replay};
use flowgate_logins::{Answer, Logins};
use flowgate_options::Level;
use flowgate_proxy::{Addon, HookFuture, LiveFlow, LiveLogin};

use crate::log::Log;

/// The metadata of a flow that says who sent it, as mitmproxy names it.
const METADATA: &str = "proxyauth";
/// What browsers show, and keep passwords by.
const CHALLENGE: &str = "Basic realm=\"flowgate\"";

/// The addon.
#[derive(Debug)]
pub(crate) struct ProxyAuth {
    logins: Arc<Logins>,
    /// Connections of which all is let in, by whose.
    admitted: Mutex<HashMap<FlowId, String>>,
    log: Log,
}

/// Whom a client takes us for, which says where its credentials stand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Role {
    Proxy,
    Server,
}

/// What a client said of itself.
#[derive(Debug, Eq, PartialEq)]
enum Said {
    Nothing,
    /// Something that cannot be read.
    Unreadable,
    Credentials {
        user: String,
        password: Vec<u8>,
    },
}

impl ProxyAuth {
    pub(crate) fn new(logins: Arc<Logins>, log: Log) -> Self {
        Self { logins, admitted: Mutex::default(), log }
    }

    /// Lets a flow through or answers it; a tunnel is let through with all that is in it.
    fn ask<'a>(&'a self, flow: &'a mut LiveFlow, is_tunnel: bool) -> HookFuture<'a> {
        let role = Role::of(flow.client());
        match said(&flow.request().headers, role) {
            Said::Credentials { user, password } => match self.logins.check_at_once(&user, &password) {
                Some(is_right) => self.decide(flow, role, user, is_right, is_tunnel),
                None => {
                    return HookFuture::new(async move {
                        let answer = self.logins.check(&user, &password).await;
                        let is_right = self.is_right(answer, flow.client());
                        self.decide(flow, role, user, is_right, is_tunnel);
                    });
                }
            },
            Said::Nothing => refuse(flow, role),
            Said::Unreadable => {
                self.log.line(Level::Warn, flow, format_args!("proxyauth: malformed credentials"));
                refuse(flow, role);
            }
        }
        HookFuture::DONE
    }

    fn decide(&self, flow: &mut LiveFlow, role: Role, user: String, is_right: bool, is_tunnel: bool) {
        if !is_right {
            self.tell_wrong(flow.client(), &user);
            return refuse(flow, role);
        }
        flow.request_mut().headers.remove(role.field());
        note(flow, &user);
        if is_tunnel {
            self.admit(flow.client(), user);
        }
    }

    fn is_right(&self, answer: Answer, client: &ClientConnection) -> bool {
        match answer {
            Answer::Right => true,
            Answer::Wrong => false,
            Answer::Unanswered(why) => {
                self.log.of_client(Level::Error, client, format_args!("proxyauth: {why}"));
                false
            }
        }
    }

    fn tell_wrong(&self, client: &ClientConnection, user: &str) {
        let user = user.escape_debug();
        self.log.of_client(Level::Warn, client, format_args!("proxyauth: `{user}` was not let in"));
    }

    fn admit(&self, client: &ClientConnection, user: String) {
        self.lock().insert(client.connection.id.clone(), user);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<FlowId, String>> {
        // What is behind a poisoned lock is whole: entries are only put in and taken out.
        self.admitted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Role {
    /// Differs by the mode alone: a client of `reverse:` believes to talk to a server, as one inside of SOCKS5 does.
    fn of(client: &ClientConnection) -> Self {
        let is_explicit = client.mode.starts_with("regular") || client.mode.starts_with("upstream:");
        if is_explicit { Self::Proxy } else { Self::Server }
    }

    const fn field(self) -> &'static str {
        match self {
            Self::Proxy => "Proxy-Authorization",
            Self::Server => "Authorization",
        }
    }
}

/// The client gets a page that says how to say who it is (RFC 9110 sections 15.5.8 and 15.5.2).
fn refuse(flow: &mut LiveFlow, role: Role) {
    let (status, field, title) = match role {
        Role::Proxy => (407, "Proxy-Authenticate", "407 Proxy Authentication Required"),
        Role::Server => (401, "WWW-Authenticate", "401 Unauthorized"),
    };
    let page =
        format!("<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>").into_bytes();
    let headers: Headers = [(field, CHALLENGE), ("Content-Type", "text/html")].into_iter().collect();
    crate::answer(flow, LiveFlow::response_of(status, headers, Body::Bytes(page.into())));
}

/// Who sent it. Differs from mitmproxy: the password is not kept with the flow.
fn note(flow: &mut LiveFlow, user: &str) {
    let known = [user.to_owned(), String::new()].map(MetadataValue::Text);
    flow.note(METADATA, MetadataValue::List(known.into()));
}

/// Reads Basic credentials (RFC 7617 section 2). Two fields are none: who would say which counts?
fn said(headers: &Headers, role: Role) -> Said {
    let mut values = headers.get_all(role.field());
    let Some(value) = values.next() else { return Said::Nothing };
    let mut read = || {
        let (scheme, rest) = value.split_at_checked(5).filter(|_| values.next().is_none())?;
        if !scheme.eq_ignore_ascii_case(b"basic") || !rest.first()?.is_ascii_whitespace() {
            return None;
        }
        let decoded = STANDARD.decode(rest.trim_ascii()).ok()?;
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        let (user, password) = decoded.split_at(colon);
        let user = String::from_utf8_lossy(user).into_owned();
        Some(Said::Credentials { user, password: password.get(1..)?.to_vec() })
    };
    read().unwrap_or(Said::Unreadable)
}

impl Addon for ProxyAuth {
    fn name(&self) -> &str {
        "proxyauth"
    }

    fn is_guard(&self) -> bool {
        true
    }

    fn judge_relay(&self, client: &ClientConnection) -> Result<(), String> {
        if self.lock().contains_key(&client.connection.id) {
            return Ok(());
        }
        Err("proxyauth: the client has not said who it is".to_owned())
    }

    fn client_disconnected<'a>(&'a self, client: &'a ClientConnection) -> HookFuture<'a> {
        self.lock().remove(&client.connection.id);
        HookFuture::DONE
    }

    fn socks5_auth<'a>(&'a self, login: &'a mut LiveLogin) -> HookFuture<'a> {
        HookFuture::new(async move {
            let user = String::from_utf8_lossy(login.user()).into_owned();
            let answer = self.logins.check(&user, login.password()).await;
            if self.is_right(answer, login.client()) {
                self.admit(login.client(), user);
                login.accept();
            } else {
                self.tell_wrong(login.client(), &user);
            }
        })
    }

    fn http_connect<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        self.ask(flow, true)
    }

    fn requestheaders<'a>(&'a self, flow: &'a mut LiveFlow) -> HookFuture<'a> {
        let user = self.lock().get(&flow.client().connection.id).cloned();
        if let Some(user) = user {
            note(flow, &user);
            return HookFuture::DONE;
        }
        if flow.flow().replay == Some(Replay::Request) {
            return HookFuture::DONE;
        }
        self.ask(flow, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fields: &[(&str, &str)], role: Role) -> Said {
        said(&fields.iter().copied().collect(), role)
    }

    #[test]
    fn basic_credentials() {
        let credentials =
            |user: &str, password: &[u8]| Said::Credentials { user: user.into(), password: password.into() };
        for (value, expected) in [
            ("Basic dTpw", credentials("u", b"p")),
            ("BASIC   dTpw ", credentials("u", b"p")),
            ("basic dTpwOnE=", credentials("u", b"p:q")),
            ("Basic dTo=", credentials("u", b"")),
            ("Basic Onc=", credentials("", b"w")),
            ("Basic w7w6w58=", credentials("ü", "ß".as_bytes())),
            ("Basic dTr/", credentials("u", b"\xff")),
            ("Basic", Said::Unreadable),
            ("Basic dQ==", Said::Unreadable),
            ("Basic dTpw!", Said::Unreadable),
            ("BasicdTpw", Said::Unreadable),
            ("Bearer dTpw", Said::Unreadable),
            ("", Said::Unreadable),
        ] {
            assert_eq!(of(&[("proxy-authorization", value)], Role::Proxy), expected, "{value}");
            assert_eq!(of(&[("Authorization", value)], Role::Server), expected, "{value}");
        }
        let fields = [("Authorization", "Basic dTpw")];
        assert_eq!(of(&fields, Role::Proxy), Said::Nothing);
        assert_eq!(of(&[fields[0], fields[0]], Role::Server), Said::Unreadable);
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(value: String) {
            let _ = of(&[("Authorization", &value)], Role::Server);
        }
    }
}
