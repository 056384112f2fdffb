//! [`Logins`]: what the option `proxyauth` says, ready to be asked.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use flowgate_flow::Address;
use flowgate_net::Stamp;
use flowgate_options::{LoginSpec, expand_home};
use flowgate_tls::ServerVerification;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::error::LoginsError;
use crate::htpasswd::Htpasswd;
use crate::ldap::{Directory, LdapFailure};
use crate::limits::{CHECK_TIMEOUT, CHECKS_MAX, LDAP_TRUST_TIME};
use crate::verified::{Tag, Tagger, Verified};

/// Who may use the proxy.
pub struct Logins {
    spec: LoginSpec,
    verification: ServerVerification,
    known: Known,
    tagger: Tagger,
    /// Passwords that are being checked.
    checks: Arc<Semaphore>,
}

enum Known {
    Any,
    One(Tag),
    File(PathBuf, RwLock<Arc<File>>),
    Ldap(Directory, Verified),
}

/// A file as it was read, and what was found to be right by it.
struct File {
    htpasswd: Htpasswd,
    verified: Verified,
}

/// Whether somebody is who they say.
#[derive(Debug)]
pub enum Answer {
    /// They are.
    Right,
    /// They are not.
    Wrong,
    /// Nobody could say.
    Unanswered(Unanswered),
}

/// Why nobody could say whether a password is right.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Unanswered {
    /// It took too long, or too many passwords were waiting to be checked.
    #[error("no answer within {} s", CHECK_TIMEOUT.as_secs())]
    TimedOut,
    /// The directory did not answer.
    #[error("LDAP server {address}: {why}")]
    Ldap {
        /// Which.
        address: Address,
        /// Why.
        why: LdapFailure,
    },
}

impl Logins {
    /// Reads the file that is named, if one is. `home` is what `~` means, `verification` how a directory is verified that is asked over
    /// TLS. Blocks.
    ///
    /// # Errors
    /// If a file cannot be used.
    pub fn new(
        spec: &LoginSpec,
        home: Option<&Path>,
        verification: ServerVerification,
    ) -> Result<Self, LoginsError> {
        let tagger = Tagger::new();
        let known = match spec {
            LoginSpec::Any => Known::Any,
            LoginSpec::One(one) => Known::One(tagger.tag(one.user(), one.password().as_bytes())),
            LoginSpec::File(path) => {
                let path = expand_home(path, home).ok_or(LoginsError::NoHome)?;
                let file = File::read(&path)?;
                Known::File(path, RwLock::new(Arc::new(file)))
            }
            LoginSpec::Ldap(ldap) => {
                Known::Ldap(Directory::new(ldap, verification.clone())?, Verified::default())
            }
        };
        let checks = Arc::new(Semaphore::new(CHECKS_MAX));
        Ok(Self { spec: spec.clone(), verification, known, tagger, checks })
    }

    /// Whether it is made of this.
    #[must_use]
    pub fn is_of(&self, spec: &LoginSpec, verification: &ServerVerification) -> bool {
        let same_tls = self.verification.insecure == verification.insecure
            && self.verification.extra_ca_file == verification.extra_ca_file
            && self.verification.extra_ca_dir == verification.extra_ca_dir;
        self.spec == *spec && same_tls
    }

