//! `flowgate run`: a command whose traffic goes through a proxy that lives as long as it does.
//!
//! The command learns of the proxy and its CA by its environment, in the variables that common programs and libraries read. What
//! reads none of them goes past the proxy: this is no sandbox.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};

use flowgate_dump::{Companion, Listening};
use flowgate_session::Configuration;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::check::{Watch, conclude, load, undecided};
use crate::cli::Behind;
use crate::report;

/// What shells answer for a command that is not there.
const NOT_FOUND: u8 = 127;
/// And for one that cannot be run.
const NOT_RUN: u8 = 126;
/// A command that a signal ended, as shells tell it.
const SIGNALLED: i32 = 128;

/// Variables that name the proxy.
const PROXY_VARIABLES: [&str; 6] =
    ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

/// Variables that say what goes past a proxy.
const PAST_PROXY_VARIABLES: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// Variables that name a file of roots which takes the place of the system's: OpenSSL and what stands on it (Python, Ruby, PHP),
/// requests, curl, git, pip, AWS, cargo, Google Cloud, gRPC, Nix, httplib2, Hex, Deno (which adds to its own).
const BUNDLE_VARIABLES: [&str; 13] = [
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "NIX_SSL_CERT_FILE",
    "HTTPLIB2_CA_CERTS",
    "HEX_CACERTS_PATH",
    "DENO_CERT",
];

/// The variable that names a file of roots beside those of Node.js, and the one that has it go through proxies.
const NODE_ROOTS: &str = "NODE_EXTRA_CA_CERTS";
const NODE_PROXY: &str = "NODE_USE_ENV_PROXY";

/// Why a command could not be run.
#[derive(Debug, thiserror::Error)]
enum BehindError {
    /// The bundle of roots cannot be written.
    #[error("cannot write the roots for the command")]
    Bundle(#[source] io::Error),
    /// The command cannot be started.
    #[error("cannot run `{}`", program.to_string_lossy())]
    Spawn {
        /// Which program.
        program: OsString,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It cannot be waited for.
    #[error("cannot wait for the command")]
    Wait(#[source] io::Error),
}

impl BehindError {
    fn code(&self) -> u8 {
        match self {
            Self::Spawn { source, .. } if source.kind() == io::ErrorKind::NotFound => NOT_FOUND,
            _ => NOT_RUN,
        }
    }
}

/// Runs the command, and checks what it did.
pub(crate) fn run(wanted: &Behind, configuration: &Configuration, home: Option<&Path>) -> ExitCode {
    let watch = match wanted.checks.as_deref().map(|path| load(path).and_then(Watch::start)).transpose() {
        Ok(watch) => watch,
        Err(error) => return undecided(&error),
    };
    let ended = Arc::new(Mutex::new(None));
    let (to_run, tell_end) = (wanted.clone(), Arc::clone(&ended));
    let command: flowgate_dump::Command = Box::new(move |listening| {
        Box::pin(async move {
            let status = run_beside(&to_run, listening).await;
            *tell_end.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
        })
    });
    let companion = Companion { flows: watch.as_ref().map(Watch::watcher), command: Some(command) };
    let ran = flowgate_dump::run_with(configuration, home, companion);
    let checked = watch.map(Watch::finish);
    if let Err(error) = ran {
        return report::failure(&error, error.hint());
    }
    let code = match ended.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(Ok(status)) => code_of(status),
        Some(Err(error)) => {
            report::tell(&error, None);
            error.code()
        }
        // The proxy ended first, which told the reason.
        None => NOT_RUN,
    };
    let checked = checked.map(|report| conclude(&report, None, &wanted.reports, &mut io::stderr().lock()));
    match checked {
        Some(checked) if code == 0 => checked,
        _ => ExitCode::from(code),
    }
}

/// Runs the command until it ends.
async fn run_beside(wanted: &Behind, listening: Listening) -> Result<ExitStatus, BehindError> {
    let (_folder, bundle) = write_bundle(&listening.trust_bundle_pem).map_err(BehindError::Bundle)?;
    let mut command = Command::new(&wanted.program);
    command.args(&wanted.arguments).kill_on_drop(true);
    for variable in PAST_PROXY_VARIABLES {
        command.env_remove(variable);
    }
    if let Some(url) = proxy_url(&listening.modes) {
        command.envs(PROXY_VARIABLES.map(|variable| (variable, url.clone()))).env(NODE_PROXY, "1");
    }
    command.envs(BUNDLE_VARIABLES.map(|variable| (variable, &bundle)));
    command.env(NODE_ROOTS, &listening.certificate_file);
    // Before the command is there: none that is meant for it is lost.
    let signals = Signals::new().map_err(BehindError::Wait)?;
    let spawned = command.spawn();
    let mut child =
        spawned.map_err(|source| BehindError::Spawn { program: wanted.program.clone(), source })?;
    wait(&mut child, signals).await.map_err(BehindError::Wait)
}

/// Signals that ask to end.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate, hang_up: signal(SignalKind::hangup())? })
    }
}

/// Waits for the command. A terminal's interrupt reaches it without us, other signals to end are passed on; when it has ended, so
/// do we.
async fn wait(child: &mut Child, mut signals: Signals) -> io::Result<ExitStatus> {
    loop {
        let passed_on = tokio::select! {
            status = child.wait() => return status,
            _ = signals.interrupt.recv() => None,
            _ = signals.terminate.recv() => Some(Signal::TERM),
            _ = signals.hang_up.recv() => Some(Signal::HUP),
        };
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let (Some(signal), Some(pid)) = (passed_on, pid) {
            // It may have ended by now, which is what is wanted.
            let _ = kill_process(pid, signal);
        }
    }
}

/// The roots in a folder that goes when the command has ended.
fn write_bundle(pem: &str) -> io::Result<(TempDir, PathBuf)> {
    let folder = tempfile::Builder::new().prefix("flowgate-run-").tempdir()?;
    let path = folder.path().join("roots.pem");
    fs::File::create(&path)?.write_all(pem.as_bytes())?;
    Ok((folder, path))
}

/// How programs name the first mode that takes them as a proxy; `None` if none does.
fn proxy_url(modes: &[(String, SocketAddr)]) -> Option<String> {
    modes.iter().find_map(|(mode, address)| {
        let scheme = match mode.split(':').next()? {
            "regular" | "upstream" => "http",
            // Names are looked up by the proxy, which sees them then.
            "socks5" => "socks5h",
            _ => return None,
        };
        let mut address = *address;
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        Some(format!("{scheme}://{address}"))
    })
}

fn code_of(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| SIGNALLED + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(NOT_RUN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_as_programs_name_them() {
        let at = |mode: &str, address: &str| (mode.to_owned(), address.parse().unwrap());
        let table = [
            (vec![at("regular", "127.0.0.1:8080")], Some("http://127.0.0.1:8080")),
            (vec![at("upstream:http://a.test", "0.0.0.0:1")], Some("http://127.0.0.1:1")),
            (vec![at("socks5", "[::]:1080")], Some("socks5h://[::1]:1080")),
            (vec![at("transparent", "0.0.0.0:1"), at("regular", "[::1]:2")], Some("http://[::1]:2")),
            (vec![at("reverse:https://a.test", "127.0.0.1:1")], None),
            (vec![], None),
        ];
        for (modes, expected) in table {
            assert_eq!(proxy_url(&modes).as_deref(), expected, "{modes:?}");
        }
    }
}
