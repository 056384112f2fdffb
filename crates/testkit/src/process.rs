//! One child process: what it printed, how it ended, and that it ends.
//!
//! A child goes with its fixture (its whole process group is killed on drop) and with the test process itself, however
//! that ends: it is started through `setpriv --pdeathsig` where that exists. The kernel ties that signal to the *thread*
//! that started the child, and each test has its own thread, so all children are started by one thread that never ends.

use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions};

pub use rustix::process::Signal;

use crate::need::find;

/// Which of its two outputs a program wrote a line to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StreamName {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One line a program printed, without its line end; bytes that are no UTF-8 are replaced.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    /// Where it was written to.
    pub stream: StreamName,
    /// What was written.
    pub text: String,
}

/// What a program that has ended left behind.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// All lines of standard output, each ended by a line feed.
    pub stdout: String,
    /// All lines of standard error, each ended by a line feed.
    pub stderr: String,
}

/// A running child process whose output is collected line by line.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: Pid,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<Line>,
    pipes_open: usize,
    exit: Option<ExitStatus>,
}

impl Process {
    /// A command for `program` that will not outlive this test process, however it ends.
    ///
    /// Both outputs are piped and standard input is empty; callers may set them differently.
    #[must_use]
    pub fn command(program: &Path) -> Command {
        Self::command_ended_by(program, "KILL")
    }

    /// The same for a program that has to be told to end by another signal, when this test process is gone.
    pub(crate) fn command_ended_by(program: &Path, signal: &str) -> Command {
        let mut command = match SETPRIV.as_deref() {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", signal, "--"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts a command made by [`Process::command`] in a process group of its own. `name` is for messages.
    ///
    /// # Panics
    ///
    /// When the program cannot be started.
    #[must_use]
    pub fn spawn(name: &str, mut command: Command) -> Self {
        command.process_group(0);
        let mut child = spawn_from_the_lasting_thread(command)
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id is positive");
        let shared = Arc::new(Shared::default());
        if let Some(pipe) = child.stdout.take() {
            collect(&shared, StreamName::Stdout, pipe);
        }
        if let Some(pipe) = child.stderr.take() {
            collect(&shared, StreamName::Stderr, pipe);
        }
        reap(&shared, child, pid);
        Self { name: name.to_owned(), pid, shared }
    }

    /// Runs a command to its end and returns all it printed.
    ///
    /// # Panics
    ///
    /// When it cannot be started, or has not ended after `timeout`.
    #[must_use]
    pub fn run(name: &str, command: Command, timeout: Duration) -> Output {
        let process = Self::spawn(name, command);
        let status = process.wait(timeout);
        let lines = process.lines();
        let text = |stream| {
            lines
                .iter()
                .filter(|line| line.stream == stream)
                .fold(String::new(), |text, line| text + &line.text + "\n")
        };
        Output { status, stdout: text(StreamName::Stdout), stderr: text(StreamName::Stderr) }
    }

    /// Waits for the first line, among those printed already and those to come, for which `wanted` gives something.
    ///
    /// # Panics
    ///
    /// When the process ends or `timeout` passes without such a line; the message shows what was printed.
    pub fn wait_for<T>(
        &self,
        what: &str,
        timeout: Duration,
        mut wanted: impl FnMut(&Line) -> Option<T>,
    ) -> T {
        let mut seen = 0;
        self.wait_until(what, timeout, |state| {
            let found = state.lines.iter().skip(seen).find_map(&mut wanted);
            seen = state.lines.len();
            match found {
                Some(found) => Progress::Done(found),
                None if state.exit.is_some() && state.pipes_open == 0 => Progress::Hopeless,
                None => Progress::Pending,
            }
        })
    }

    /// Waits until the process has ended and all it printed is collected.
    ///
    /// # Panics
    ///
    /// When it has not ended after `timeout`.
    #[must_use]
    pub fn wait(&self, timeout: Duration) -> ExitStatus {
        self.wait_until("its end", timeout, |state| match state.exit {
            Some(exit) if state.pipes_open == 0 => Progress::Done(exit),
            _ => Progress::Pending,
        })
    }

    /// Sends a signal to the process alone; nothing happens when it has ended.
    pub fn signal(&self, signal: Signal) {
        let state = self.shared.lock();
        // The lock keeps the id ours: the process is only reaped under it.
        if state.exit.is_none() {
            let _ = rustix::process::kill_process(self.pid, signal);
        }
    }

    /// All lines printed so far, in the order in which they were read.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        self.shared.lock().lines.clone()
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.shared.lock().exit.is_none()
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    fn wait_until<T>(&self, what: &str, timeout: Duration, mut look: impl FnMut(&State) -> Progress<T>) -> T {
        let deadline = Instant::now() + timeout;
        let mut state = self.shared.lock();
        loop {
            let trouble = match look(&state) {
                Progress::Done(found) => return found,
                Progress::Hopeless => "it ended".to_owned(),
                Progress::Pending => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if !left.is_zero() {
                        let woken = self.shared.changed.wait_timeout(state, left);
                        state = woken.unwrap_or_else(PoisonError::into_inner).0;
                        continue;
                    }
                    format!("{} s passed", timeout.as_secs_f32())
                }
            };
            let printed: String = state.lines.iter().map(|line| format!("\n  {}", line.text)).collect();
            let exit = state.exit.map_or(String::new(), |exit| format!(" ({exit})"));
            drop(state);
            panic!("waited for {what} of {}: {trouble}{exit}; it printed:{printed}", self.name);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let state = self.shared.lock();
        if state.exit.is_none() {
            let _ = rustix::process::kill_process_group(self.pid, Signal::KILL);
        }
        // What it held, an address first of all, is free for who comes next.
        let _ = self.shared.changed.wait_timeout_while(state, KILLED_WITHIN, |state| state.exit.is_none());
    }
}

/// How long a process may take to end that was killed; a test goes on all the same.
const KILLED_WITHIN: Duration = Duration::from_secs(10);

enum Progress<T> {
    Done(T),
    Pending,
    Hopeless,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic of another waiter leaves plain data behind, which is as good as before.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads one output to its end on a thread of its own.
fn collect(shared: &Arc<Shared>, stream: StreamName, pipe: impl Read + Send + 'static) {
    shared.lock().pipes_open += 1;
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut bytes = Vec::new();
        while pipe.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned();
            shared.lock().lines.push(Line { stream, text });
            shared.changed.notify_all();
            bytes.clear();
        }
        shared.lock().pipes_open -= 1;
        shared.changed.notify_all();
    });
}

