//! `flowgate dump`: runs a session and prints what it tells, or prints the flows of a file.
//!
//! Not here: how a flow looks (`dumper`), how a session starts (`flowgate-session`).

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use flowgate_flow::Flow;
use flowgate_options::{Level, Values, expand_home};
use flowgate_session::{
    BadRetention, Configuration, Emptying, FlowFileError, FlowSender, FlowStore, FlowStoreError, HarFile,
    HarFileError, Progress, ReadFlowsError, RetentionControl, Saver, Session, SessionError, Sink, Spool,
    StreamFile, read_flows_with, retention,
};
use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::filters::{BadFilter, Filters};
use crate::printer::Printer;
use crate::waiting;
use crate::{Dumper, LocalTime, Output, OutputError, Style, TermLog};

/// How long a shutdown waits for what is in flight.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// Why `flowgate dump` ended badly.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DumpError {
    /// The session did not start.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// Flows cannot be saved.
    #[error(transparent)]
    FlowFile(#[from] FlowFileError),
    /// Flows cannot be saved as HAR.
    #[error(transparent)]
    HarFile(#[from] HarFileError),
    /// Flows cannot be kept in a store.
    #[error(transparent)]
    FlowStore(#[from] FlowStoreError),
    /// What a store is to keep cannot be read.
    #[error(transparent)]
    Retention(#[from] BadRetention),
    /// Flows cannot be read.
    #[error(transparent)]
    Read(#[from] ReadFlowsError),
    /// Flows would be read from the file they are saved to.
    #[error("options `rfile` and `{option}` name the same place, {}", path.display())]
    SameFile {
        /// The other option.
        option: &'static str,
        /// Which.
        path: PathBuf,
    },
    /// A filter cannot be used.
    #[error(transparent)]
    Filter(#[from] BadFilter),
    /// Nobody reads what is printed any more, or it cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The system refused a thread, a signal handler or the like.
    #[error("cannot start")]
    System(#[from] io::Error),
}

impl DumpError {
    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Session(err) => err.hint(),
            Self::FlowFile(err) => err.hint(),
            Self::HarFile(err) => err.hint(),
            Self::FlowStore(err) => err.hint(),
            Self::Read(err) => err.hint(),
            Self::SameFile { .. } => Some("save to another place".to_owned()),
            _ => None,
        }
    }
}

/// Runs until a signal ends it, or the file given with `rfile` is read, or the requests of `client_replay` are sent.
///
/// # Errors
/// If it cannot start, or its output is gone.
pub fn run(configuration: &Configuration, home: Option<&Path>) -> Result<(), DumpError> {
    run_with(configuration, home, Companion::default())
}

/// Runs with company: until what it runs ends, if it runs something, or else as [`run`] does.
///
/// # Errors
/// If it cannot start, or its output is gone.
pub fn run_with(
    configuration: &Configuration,
    home: Option<&Path>,
    companion: Companion,
) -> Result<(), DumpError> {
    flowgate_session::raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("flowgate").build()?;
    // Beside a command standard output is the command's.
    let output =
        if companion.command.is_some() { Output::start(io::stderr())? } else { Output::start(io::stdout())? };
    let mut saving = Saving::default();
    let result = runtime.block_on(run_on(configuration, home, &output, &mut saving, companion));
    // What still runs had its grace. It holds senders of flows, so it has to go before the saver is waited for.
    runtime.shutdown_timeout(Duration::ZERO);
    let saved = if saving.savers.is_empty() { Ok(()) } else { finish(saving.savers) };
    let closed = output.close();
    result?;
    saved?;
    closed?;
    if let Some(har) = saving.har_to_print {
        har.copy_to(&mut io::stdout().lock()).map_err(|error| OutputError::of(&error))?;
    }
    Ok(())
}

/// What runs beside a dump.
#[derive(Default)]
pub struct Companion {
    /// Gets every flow that ends, whatever the filters of printing and saving say.
    pub flows: Option<Watcher>,
    /// Called when the proxy is about to listen; the dump ends when the future does, and prints to standard error.
    pub command: Option<Command>,
}

/// Who gets every flow.
#[derive(Clone, Debug)]
pub struct Watcher {
    /// Where flows are handed in.
    pub flows: FlowSender,
    /// Whether bodies and messages are looked at. For others nothing is kept that only crosses.
    pub reads_bodies: bool,
}

/// Makes the future that a dump runs beside; the future is run in its runtime.
pub type Command = Box<dyn FnOnce(Listening) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// What a program has to know to go through the proxy.
#[derive(Clone, Debug)]
pub struct Listening {
    /// Each mode, without where it listens, and an address of it.
    pub modes: Vec<(String, SocketAddr)>,
    /// The file of the CA's certificate.
    pub certificate_file: PathBuf,
    /// PEM text of the system's roots and the CA's certificate.
    pub trust_bundle_pem: String,
}

fn listening(session: &Session) -> Listening {
    let modes = session.listening().filter_map(|(mode, addresses)| {
        let address = addresses.into_iter().next()?;
        Some((mode.without_address().to_owned(), address))
    });
    let authority = session.authority();
    Listening {
        modes: modes.collect(),
        certificate_file: authority.certificate_file().to_owned(),
        // At the start nothing else is going on in this runtime.
        trust_bundle_pem: authority.trust_bundle_pem(),
    }
}

/// What saves flows, for the caller to wait for when all that could hand it flows is gone.
#[derive(Debug, Default)]
struct Saving {
    savers: Vec<Saver>,
    /// What `hardump=-` prints in the end.
    har_to_print: Option<Spool>,
}

/// Waits until every flow that was told is written; a signal ends the waiting, for a disk may hang.
fn finish(savers: Vec<Saver>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut signals = Signals::new()?;
        tokio::select! {
            _ = tokio::task::spawn_blocking(move || savers.into_iter().map(Saver::finish).sum::<u64>()) => {}
            () = signals.next() => {}
        }
        Ok::<_, io::Error>(())
    })?;
    runtime.shutdown_background();
    Ok(())
}

async fn run_on(
    configuration: &Configuration,
    home: Option<&Path>,
    output: &Output,
    saving: &mut Saving,
    companion: Companion,
) -> Result<(), DumpError> {
    let values = configuration.options().values();
    refuse_same_file(values, home)?;
    let filters = Filters::new(values)?;
    let reads_only = values.rfile.is_some() && values.client_replay.is_empty() && !values.keepserving;
    let mut signals = Signals::new()?;
    let mut printer = Printer::new(dumper(values), term_log(values), output.clone(), filters);
    let file = values.save_stream_file.as_deref().map(|spec| open_flow_file(spec, home)).transpose()?;
    let har = open_har(&values.hardump, home)?;
    let store = values.store.as_deref().map(|path| open_store(path, values, home)).transpose()?;
    // Tells what goes wrong with saving, and holds no sender itself: savers end when the last one is gone.
    let teller = printer.clone();
    let mut emptying = Emptying::default();
    if let Some(file) = file {
        if file.half_flow_bytes() > 0 {
            let (path, bytes) = (file.path().display(), file.half_flow_bytes());
            let line =
                format!("{path} ends with {bytes} bytes of half a flow: they go when the next one is saved");
            teller.event(Level::Warn, None, &line);
        }
        emptying = file.emptying()?;
        save(file, &teller, &mut printer, &mut saving.savers)?;
    }
    if let Some((har, spool)) = har {
        emptying = emptying.and(har.emptying()?);
        saving.har_to_print = spool;
        save(har, &teller, &mut printer, &mut saving.savers)?;
    }
    let control = store.as_ref().map(|(_, control)| control.clone());
    if let Some((store, _)) = store {
        save(store, &teller, &mut printer, &mut saving.savers)?;
    }
    if let Some(watcher) = companion.flows {
        printer.watched_by(watcher);
    }
    let printer = Arc::new(printer);
    if reads_only && companion.command.is_none() {
        read(values, home, &printer, &mut signals, emptying).await
    } else {
        serve(configuration, home, &printer, control, &mut signals, emptying, companion.command).await
    }
}

/// Where flows go as HAR, if they do, and what of it is printed in the end.
fn open_har(path: &str, home: Option<&Path>) -> Result<Option<(HarFile, Option<Spool>)>, DumpError> {
    match path {
        "" => Ok(None),
        "-" => HarFile::spooled().map(|(file, spool)| Some((file, Some(spool)))).map_err(DumpError::System),
        path => Ok(Some((HarFile::open(&expanded(path, home))?, None))),
    }
}

fn open_store(
    path: &str,
    values: &Values,
    home: Option<&Path>,
) -> Result<(FlowStore, RetentionControl), DumpError> {
    let (mut store, control) = FlowStore::open_with(&expanded(path, home), retention(values)?)?;
    if values.store_index_bodies {
        store.index_bodies();
    }
    store.index_aside().map_err(|source| FlowStoreError { path: expanded(path, home), source })?;
    Ok((store, control))
}

/// Begins to save what the printer gets.
fn save(sink: impl Sink, teller: &Printer, printer: &mut Printer, savers: &mut Vec<Saver>) -> io::Result<()> {
    let teller = teller.clone();
    let saver = Saver::start(sink, move |level, line| teller.event(level, None, line))?;
    printer.save_to(saver.sender());
    savers.push(saver);
    Ok(())
}

/// Reads the file and prints its flows; a signal ends it early.
async fn read(
    values: &Values,
    home: Option<&Path>,
    printer: &Arc<Printer>,
    signals: &mut Signals,
    mut emptying: Emptying,
) -> Result<(), DumpError> {
    let Some(path) = values.rfile.as_deref() else { return Ok(()) };
    let path = expanded(path, home);
    let printer = Arc::clone(printer);
    let progress = Arc::new(Progress::default());
    let counted = Arc::clone(&progress);
    let reading = tokio::task::spawn_blocking(move || {
        let mut failed = None;
        read_flows_with(&path, &counted, |flow: Flow| {
            if failed.is_none() {
                let printed = emptying.empty().map_err(DumpError::from);
                failed = printed.and_then(|()| Ok(printer.saved_flow(flow)?)).err();
            }
        })?;
        emptying.empty()?;
        failed.map_or(Ok(()), Err)
    });
    tokio::select! {
        read = reading => read.unwrap_or(Ok(())),
        () = signals.next() => Ok(()),
        () = waiting::tell(&progress, values.flow_detail > 0) => Ok(()),
    }
}

async fn serve(
    configuration: &Configuration,
    home: Option<&Path>,
    printer: &Arc<Printer>,
    retention: Option<RetentionControl>,
    signals: &mut Signals,
    mut emptying: Emptying,
    command: Option<Command>,
) -> Result<(), DumpError> {
    let values = configuration.options().values();
    let mut session = Session::prepare(configuration, home, printer.clone(), retention).await?;
    emptying.empty()?;
    for warning in session.warnings() {
        printer.event(Level::Warn, None, &warning.to_string());
    }
    let command = command.map(|command| command(listening(&session)));
    for line in session.start() {
        printer.banner(&line);
    }
    if values.rfile.is_some() {
        read(values, home, printer, signals, emptying).await?;
    }
    let ends_with_replay = !values.client_replay.is_empty() && !values.keepserving && command.is_none();
    let replay = session.replay();
    let replay = async {
        replay.await;
        if !ends_with_replay {
            std::future::pending::<()>().await;
        }
    };
    // Signals are the command's to answer, if there is one: it ends by them, and then we do.
    let ended = async {
        match command {
            Some(command) => command.await,
            None => signals.next().await,
        }
    };
    let gone = tokio::select! {
        () = ended => None,
        () = replay => None,
        error = printer.gone() => Some(error),
    };
    tokio::select! {
        _ = session.shut_down(SHUTDOWN_GRACE) => {}
        () = signals.next() => {}
    }
    gone.map_or(Ok(()), |err| Err(DumpError::Output(err)))
}

fn dumper(values: &Values) -> Dumper {
    Dumper {
        flow_detail: values.flow_detail,
        showhost: values.showhost,
        content_view_lines_cutoff: usize::try_from(values.content_view_lines_cutoff).unwrap_or(usize::MAX),
        // Both lists have the same names; a test says so.
        default_contentview: values.dumper_default_contentview.word().parse().unwrap_or_default(),
        style: style(),
        columns: columns(),
    }
}

fn term_log(values: &Values) -> TermLog {
    TermLog { verbosity: values.termlog_verbosity, style: style(), local_time: LocalTime::system() }
}

fn style() -> Style {
    let variable = |name| std::env::var_os(name);
    Style::detect(io::stdout().is_terminal(), variable("NO_COLOR").as_deref(), variable("TERM").as_deref())
}

/// How wide the terminal is: what `COLUMNS` says, or the terminal itself.
///
/// Differs from mitmproxy: what goes to a pipe or a file is not cut at 80 columns, since programs read it.
fn columns() -> Option<u16> {
    let said = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    said.or_else(|| {
        rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col).filter(|cols| *cols > 0)
    })
}

/// A file that is read while it is written would be read for ever, or be empty.
fn refuse_same_file(values: &Values, home: Option<&Path>) -> Result<(), DumpError> {
    let there = |path: &str| expanded(path, home).canonicalize().ok();
    let Some(read) = values.rfile.as_deref().and_then(there) else { return Ok(()) };
    let file = values.save_stream_file.as_deref().map(|spec| spec.strip_prefix('+').unwrap_or(spec));
    let har = Some(values.hardump.as_str()).filter(|path| !path.is_empty());
    for (option, saved) in [("save_stream_file", file), ("hardump", har), ("store", values.store.as_deref())]
    {
        if saved.and_then(there).as_ref() == Some(&read) {
            return Err(DumpError::SameFile { option, path: read });
        }
    }
    Ok(())
}

/// `-w FILE` empties the file, `-w +FILE` appends.
fn open_flow_file(spec: &str, home: Option<&Path>) -> Result<StreamFile, FlowFileError> {
    match spec.strip_prefix('+') {
        Some(path) => {
            let mut spec = OsString::from("+");
            spec.push(expanded(path, home));
            StreamFile::open(Path::new(&spec))
        }
        None => StreamFile::open(&expanded(spec, home)),
    }
}

/// A path whose `~` means the home directory, where there is one.
fn expanded(path: &str, home: Option<&Path>) -> PathBuf {
    expand_home(path, home).unwrap_or_else(|| PathBuf::from(path))
}

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use flowgate_contentview::View;
    use flowgate_options::Kind;
    use flowgate_options::registry::find;

    #[test]
    fn every_contentview_is_a_choice() {
        let option = find("dumper_default_contentview").unwrap();
        let Kind::Choice(names) = option.kind else { panic!("{:?}", option.kind) };
        assert_eq!(names, View::ALL.map(View::name));
    }
}
