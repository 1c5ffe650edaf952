//! One named network namespace: run code in it, start programs in it.
//!
//! Only the network is entered (`CLONE_NEWNET`). `ip netns exec` would also put a new `/sys` in place, and bpffs with
//! it: what an agent pins there would be gone with the process.
//!
//! Invariant: the calling thread never changes its own namespace; code runs on a thread that ends with it.

use std::{
    fs::File,
    io,
    os::{fd::AsFd as _, unix::process::CommandExt as _},
    panic,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    thread::{self, JoinHandle},
};

use anyhow::Context as _;
use nix::sched::{CloneFlags, setns};

/// Where `ip netns` keeps its names.
pub(super) const NETNS_DIR: &str = "/run/netns";

/// A namespace that has a name. Cheap to clone; the name's owner is the lab.
#[derive(Debug, Clone)]
pub struct Namespace {
    name: Arc<str>,
    file: Arc<File>,
}

impl Namespace {
    /// Opens a namespace by its `ip netns` name.
    pub fn open(name: &str) -> anyhow::Result<Self> {
        let path = Path::new(NETNS_DIR).join(name);
        let file = File::open(&path).with_context(|| format!("open the namespace {}", path.display()))?;
        Ok(Self { name: name.into(), file: Arc::new(file) })
    }

    /// Its name for `ip netns exec`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `work` in the namespace, on a thread of its own, and waits for it. A panic in it goes on here.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
        thread::scope(|scope| {
            let worker = scope.spawn(|| self.enter().map(|()| work()));
            worker.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
        })
    }

    /// Starts `work` in the namespace on a thread that outlives the call.
    pub fn spawn<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
    ) -> io::Result<JoinHandle<anyhow::Result<T>>> {
        let namespace = self.clone();
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            namespace.enter()?;
            work()
        })
    }

    /// A command that will run in the namespace, in a process group of its own: Ctrl-C is the lab's to handle.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let program = program.as_ref();
        let found = program.to_str().and_then(crate::need::find_program);
        let mut command = Command::new(found.unwrap_or_else(|| PathBuf::from(program)));
        let file = Arc::clone(&self.file);
        // SAFETY: between fork and exec only `setns` runs, which is a bare system call and allocates nothing.
        unsafe { command.pre_exec(move || Ok(setns(file.as_fd(), CloneFlags::CLONE_NEWNET)?)) };
        command.process_group(0);
        command
    }

    /// Writes a setting below `/proc/sys/net`, which shows the namespace of the thread that asks.
    pub fn set_sysctl(&self, path: &str, value: &str) -> anyhow::Result<()> {
        let file = Path::new("/proc/sys/net").join(path);
        self.run(|| std::fs::write(&file, value))?.with_context(|| format!("write {value} to {}", file.display()))
    }

    /// Reads a file below `/proc` that shows the namespace of the thread that asks.
    pub fn read(&self, file: &str) -> anyhow::Result<String> {
        // `/proc/net` is a link to `self/net`: the process's, not the thread's.
        let file = file.replace("/proc/net/", "/proc/thread-self/net/");
        self.run(|| std::fs::read_to_string(&file))?.with_context(|| format!("read {file}"))
    }

    fn enter(&self) -> anyhow::Result<()> {
        setns(self.file.as_fd(), CloneFlags::CLONE_NEWNET).with_context(|| format!("enter the namespace {}", self.name))
    }
}
