//! Writing a file so that a reader, and a restart after a kill, sees all of it or nothing.
//!
//! A temporary file in the same directory, then a rename (or a hard link, which refuses an existing name). The content
//! is not forced to the disk: this survives a killed process, not a power failure, after which Herald starts from what
//! is there.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use crate::directory::Writer;

/// What temporary files begin with; hidden, so that no reader looks at them.
const TEMPORARY: &str = ".tmp-";

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Writes for one writer.
#[derive(Debug)]
pub(crate) struct Pen {
    prefix: String,
}

impl Pen {
    pub(crate) fn new(writer: &Writer) -> Self {
        let name = match writer {
            Writer::Controller | Writer::None => "",
            Writer::Agent(node) => node,
        };
        Self { prefix: format!("{TEMPORARY}{name}~") }
    }

    /// Puts `text` in place of whatever is at `path`.
    pub(crate) fn replace(&self, path: &Path, text: &str) -> io::Result<()> {
        let temporary = self.temporary(path, text)?;
        fs::rename(&temporary, path).inspect_err(|_| discard(&temporary))
    }

    /// Puts `text` at `path` if nothing is there; [`io::ErrorKind::AlreadyExists`] otherwise, whoever came first.
    pub(crate) fn create(&self, path: &Path, text: &str) -> io::Result<()> {
        let temporary = self.temporary(path, text)?;
        let linked = fs::hard_link(&temporary, path);
        discard(&temporary);
        linked
    }

    /// Removes what a killed process of this writer has left under `folder`.
    pub(crate) fn sweep(&self, folder: &Path) -> io::Result<()> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                self.sweep(&entry.path())?;
            } else if entry.file_name().to_str().is_some_and(|name| name.starts_with(&self.prefix)) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn temporary(&self, path: &Path, text: &str) -> io::Result<PathBuf> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let temporary = folder.join(format!("{}{}-{number}", self.prefix, std::process::id()));
        let written = File::create(&temporary).and_then(|mut file| file.write_all(text.as_bytes()));
        written.inspect_err(|_| discard(&temporary))?;
        Ok(temporary)
    }
}

/// A temporary file that stays is swept at the next start.
fn discard(temporary: &Path) {
    if let Err(error) = fs::remove_file(temporary) {
        tracing::debug!(path = %temporary.display(), %error, "remove a temporary file");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn create_refuses_what_is_there_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (pen, path) = (Pen::new(&Writer::Controller), dir.path().join("a/b.yaml"));
        pen.create(&path, "one").expect("free");
        let refused = pen.create(&path, "two").expect_err("taken");
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).expect("there"), "one");
        pen.replace(&path, "three").expect("replaced");
        assert_eq!(fs::read_to_string(&path).expect("there"), "three");
        assert_eq!(fs::read_dir(dir.path().join("a")).expect("there").count(), 1);
    }

    #[test]
    fn sweeping_removes_only_what_this_writer_left() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let other = dir.path().join(".tmp-node-1~7-0");
        for path in [&other, &dir.path().join(".tmp-~7-0"), &dir.path().join("a.yaml")] {
            fs::write(path, "").expect("written");
        }
        Pen::new(&Writer::Controller).sweep(dir.path()).expect("swept");
        assert_eq!(fs::read_dir(dir.path()).expect("there").count(), 2);
        assert!(other.exists());
    }
}