/// Waits for the end of the child on a thread of its own.
fn reap(shared: &Arc<Shared>, mut child: Child, pid: Pid) {
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        // First wait without reaping, so that the id stays taken until `exit` says that it is free.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(rustix::process::waitid(WaitId::Pid(pid), options), Err(rustix::io::Errno::INTR)) {}
        let mut state = shared.lock();
        state.exit = child.wait().ok();
        drop(state);
        shared.changed.notify_all();
    });
}

static SETPRIV: LazyLock<Option<std::path::PathBuf>> = LazyLock::new(|| find("setpriv"));

type SpawnRequest = (Command, mpsc::Sender<io::Result<Child>>);

/// The thread that is the parent of every child, for as long as the test process lives.
static SPAWNER: LazyLock<mpsc::Sender<SpawnRequest>> = LazyLock::new(|| {
    let (sender, requests) = mpsc::channel::<SpawnRequest>();
    thread::spawn(move || {
        for (mut command, reply) in requests {
            // The asker waits for the reply, so it is there to take it.
            let _ = reply.send(command.spawn());
        }
    });
    sender
});

fn spawn_from_the_lasting_thread(command: Command) -> io::Result<Child> {
    let (reply, answer) = mpsc::channel();
    SPAWNER.send((command, reply)).expect("the spawner never ends");
    answer.recv().expect("the spawner answers each request")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> Command {
        let mut command = Process::command(Path::new("/bin/sh"));
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_is_kept_by_stream_and_the_status_told() {
        let output = Process::run("sh", shell("echo out; echo err >&2; exit 3"), PATIENCE);
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n", "err\n"));
        assert_eq!(output.status.code(), Some(3));
    }

    #[test]
    fn a_line_is_found_whether_printed_before_or_after_the_wait_began() {
        let process = Process::spawn("cat", shell("echo first; echo port 4711; read forever"));
        let port =
            process.wait_for("a port", PATIENCE, |line| line.text.strip_prefix("port ").map(str::to_owned));
        assert_eq!(port, "4711");
        process.wait_for("the first line", PATIENCE, |line| (line.text == "first").then_some(()));
    }

    #[test]
    #[should_panic(
        expected = "waited for readiness of sh: it ended (exit status: 1); it printed:\n  no such file"
    )]
    fn an_early_end_is_told_with_what_was_printed() {
        let process = Process::spawn("sh", shell("echo no such file; exit 1"));
        process.wait_for("readiness", PATIENCE, |line| (line.text == "ready").then_some(()));
    }

    #[test]
    fn a_signal_ends_it() {
        use std::os::unix::process::ExitStatusExt;
        let (input, _held_open) = io::pipe().unwrap();
        let mut command = shell("echo up; read forever");
        command.stdin(input);
        let process = Process::spawn("sh", command);
        process.wait_for("up", PATIENCE, |line| (line.text == "up").then_some(()));
        assert!(process.is_running());
        process.signal(Signal::TERM);
        assert_eq!(process.wait(PATIENCE).signal(), Some(Signal::TERM.as_raw()));
    }

    #[test]
    fn drop_kills_grandchildren_too() {
        let (input, held_open) = io::pipe().unwrap();
        let (mut alive, until_dead) = io::pipe().unwrap();
        let mut command = shell("(read forever) & echo up; read forever");
        command.stdin(input).stderr(until_dead);
        let process = Process::spawn("sh", command);
        process.wait_for("up", PATIENCE, |line| (line.text == "up").then_some(()));
        drop(process);
        // The end of file comes when the last holder of the pipe is gone.
        assert_eq!(alive.read(&mut [0; 1]).unwrap(), 0);
        drop(held_open);
    }
}
