//! The other side of the thread: who asks for sessions and looks at them.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    os::unix::net::UnixStream,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

use tokio::sync::{oneshot, watch};

use super::{
    Path, Remains, SessionStatus, Wanted,
    memory::Memory,
    stand_in::StandIn,
    thread::{Command, Thread},
};

/// The BFD thread. Cheap to clone; it ends with the last one.
#[derive(Debug, Clone)]
pub struct Bfd {
    line: Line,
    /// The next follower's number.
    next: Arc<AtomicU64>,
    shown: Shown,
}

/// Every session, for who only looks.
pub(super) type Shown = Arc<Mutex<BTreeMap<Path, watch::Receiver<SessionStatus>>>>;

/// Commands to the thread, and what wakes it.
#[derive(Debug, Clone)]
struct Line {
    commands: mpsc::Sender<Command>,
    waker: Arc<UnixStream>,
}

impl Line {
    fn send(&self, command: Command) {
        // The thread ends after its last user; a full pipe means that it is about to look.
        if self.commands.send(command).is_ok() {
            drop((&*self.waker).write(&[1]));
        }
    }
}

impl Bfd {
    /// Starts the thread, in the network namespace of the caller. `remains`: by what sessions go on in the next process;
    /// without it they begin anew.
    ///
    /// # Errors
    /// When the thread, or what wakes it, cannot be made.
    pub fn start(remains: Option<&Remains>) -> io::Result<Self> {
        let (waker, woken) = UnixStream::pair()?;
        waker.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        let (commands, orders) = mpsc::channel();
        let shown = Shown::default();
        let memory = Memory::open(remains.map(|remains| remains.dir.clone()));
        let stand_in = StandIn::open(remains.map(|remains| remains.bpffs.as_path()));
        let thread = Thread::new(orders, woken, Arc::clone(&shown), memory, stand_in);
        thread::Builder::new().name("bfd".to_owned()).spawn(move || thread.run())?;
        Ok(Self { line: Line { commands, waker: Arc::new(waker) }, next: Arc::default(), shown })
    }

    /// Monitors a path from now on, as long as the follower lives.
    ///
    /// Whoever follows a path that is monitored already shares its session, and what it wanted last is what counts.
    #[must_use]
    pub fn follow(&self, path: Path, wanted: Wanted) -> Follower {
        let (sender, status) = watch::channel(SessionStatus::new(path.clone()));
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.line.send(Command::Follow { id, path: path.clone(), wanted, sender });
        Follower { id, path, line: self.line.clone(), status, abandoned: false }
    }

    /// Every session.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionStatus> {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.values().map(|status| status.borrow().clone()).collect()
    }

    /// Lets the thread send what is due, and ends it.
    pub async fn leave(self) {
        let (done, ended) = oneshot::channel();
        self.line.send(Command::Leave(done));
        // An error means that it has ended before.
        drop(ended.await);
    }
}

/// Follows one path. Dropped, it tells the peer AdminDown, unless somebody else follows it.
#[derive(Debug)]
pub struct Follower {
    id: u64,
    path: Path,
    line: Line,
    status: watch::Receiver<SessionStatus>,
    abandoned: bool,
}

impl Follower {
    /// What is followed.
    #[must_use]
    pub const fn path(&self) -> &Path {
        &self.path
    }

    /// The session as it is now.
    #[must_use]
    pub fn status(&self) -> SessionStatus {
        self.status.borrow().clone()
    }

    /// Waits for the next change of state.
    pub async fn changed(&mut self) {
        if self.status.changed().await.is_err() {
            // The thread has ended: nothing will change any more.
            std::future::pending::<()>().await;
        }
    }

    /// Another profile, the same path.
    pub fn change(&self, wanted: Wanted) {
        self.line.send(Command::Change { path: self.path.clone(), wanted });
    }

    /// Leaves without a word: the process is replaced, and the peer is to notice as little as possible.
    pub fn abandon(mut self) {
        self.abandoned = true;
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let (id, path) = (self.id, self.path.clone());
        self.line.send(Command::Unfollow { id, path, silently: self.abandoned });
    }
}
