//! A line on the terminal that says how far reading has come, for whoever waits for a large file.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use flowgate_session::Progress;

/// A file that is read faster says nothing.
const FIRST_AFTER: Duration = Duration::from_secs(2);
const EVERY: Duration = Duration::from_millis(500);

/// Says so on standard error until it is dropped, if somebody sees it there and nothing else is printed beside it.
pub(crate) async fn tell(progress: &Progress, prints_flows: bool) {
    if !is_seen(prints_flows) {
        return std::future::pending().await;
    }
    let mut line = Line { shown: false };
    tell_to(progress, |text| line.show(text)).await;
}

/// The same while `work` is done, for those without a runtime.
pub fn tell_while<T>(progress: &Progress, prints_flows: bool, work: impl FnOnce() -> T) -> T {
    show_while(|| line(progress), prints_flows, work)
}

/// The same of another work, of which `line` says how far it has come.
pub fn show_while<T>(line: impl Fn() -> String + Send, prints_flows: bool, work: impl FnOnce() -> T) -> T {
    if !is_seen(prints_flows) {
        return work();
    }
    thread::scope(|scope| {
        // Dropped when the work is done, or panics.
        let (_working, done) = channel::<()>();
        let told = thread::Builder::new().name("progress".to_owned()).spawn_scoped(scope, move || {
            let mut line_shown = Line { shown: false };
            let mut wait = FIRST_AFTER;
            while done.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                line_shown.show(&line());
                wait = EVERY;
            }
        });
        // Without a thread for it nothing is told.
        drop(told);
        work()
    })
}

fn is_seen(prints_flows: bool) -> bool {
    io::stderr().is_terminal() && !(prints_flows && io::stdout().is_terminal())
}

async fn tell_to(progress: &Progress, mut show: impl FnMut(&str)) {
    tokio::time::sleep(FIRST_AFTER).await;
    loop {
        show(&line(progress));
        tokio::time::sleep(EVERY).await;
    }
}

fn line(progress: &Progress) -> String {
    let flows = progress.flows();
    let flows = format!("{flows} {}", if flows == 1 { "flow" } else { "flows" });
    match progress.part() {
        Some(part) => format!("reading: {:.0} %, {flows}", (part * 100.0).floor()),
        None => format!("reading: {flows}"),
    }
}

/// The line, which goes when it is dropped.
struct Line {
    shown: bool,
}

impl Line {
    fn show(&mut self, text: &str) {
        self.shown = true;
        // Nobody is told that nobody can be told.
        let _ = write!(io::stderr(), "\r{text}\x1b[K");
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowgate_session::read_flows_with;

    /// A file of so many flows, and one that says how far reading has come after each.
    #[tokio::test(start_paused = true)]
    async fn says_how_far_it_has_come_but_not_at_once() {
        let entry = r#"{"startedDateTime": "2026-01-01T00:00:00Z", "request": {"method": "GET", "url": "http://a/"}, "response": {}}"#;
        let har = format!(r#"{{"log": {{"entries": [{entry}, {entry}{}]}}}}"#, " ".repeat(100_000));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.har");
        std::fs::write(&path, har).unwrap();
        let progress = Progress::default();
        let mut lines = vec![line(&progress)];
        read_flows_with(&path, &progress, |_| lines.push(line(&progress))).unwrap();
        lines.push(line(&progress));
        assert_eq!(lines[0], "reading: 0 flows");
        assert!(lines[1].starts_with("reading: ") && lines[1].ends_with(" %, 1 flow"), "{lines:?}");
        assert_eq!(lines[3], "reading: 100 %, 2 flows");

        let mut told = Vec::new();
        let waited = tokio::time::timeout(
            FIRST_AFTER + EVERY * 2,
            tell_to(&progress, |text| told.push((tokio::time::Instant::now(), text.to_owned()))),
        );
        let start = tokio::time::Instant::now();
        assert!(waited.await.is_err());
        assert!(told.len() >= 2 && told.iter().all(|(at, _)| *at - start >= FIRST_AFTER), "{told:?}");
    }
}
