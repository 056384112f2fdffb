//! What is unfinished goes when a signal ends the program.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

/// Removes this file or folder, if it is still there, when the user or the system ends the program. Where that cannot be arranged it
/// is left behind then, under its unfinished name.
pub(super) fn remove(path: Option<&Path>) {
    let Some(path) = path.map(Path::to_owned) else { return };
    drop(arrange(path));
}

fn arrange(path: PathBuf) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let entered = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    drop(entered);
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let number = runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => SignalKind::interrupt(),
                _ = terminate.recv() => SignalKind::terminate(),
                _ = hangup.recv() => SignalKind::hangup(),
            }
        });
        // Once more if something was just added to a folder.
        for _ in 0..2 {
            if fs::remove_file(&path).is_ok() || fs::remove_dir_all(&path).is_ok() {
                break;
            }
        }
        // As a shell tells of a program that a signal ended.
        std::process::exit(128 + number.as_raw_value())
    })?;
    Ok(())
}
