//! The workspace as cargo sees it: where it lies, its packages, and what they depend on directly.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

use crate::command;

/// This repository.
#[derive(Debug)]
pub struct Workspace {
    /// The folder with the root manifest.
    pub root: PathBuf,
    /// Where cargo builds, wherever that was set.
    pub target: PathBuf,
    /// All members.
    pub packages: Vec<Package>,
}

/// One member of the workspace.
#[derive(Debug)]
pub struct Package {
    /// Its name, such as `flowgate-wire`.
    pub name: String,
    /// The one line that says what it is.
    pub description: Option<String>,
    /// Its `Cargo.toml`.
    pub manifest: PathBuf,
    /// What it names in its manifest.
    pub dependencies: Vec<Dependency>,
    /// The root files of its libraries and programs.
    pub roots: Vec<PathBuf>,
}

/// One line of a manifest's dependency tables.
#[derive(Debug)]
pub struct Dependency {
    /// The package's own name, whatever it is renamed to.
    pub name: String,
    /// Only for tests, examples and benches.
    pub dev: bool,
}

impl Workspace {
    /// Asks cargo about the workspace this program was built in.
    ///
    /// # Errors
    ///
    /// When cargo does not answer, or not in the form of `cargo metadata --format-version 1`.
    pub fn load() -> anyhow::Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
        let mut cargo = command::cargo();
        cargo.args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"]).arg(manifest);
        let metadata: Value = serde_json::from_str(&command::taken(&mut cargo)?)?;
        Self::parse(&metadata).context("`cargo metadata` answered in another form than expected")
    }

    fn parse(metadata: &Value) -> Option<Self> {
        Some(Self {
            root: metadata["workspace_root"].as_str()?.into(),
            target: metadata["target_directory"].as_str()?.into(),
            packages: metadata["packages"].as_array()?.iter().map(Package::parse).collect::<Option<_>>()?,
        })
    }
}

impl Package {
    fn parse(package: &Value) -> Option<Self> {
        Some(Self {
            name: package["name"].as_str()?.to_owned(),
            description: package["description"].as_str().map(str::to_owned),
            manifest: package["manifest_path"].as_str()?.into(),
            dependencies: package["dependencies"]
                .as_array()?
                .iter()
                .map(Dependency::parse)
                .collect::<Option<_>>()?,
            roots: package["targets"]
                .as_array()?
                .iter()
                .filter(|target| is_product(target))
                .filter_map(root)
                .collect(),
        })
    }

    /// The folder that holds its manifest.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.manifest.parent().unwrap_or(&self.manifest)
    }

    /// The name without the prefix all our crates share: `wire`, `policy`, and `flowgate` for the binary.
    #[must_use]
    pub fn short_name(&self) -> &str {
        short(&self.name)
    }
}

impl Dependency {
    fn parse(dependency: &Value) -> Option<Self> {
        Some(Self { name: dependency["name"].as_str()?.to_owned(), dev: dependency["kind"] == "dev" })
    }
}

/// The name of one of our crates without the prefix they share.
pub(crate) fn short(name: &str) -> &str {
    name.strip_prefix("flowgate-").unwrap_or(name)
}

/// Libraries and programs; not tests, benches, examples and build scripts.
fn is_product(target: &Value) -> bool {
    let kinds = target["kind"].as_array().map_or(&[][..], Vec::as_slice);
    kinds
        .iter()
        .filter_map(Value::as_str)
        .any(|kind| kind == "bin" || kind.ends_with("lib") || kind == "proc-macro")
}

fn root(target: &Value) -> Option<PathBuf> {
    target["src_path"].as_str().map(PathBuf::from)
}