    /// The file that names who is known, if there is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match &self.known {
            Known::File(path, _) => Some(path),
            _ => None,
        }
    }

    /// How that file looked before it was read.
    #[must_use]
    pub fn stamp(&self) -> Option<Stamp> {
        match &self.known {
            Known::File(_, current) => current_file(current).htpasswd.stamp().cloned(),
            _ => None,
        }
    }

    /// Reads the file again, and says how many it names; `None` if it says what it said before. What was found to be right by the old
    /// one counts no more. Blocks.
    ///
    /// # Errors
    /// If it cannot be used; then the old one stays.
    pub fn read_again(&self) -> Result<Option<usize>, LoginsError> {
        let Known::File(path, current) = &self.known else { return Ok(None) };
        let file = File::read(path)?;
        if file.htpasswd.is_same(&current_file(current).htpasswd) {
            return Ok(None);
        }
        let names = file.htpasswd.len();
        *current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(file);
        Ok(Some(names))
    }

    /// Whether a directory, if it is one, lets us look for people.
    ///
    /// # Errors
    /// Why not.
    pub async fn probe(&self) -> Result<(), Unanswered> {
        let Known::Ldap(directory, _) = &self.known else { return Ok(()) };
        within(directory, directory.probe()).await
    }

    /// Whether this is the password of that name, if that can be said at once.
    #[must_use]
    pub fn check_at_once(&self, name: &str, password: &[u8]) -> Option<bool> {
        let tag = || self.tagger.tag(name, password);
        match &self.known {
            Known::Any => Some(true),
            Known::One(expected) => Some(verify_slices_are_equal(&tag(), expected).is_ok()),
            Known::File(_, current) => current_file(current).verified.has(&tag()).then_some(true),
            Known::Ldap(_, verified) => verified.has(&tag()).then_some(true),
        }
    }

    /// Whether this is the password of that name.
    pub async fn check(&self, name: &str, password: &[u8]) -> Answer {
        if let Some(is_right) = self.check_at_once(name, password) {
            return Answer::of(is_right);
        }
        let checking = async {
            // The semaphore is never closed.
            let Ok(permit) = Arc::clone(&self.checks).acquire_owned().await else {
                return Answer::Unanswered(Unanswered::TimedOut);
            };
            // Several connections of one client come at once: what the first was told holds for all.
            if let Some(is_right) = self.check_at_once(name, password) {
                return Answer::of(is_right);
            }
            let tag = self.tagger.tag(name, password);
            match &self.known {
                Known::File(_, current) => {
                    Answer::of(check_file(current_file(current), tag, name, password, permit).await)
                }
                Known::Ldap(directory, verified) => {
                    let answer = within(directory, directory.is_right(name, password)).await;
                    drop(permit);
                    if matches!(answer, Ok(true)) {
                        verified.add(tag, Some(Instant::now() + LDAP_TRUST_TIME));
                    }
                    answer.map_or_else(Answer::Unanswered, Answer::of)
                }
                Known::Any | Known::One(_) => Answer::Wrong,
            }
        };
        timeout(CHECK_TIMEOUT, checking).await.unwrap_or(Answer::Unanswered(Unanswered::TimedOut))
    }
}

impl Answer {
    const fn of(is_right: bool) -> Self {
        if is_right { Self::Right } else { Self::Wrong }
    }
}

impl File {
    fn read(path: &Path) -> Result<Self, LoginsError> {
        Ok(Self { htpasswd: Htpasswd::read(path)?, verified: Verified::default() })
    }
}

fn current_file(current: &RwLock<Arc<File>>) -> Arc<File> {
    Arc::clone(&current.read().unwrap_or_else(PoisonError::into_inner))
}

/// Off the runtime, and still counted if nobody waits for it any more.
async fn check_file(
    file: Arc<File>,
    tag: Tag,
    name: &str,
    password: &[u8],
    permit: OwnedSemaphorePermit,
) -> bool {
    let (name, password) = (name.to_owned(), password.to_owned());
    let checked = tokio::task::spawn_blocking(move || {
        let is_right = file.htpasswd.is_right(&name, &password);
        if is_right {
            file.verified.add(tag, None);
        }
        drop(permit);
        is_right
    });
    checked.await.unwrap_or(false)
}

async fn within<T>(
    directory: &Directory,
    answer: impl Future<Output = Result<T, LdapFailure>>,
) -> Result<T, Unanswered> {
    match timeout(CHECK_TIMEOUT, answer).await {
        Err(_) => Err(Unanswered::TimedOut),
        Ok(answer) => answer.map_err(|why| Unanswered::Ldap { address: directory.address(), why }),
    }
}

impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Logins({:?})", self.spec)
    }
}

#[cfg(test)]
mod tests;
