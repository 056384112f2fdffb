//! A directory that is asked whether somebody is who they say: as somebody who may look, we look for the entry that has the
//! name, and try the password on it. A connection for each question, which a directory takes well and which leaves nothing behind.

use std::io;
use std::sync::Arc;

use flowgate_flow::Address;
use flowgate_net::{ConnectError, connect};
use flowgate_options::LdapSpec;
use flowgate_tls::{ClientConfigs, ServerVerification};
use flowgate_wire::ldap::{LdapError, Message, Says, Search, bind, parse, search, unbind};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use crate::error::LoginsError;
use crate::limits::CHECK_TIMEOUT;

/// What directories answer (RFC 4511 appendix A.2).
const SUCCESS: u32 = 0;
const SIZE_LIMIT_EXCEEDED: u32 = 4;
/// LDAP is spoken without being named.
const NO_ALPN: &[&[u8]] = &[];
/// What they answer to a password that is not right, or to an account that may not be used.
const REFUSALS: [u32; 4] = [19, 48, 49, 53];

/// Why a directory did not answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LdapFailure {
    /// It cannot be connected to.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Its name cannot be asked for in TLS.
    #[error("its name cannot be asked for in TLS")]
    Name,
    /// TLS failed, or the connection did.
    #[error("the connection failed: {0}")]
    Connection(#[from] io::Error),
    /// It closed the connection.
    #[error("it closed the connection")]
    Closed,
    /// It does not speak LDAP.
    #[error(transparent)]
    NotLdap(#[from] LdapError),
    /// It answers something else than was asked.
    #[error("it gave an answer that belongs to no question")]
    Confused,
    /// It does not let us look.
    #[error("it does not let us look for people: result {0}")]
    NotAllowed(u32),
    /// It cannot look.
    #[error("the search for people failed: result {0}")]
    Search(u32),
    /// The bind of a person failed for another reason than the password.
    #[error("it cannot say whether the password is right: result {0}")]
    Bind(u32),
    /// Several are called so.
    #[error("several entries have this name")]
    Ambiguous,
}

/// A directory.
pub(crate) struct Directory {
    spec: LdapSpec,
    tls: Option<Arc<ClientConfig>>,
}

impl Directory {
    pub(crate) fn new(spec: &LdapSpec, verification: ServerVerification) -> Result<Self, LoginsError> {
        let configs = spec.tls.then(|| ClientConfigs::new(verification));
        let configs = configs.transpose().map_err(|why| LoginsError::Tls { why })?;
        let tls = configs.map(|configs| configs.usual_config(NO_ALPN));
        Ok(Self { spec: spec.clone(), tls })
    }

    /// Its name and port.
    pub(crate) fn address(&self) -> Address {
        Address { host: self.spec.host.clone(), port: self.spec.port }
    }

    /// Whether it lets us look for people.
    pub(crate) async fn probe(&self) -> Result<(), LdapFailure> {
        self.session().await?.leave().await;
        Ok(())
    }

    /// Whether this is the password of that name.
    pub(crate) async fn is_right(&self, name: &str, password: &[u8]) -> Result<bool, LdapFailure> {
        // Without a password it would be a bind of nobody, which servers take for well done (RFC 4513 section 5.1.2).
        if name.is_empty() || password.is_empty() {
            return Ok(false);
        }
        let mut session = self.session().await?;
        let is_right = match session.find(&self.spec, name).await? {
            None => false,
            Some(entry) => match session.bind(&entry, password).await? {
                SUCCESS => true,
                refusal if REFUSALS.contains(&refusal) => false,
                other => return Err(LdapFailure::Bind(other)),
            },
        };
        session.leave().await;
        Ok(is_right)
    }

    /// A connection on which we may look.
    async fn session(&self) -> Result<Session, LdapFailure> {
        let stream = connect(&self.address(), None, CHECK_TIMEOUT).await?;
        let io: Box<dyn Stream> = match &self.tls {
            None => Box::new(stream),
            Some(config) => {
                let name = ServerName::try_from(self.spec.host.clone()).map_err(|_| LdapFailure::Name)?;
                Box::new(TlsConnector::from(Arc::clone(config)).connect(name, stream).await?)
            }
        };
        let mut session = Session { io, received: Vec::new(), id: 0 };
        match session.bind(&self.spec.dn, self.spec.password.as_bytes()).await? {
            SUCCESS => Ok(session),
            other => Err(LdapFailure::NotAllowed(other)),
        }
    }
}

/// In the clear or over TLS.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection to a directory.
struct Session {
    io: Box<dyn Stream>,
    received: Vec<u8>,
    /// Of the last question.
    id: u8,
}

impl Session {
    async fn bind(&mut self, name: &str, password: &[u8]) -> Result<u32, LdapFailure> {
        self.id += 1;
        self.send(&bind(self.id, name, password)).await?;
        match self.answer().await? {
            Says::Bound(result) => Ok(result),
            _ => Err(LdapFailure::Confused),
        }
    }

    /// The one entry of a name.
    async fn find(&mut self, spec: &LdapSpec, name: &str) -> Result<Option<String>, LdapFailure> {
        self.id += 1;
        let seconds = u8::try_from(CHECK_TIMEOUT.as_secs()).unwrap_or(u8::MAX);
        let what = Search {
            base: &spec.subtree,
            key: &spec.key,
            value: name.as_bytes(),
            // Two are enough to know that it is not one.
            entries_max: 2,
            seconds_max: seconds,
        };
        self.send(&search(self.id, &what)).await?;
        let mut found = None;
        loop {
            match self.answer().await? {
                Says::Entry(_) if found.is_some() => return Err(LdapFailure::Ambiguous),
                Says::Entry(entry) => found = Some(entry),
                Says::Done(SUCCESS) => return Ok(found),
                Says::Done(SIZE_LIMIT_EXCEEDED) => return Err(LdapFailure::Ambiguous),
                Says::Done(result) => return Err(LdapFailure::Search(result)),
                // A part of the tree is elsewhere: nobody is looked for there.
                Says::Other => {}
                Says::Bound(_) => return Err(LdapFailure::Confused),
            }
        }
    }

    /// Says good-bye; whether that arrives is of no interest.
    async fn leave(mut self) {
        self.id += 1;
        let _ = self.send(&unbind(self.id)).await;
        let _ = self.io.shutdown().await;
    }

    async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.io.write_all(message).await?;
        self.io.flush().await
    }

    /// The next message; all belong to the last question.
    async fn answer(&mut self) -> Result<Says, LdapFailure> {
        loop {
            if let Some((Message { id, says }, taken)) = parse(&self.received)? {
                self.received.drain(..taken);
                return if id == u32::from(self.id) { Ok(says) } else { Err(LdapFailure::Confused) };
            }
            // Bounded: a message that is too long is refused by its first bytes.
            if self.io.read_buf(&mut self.received).await? == 0 {
                return Err(LdapFailure::Closed);
            }
        }
    }
}
