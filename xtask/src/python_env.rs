//! Python environments for the tests, in the target folder: found if they are there, else made.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::command::{shown, succeeds};
use crate::report;

/// An environment.
pub(crate) struct PythonEnv {
    /// What is installed, for people.
    pub(crate) name: &'static str,
    /// The variable by which an interpreter is given, and by which tests learn of one.
    pub(crate) variable: &'static str,
    /// Its folder in the target folder.
    pub(crate) folder: &'static str,
    pub(crate) requirements: [&'static str; 2],
    /// A program that ends with 0 where it is as it should be.
    pub(crate) question: &'static str,
}

impl PythonEnv {
    /// The interpreter that was given, or that of an environment made before, if it has what is needed.
    pub(crate) fn found(&self, target: &Path) -> Option<PathBuf> {
        let given = env::var_os(self.variable).map(PathBuf::from);
        given.into_iter().chain([self.interpreter(target)]).find(|python| self.fits(python))
    }

    /// Makes the environment with this interpreter; `None` if that failed.
    pub(crate) fn make(&self, target: &Path, python: &Path) -> anyhow::Result<Option<PathBuf>> {
        let (folder, ours) = (target.join(self.folder), self.interpreter(target));
        let start = Instant::now();
        report::step(&format!("install {} with {} into {}", self.name, python.display(), folder.display()));
        let made = shown(Command::new(python).args(["-m", "venv", "--clear"]).arg(&folder))?
            && shown(Command::new(&ours).args(["-m", "pip", "install", "--quiet"]).args(self.requirements))?
            && self.fits(&ours);
        report::line(&format!("    {} in {}", if made { "done" } else { "FAILED" }, report::since(start)));
        Ok(made.then_some(ours))
    }

    fn interpreter(&self, target: &Path) -> PathBuf {
        target.join(self.folder).join("bin/python")
    }

    fn fits(&self, python: &Path) -> bool {
        python.is_file() && succeeds(Command::new(python).args(["-c", self.question]))
    }
}
