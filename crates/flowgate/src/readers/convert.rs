//! `flowgate convert`: flows from a store or a file to another, one at a time.
//!
//! Invariant: what is made gets its name when it is whole. A store that is there already is added to.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use flowgate_filter::Filter;
use flowgate_options::expand_home;
use flowgate_session::{
    Existing, FLOWS_BATCH_MAX, FileForm, FlowSource, FlowStore, FlowStoreError, FormWriter, NewFile, Sink,
    Written, case_from_env,
};

use super::copy::{Copied, Which, copy};
use super::export::{left_out, read_secrets};
use super::{ReadingError, interrupted};
use crate::cli::Conversion;

/// How the folder of a store ends if it is not there yet.
const STORE_ENDING: &str = "store";

pub(super) fn convert(
    wanted: &Conversion,
    home: Option<&Path>,
    out: &mut impl Write,
) -> Result<bool, ReadingError> {
    let expanded = |path: &String| expand_home(path, home).unwrap_or_else(|| PathBuf::from(path));
    let (from, to) = (expanded(&wanted.from), expanded(&wanted.to));
    let which = match &wanted.filter {
        Some(text) => Which::Matching(Filter::parse(text, case_from_env())?),
        None => Which::All,
    };
    let source = super::open(&from)?;
    if let (Ok(from), Ok(there)) = (from.canonicalize(), to.canonicalize())
        && from == there
    {
        return Err(ReadingError::SamePlace(to));
    }
    let is_store = to.extension().is_some_and(|ending| ending == STORE_ENDING)
        || to.as_os_str().as_encoded_bytes().ends_with(b"/");
    let (copied, written) = if to.is_dir() {
        to_store(&source, &which, &to, &to)?
    } else if is_store {
        to_new_store(&source, &which, &to)?
    } else if let Some(form) = FileForm::of(&to) {
        let secrets = read_secrets(wanted.key_log.as_ref().map(expanded))?;
        let existing = if wanted.overwrite { Existing::Replace } else { Existing::Keep };
        let file = NewFile::begin(&to, existing)?;
        interrupted::remove(file.temporary_path());
        to_file(&source, &which, form, file, &secrets)
            .map_err(|source| ReadingError::Write { path: to.clone(), source })
            .and_then(|(copied, file, written)| {
                if is_kept(&copied, written) {
                    file.finish()?;
                }
                Ok((copied, written))
            })?
    } else {
        return Err(ReadingError::UnknownForm(to));
    };
    // What could be read is there, whatever came then.
    if is_kept(&copied, written) {
        let flows = if written.flows == 1 { "flow" } else { "flows" };
        let left_out = left_out(written).map_or_else(String::new, |left_out| format!("; {left_out}"));
        writeln!(out, "{} {flows} written to {}{left_out}", written.flows, to.display())?;
    }
    copied.end?;
    Ok(true)
}

/// Nothing is made of a file that is none.
fn is_kept(copied: &Copied, written: Written) -> bool {
    written.flows > 0 || copied.end.is_ok()
}

fn to_file(
    source: &FlowSource,
    which: &Which,
    form: FileForm,
    file: NewFile,
    secrets: &[u8],
) -> io::Result<(Copied, NewFile, Written)> {
    let mut writer = FormWriter::begin(form, BufWriter::new(file), secrets)?;
    let copied = copy(source, which, false, |flow| writer.flow(&flow))?;
    let (out, written) = writer.end()?;
    Ok((copied, out.into_inner()?, written))
}

/// A store that is there when all flows are in it.
fn to_new_store(source: &FlowSource, which: &Which, to: &Path) -> Result<(Copied, Written), ReadingError> {
    let failed = |source| ReadingError::Write { path: to.to_owned(), source };
    let mut name = OsString::from(".");
    name.push(to.file_name().ok_or_else(|| ReadingError::UnknownForm(to.to_owned()))?);
    name.push(".");
    let parent =
        to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut builder = tempfile::Builder::new();
    // A store is for its owner alone.
    builder.prefix(&name).suffix(".partial").permissions(Permissions::from_mode(0o700));
    let folder = fs::create_dir_all(parent).and_then(|()| builder.tempdir_in(parent)).map_err(failed)?;
    interrupted::remove(Some(folder.path()));
    let (copied, written) = to_store(source, which, folder.path(), to)?;
    if is_kept(&copied, written) {
        // Of a folder that is there by now only an empty one gives way.
        fs::rename(folder.path(), to).map_err(failed)?;
        // Nothing is there any more to be removed.
        drop(folder.keep());
    }
    Ok((copied, written))
}

/// Adds flows to the store at `at`, which is told of as `named`.
fn to_store(
    source: &FlowSource,
    which: &Which,
    at: &Path,
    named: &Path,
) -> Result<(Copied, Written), ReadingError> {
    let opened = FlowStore::open(at);
    let mut store = opened.map_err(|error| FlowStoreError { path: named.to_owned(), ..error })?;
    let mut add = || {
        let copied = copy(source, which, false, |flow| {
            store.add(flow).map_err(io::Error::other)?;
            if store.waiting() >= FLOWS_BATCH_MAX { store.settle().map_err(io::Error::other) } else { Ok(()) }
        })?;
        store.settle().map_err(io::Error::other)?;
        Ok(copied)
    };
    let copied = add().map_err(|source| ReadingError::Write { path: named.to_owned(), source })?;
    let written = Written { flows: copied.count, left_out: 0 };
    Ok((copied, written))
}
