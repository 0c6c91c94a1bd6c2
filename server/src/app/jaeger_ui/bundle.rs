//! The files of a bundle: which ones there are, and their bytes.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::{fs, str};

use super::index::{NoIndex, rewritten};

/// A bundle has a few hundred files of a few MB; who names a directory of something else shall learn it at the start.
const MAX_FILES: usize = 10_000;
const MAX_DEPTH: usize = 16;
/// Largest file that is served.
const MAX_BYTES: u64 = 32 << 20;
const INDEX: &str = "index.html";

/// A bundle, as it was found at the start.
#[derive(Debug)]
pub(crate) struct Bundle {
    index: Vec<u8>,
    /// By the path with which a request names them.
    files: BTreeMap<String, PathBuf>,
}

/// The directory holds no bundle that can be served.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file or directory cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no page of Jaeger's UI.
    #[error("{}: {source}", path.display())]
    NoIndex {
        /// The file.
        path: PathBuf,
        /// What is missing.
        source: NoIndex,
    },
    /// It is a directory of something else.
    #[error(
        "{} has more than {MAX_FILES} files, or folders deeper than {MAX_DEPTH}: is it a Jaeger UI's?",
        path.display()
    )]
    TooLarge {
        /// The directory.
        path: PathBuf,
    },
}

impl Bundle {
    /// Looks through a directory. Symbolic links and files that are too large are left out, and said in the log.
    pub(crate) fn open(dir: &Path) -> Result<Self, BundleError> {
        let mut files = BTreeMap::new();
        look_through(dir, "", 0, &mut files).map_err(|error| match error {
            Stop::TooLarge => BundleError::TooLarge { path: dir.into() },
            Stop::Io(path, source) => BundleError::Read { path, source },
        })?;
        let path = dir.join(INDEX);
        if !files.contains_key(INDEX) {
            let source = NoIndex::Missing;
            return Err(BundleError::NoIndex { path, source });
        }
        let page = read(&path).map_err(|source| BundleError::Read {
            path: path.clone(),
            source,
        })?;
        let page = str::from_utf8(&page).map_err(|_| NoIndex::NoText);
        let index = page
            .and_then(rewritten)
            .map_err(|source| BundleError::NoIndex { path, source })?;
        // What a page gets is the one that was rewritten.
        files.remove(INDEX);
        Ok(Self {
            index: index.into_bytes(),
            files,
        })
    }

    /// The page, with what Loom can do written into it.
    pub(super) fn index(&self) -> &[u8] {
        &self.index
    }

    /// The bytes of a file; `None` where the bundle has none of that name.
    pub(super) async fn read(&self, name: &str) -> Option<io::Result<Vec<u8>>> {
        let path = self.files.get(name)?.clone();
        let read = tokio::task::spawn_blocking(move || read(&path)).await;
        Some(read.unwrap_or_else(|error| Err(io::Error::other(error))))
    }
}

enum Stop {
    TooLarge,
    Io(PathBuf, io::Error),
}

fn look_through(
    dir: &Path,
    prefix: &str,
    depth: usize,
    files: &mut BTreeMap<String, PathBuf>,
) -> Result<(), Stop> {
    if depth > MAX_DEPTH {
        return Err(Stop::TooLarge);
    }
    let failed = |source| Stop::Io(dir.to_owned(), source);
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        // Of the entry itself: a link is no file.
        let kind = entry.metadata().map_err(failed)?;
        let Some(name) = entry
            .file_name()
            .to_str()
            .map(|name| format!("{prefix}{name}"))
        else {
            continue;
        };
        if kind.is_dir() {
            look_through(&path, &format!("{name}/"), depth + 1, files)?;
        } else if kind.is_symlink() || !kind.is_file() || kind.len() > MAX_BYTES {
            tracing::warn!(
                file = %path.display(),
                "not served: it is a link, no file, or larger than {MAX_BYTES} bytes"
            );
        } else {
            if files.len() == MAX_FILES {
                return Err(Stop::TooLarge);
            }
            files.insert(name, path);
        }
    }
    Ok(())
}

/// The bytes of a file that may have become another one since it was found.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file any more"));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other("it has become too large"));
    }
    Ok(bytes)
}
