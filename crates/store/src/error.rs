//! Why a store cannot be used, or a flow in it.

use std::path::PathBuf;

use flowgate_formats::ReadError;
use flowgate_formats::tnetstring::WriteError;

use crate::segment::SegmentError;

/// Why a store cannot be used, or a flow in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no store at this place.
    #[error("there is no store at {}", .0.display())]
    NoStore(PathBuf),
    /// A file stands where the store's folder should be.
    #[error("{} is a file, and a store is a folder", .0.display())]
    NotAFolder(PathBuf),
    /// The index is some other database.
    #[error("{} is not the index of a store", .0.display())]
    NotAnIndex(PathBuf),
    /// A newer program wrote it.
    #[error("the store has version {found}: a newer program wrote it (this one knows up to {known})")]
    Newer {
        /// What stands there.
        found: u32,
        /// What this program knows.
        known: u32,
    },
    /// The index failed.
    #[error("the index of the store")]
    Index(#[from] rusqlite::Error),
    /// Whoever writes to the store does not tell the index of the flows that were saved last.
    #[error("the index does not know of the flows that were saved last")]
    Behind,
    /// The files of bodies failed.
    #[error("the bodies of the store")]
    Bodies(#[from] SegmentError),
    /// The medium failed.
    #[error("the store")]
    Io(#[from] std::io::Error),
    /// The flow cannot be written down.
    #[error("a flow that cannot be stored")]
    Encode(#[from] WriteError),
    /// The flow's record holds no flow.
    #[error("a flow in the store is damaged")]
    Decode(#[source] Option<ReadError>),
    /// There is no such flow (any more).
    #[error("no such flow in the store")]
    NoSuchFlow,
}

impl StoreError {
    /// What a user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoStore(_) => Some("a store is the folder that `--store` named".to_owned()),
            Self::NotAFolder(_) => {
                Some("name another place, or save to the file with `-w` instead".to_owned())
            }
            Self::Bodies(SegmentError::Locked) => {
                Some("end the other program, or name another folder; any number may read it".to_owned())
            }
            Self::Index(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) => {
                Some("make room; flows that were saved last are found again then".to_owned())
            }
            Self::Behind => Some(
                "look at the log of the program that writes to it: it may have no room for the index"
                    .to_owned(),
            ),
            Self::Newer { .. } => Some("open it with the newer flowgate".to_owned()),
            _ => None,
        }
    }

    /// Whether only this one flow is concerned, so that others may still be stored or read.
    #[must_use]
    pub const fn is_of_one_flow(&self) -> bool {
        matches!(
            self,
            Self::Encode(WriteError::FlowKind | WriteError::Nesting { .. } | WriteError::TooLong { .. })
                | Self::Decode(_)
                | Self::NoSuchFlow
                | Self::Bodies(SegmentError::NoSuchBody(_) | SegmentError::Damaged(_))
        )
    }
}
