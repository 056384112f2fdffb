//! `config.yaml` and `config.yml` in the configuration directory: the only reads this module does.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use flowgate_options::{Change, parse_config};

use super::error::CliError;

/// A config file is some kilobytes; what is longer is something else.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What both files say, those of `config.yml` last. A file that is not there says nothing.
pub(super) fn read(confdir: &Path) -> Result<Vec<Change>, CliError> {
    let mut changes = Vec::new();
    for name in ["config.yaml", "config.yml"] {
        let path = confdir.join(name);
        let bytes = match read_bounded(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(cause) => return Err(CliError::ConfigUnreadable { path, cause }),
        };
        if u64::try_from(bytes.len()).is_ok_and(|length| length > FILE_BYTES_MAX) {
            return Err(CliError::ConfigTooLong { path, limit: FILE_BYTES_MAX });
        }
        let text = String::from_utf8(bytes)
            .map_err(|cause| CliError::ConfigNotText { path: path.clone(), cause: cause.utf8_error() })?;
        changes.extend(parse_config(&text, &path.display().to_string())?);
    }
    Ok(changes)
}

/// The file's bytes, one more than allowed at most.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
