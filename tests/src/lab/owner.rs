//! Who owns a lab, and how everything of a lab is found again by its id alone.
//!
//! A lab's owner holds an exclusive lock on `/run/herald-lab/<id>.lock` for its whole life. A lock that can be taken
//! is a lab whose owner died: no process id is trusted, so a re-used one keeps no lab and loses none.
//!
//! Everything a lab makes carries its id: namespaces `<id>-*`, pins `/sys/fs/bpf/herald-<id>`, files
//! `/run/herald-lab/<id>`, processes by the namespace they live in.

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    hash::{BuildHasher as _, RandomState},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::netns::NETNS_DIR;

const ROOT: &str = "/run/herald-lab";
/// Held while a lab is registered and while leftovers are looked for, so that one never sees the other half-done.
const REGISTRY: &str = "registry";
/// The BPF file system.
pub(super) const BPFFS: &str = "/sys/fs/bpf";

/// The claim on an id, given up with the value.
#[derive(Debug)]
pub(super) struct Owner {
    id: String,
    _lock: File,
}

impl Owner {
    /// Registers a new lab.
    pub(super) fn register() -> anyhow::Result<Self> {
        let _registry = lock_registry()?;
        let id = format!("hl{}x{:04x}", std::process::id(), RandomState::new().hash_one(0) & 0xffff);
        let path = lock_path(&id);
        let lock = File::create_new(&path).with_context(|| format!("create {}", path.display()))?;
        lock.lock().with_context(|| format!("lock {}", path.display()))?;
        fs::create_dir(dir(&id)).with_context(|| format!("create the folder of lab {id}"))?;
        Ok(Self { id, _lock: lock })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }
}

/// The folder for files of a lab.
pub(super) fn dir(id: &str) -> PathBuf {
    Path::new(ROOT).join(id)
}

/// The folder for pins of a lab.
pub(super) fn pins(id: &str) -> PathBuf {
    Path::new(BPFFS).join(format!("herald-{id}"))
}

/// Removes what labs of dead owners left, and says which labs those were.
pub fn sweep() -> anyhow::Result<Vec<String>> {
    let _registry = lock_registry()?;
    let mut swept = Vec::new();
    for entry in fs::read_dir(ROOT)? {
        let path = entry?.path();
        let Some(id) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".lock")) else { continue };
        match File::open(&path)?.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => continue,
            Err(TryLockError::Error(error)) => return Err(error).context(format!("lock {}", path.display())),
        }
        remove(id).with_context(|| format!("remove the leftovers of lab {id}"))?;
        swept.push(id.to_owned());
    }
    Ok(swept)
}

/// Removes everything of a lab. Goes on after a failure and reports all of them.
pub(super) fn remove(id: &str) -> anyhow::Result<()> {
    let names = namespaces(id)?;
    let failures: Vec<_> = [
        kill_inside(&names),
        gone(fs::remove_dir_all(pins(id))).context("remove the pins"),
        delete_namespaces(&names),
        gone(fs::remove_dir_all(dir(id))).context("remove the files"),
        gone(fs::remove_file(lock_path(id))).context("remove the lock file"),
    ]
    .into_iter()
    .filter_map(Result::err)
    .map(|error| format!("{error:#}"))
    .collect();
    anyhow::ensure!(failures.is_empty(), "{}", failures.join("; "));
    Ok(())
}

fn lock_registry() -> anyhow::Result<File> {
    fs::create_dir_all(ROOT).with_context(|| format!("create {ROOT}"))?;
    let path = Path::new(ROOT).join(REGISTRY);
    let file = File::options().create(true).append(true).open(&path).with_context(|| format!("open {path:?}"))?;
    file.lock().with_context(|| format!("lock {}", path.display()))?;
    Ok(file)
}

fn lock_path(id: &str) -> PathBuf {
    Path::new(ROOT).join(format!("{id}.lock"))
}

fn namespaces(id: &str) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(NETNS_DIR) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let prefix = format!("{id}-");
    let paths: Result<Vec<_>, _> = entries.map(|entry| Ok(entry?.path())).collect();
    let ours = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(|n| n.starts_with(&prefix));
    paths.map(|paths| paths.into_iter().filter(ours).collect())
}

/// Kills the processes whose network namespace is one of `names`, by id. Never ourselves.
fn kill_inside(names: &[PathBuf]) -> anyhow::Result<()> {
    let inodes: BTreeSet<_> = names.iter().filter_map(|path| Some(fs::metadata(path).ok()?.ino())).collect();
    for entry in fs::read_dir("/proc").context("list the processes")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let inside = fs::metadata(entry.path().join("ns/net")).is_ok_and(|file| inodes.contains(&file.ino()));
        if inside && pid != Pid::this().as_raw() {
            match kill(Pid::from_raw(pid), Signal::SIGKILL) {
                Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
                Err(error) => return Err(error).context(format!("kill process {pid}")),
            }
        }
    }
    Ok(())
}

fn delete_namespaces(names: &[PathBuf]) -> anyhow::Result<()> {
    for name in names.iter().filter_map(|path| path.file_name()) {
        let output = Command::new("ip").args(["netns", "delete"]).arg(name).output().context("run ip")?;
        anyhow::ensure!(output.status.success(), "delete namespace: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// What is not there any more needs no removing.
fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
