//! The store's thread: takes events and orders, reads what has settled, shows followers the result.
//!
//! Followers are shown a complete state only: all files that are due are read first. A lone change is shown at once;
//! when changes come fast, showing them takes at most a tenth of the time.

use std::{
    collections::{BTreeSet, VecDeque},
    path::PathBuf,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use super::{
    Writer,
    layout::RECORDS,
    look::{self, Glimpse},
    settle::Settle,
    state::State,
    tree::Notice,
};

/// A look over everything this often finds what watching lost.
const LOOK: Duration = Duration::from_secs(30);
/// The same where watching does not work.
const BLIND_LOOK: Duration = Duration::from_secs(1);
/// How many files are read before orders are looked at again.
const BATCH: usize = 256;
/// Followers are shown a change within this time, whatever else goes on.
const PATIENCE: Duration = Duration::from_millis(200);

/// Something done with the state.
pub(crate) type Task = Box<dyn FnOnce(&mut State) + Send>;

/// What the thread is told.
pub(crate) enum Message {
    /// Do this at once.
    Follow(Task),
    /// Do this when all that is due has been read.
    Order(Task),
    /// Show followers everything that was ordered before, then do this.
    Sync(Task),
    /// Read and show followers everything that is on the disk now, then do this.
    CatchUp(Task),
    /// The watcher saw something.
    Seen(notify::Result<notify::Event>),
    /// The look over everything saw something.
    Looked(Glimpse),
    /// End.
    Stop,
}

enum Order {
    Do(Task),
    Sync(Task),
}

pub(crate) struct Worker {
    state: State,
    settle: Settle,
    scans: BTreeSet<PathBuf>,
    /// Of the files that have to settle, those to read even if they have not changed.
    forced: BTreeSet<PathBuf>,
    orders: VecDeque<Order>,
    /// Those who wait for what is on the disk.
    behind: Vec<Task>,
    next_look: Instant,
    /// A look over everything is under way.
    looking: bool,
    /// Where a look tells what it sees.
    messages: Sender<Message>,
    show_at: Instant,
}

impl Worker {
    pub(crate) fn new(state: State, messages: Sender<Message>) -> Self {
        let now = Instant::now();
        Self {
            state,
            settle: Settle::default(),
            scans: BTreeSet::new(),
            forced: BTreeSet::new(),
            orders: VecDeque::new(),
            behind: Vec::new(),
            next_look: now + LOOK,
            looking: false,
            messages,
            show_at: now,
        }
    }

    pub(crate) fn run(mut self, messages: &Receiver<Message>) {
        let first = self.state.scan(&PathBuf::new());
        self.state.unread.extend(first.into_iter().map(|(path, _)| (path, false)));
        loop {
            let wait = self.next().saturating_duration_since(Instant::now());
            let mut message = match messages.recv_timeout(wait) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            while let Some(next) = message {
                // A look has many slices, and a change must not wait for them all.
                let slice = matches!(next, Message::Looked(_));
                if !self.take(next) {
                    return;
                }
                message = if slice { None } else { messages.try_recv().ok() };
            }
            self.work();
        }
    }

    /// When there is something to do.
    fn next(&self) -> Instant {
        let orders = self.state.synced && !self.orders.is_empty();
        if !self.state.unread.is_empty() || !self.state.fresh.is_empty() || !self.scans.is_empty() || orders {
            return Instant::now();
        }
        let show = (self.state.synced && self.state.stale).then_some(self.show_at);
        [self.settle.next(), show].into_iter().flatten().fold(self.next_look, Instant::min)
    }

    /// Looks over everything, on a thread of its own.
    fn look(&mut self, now: Instant) {
        self.next_look = now + if self.state.tree.is_blind() { BLIND_LOOK } else { LOOK };
        if self.looking {
            return;
        }
        self.state.tree.begin_look();
        let (root, place, messages) = (self.state.root.clone(), self.state.places(), self.messages.clone());
        let walk = move || look::walk(&root, &place, &|glimpse| messages.send(Message::Looked(glimpse)).is_ok());
        match thread::Builder::new().name("look".into()).spawn(walk) {
            Ok(_detached) => self.looking = true,
            Err(error) => {
                tracing::warn!(%error, "start a thread that looks over all files: look here");
                self.scans.insert(PathBuf::new());
            }
        }
    }

    fn looked(&mut self, glimpse: Glimpse) {
        let found = match glimpse {
            Glimpse::Folder(folder, inode) => {
                if self.state.tree.saw_folder(folder.clone(), inode) {
                    self.scans.insert(folder);
                }
                return;
            }
            Glimpse::Files(files) => self.state.tree.saw_files(files),
            Glimpse::End { whole } => {
                self.looking = false;
                if !whole {
                    return tracing::warn!(path = %self.state.root.display(), "keep what was last seen in a directory");
                }
                let (gone, folders) = self.state.tree.end_look();
                self.scans.extend(folders);
                gone
            }
        };
        let now = Instant::now();
        for (path, sign) in found {
            self.settle.note(path, sign, now);
        }
    }

    /// Takes a message; `false` ends the thread.
    fn take(&mut self, message: Message) -> bool {
        match message {
            Message::Follow(task) => task(&mut self.state),
            Message::Order(task) => self.orders.push_back(Order::Do(task)),
            Message::Sync(task) => self.orders.push_back(Order::Sync(task)),
            Message::CatchUp(task) => {
                self.scans.insert(PathBuf::new());
                self.behind.push(task);
            }
            Message::Seen(Ok(event)) => {
                let now = Instant::now();
                for notice in self.state.notices(&event) {
                    match notice {
                        Notice::File(path, sign) => self.settle.note(path, sign, now),
                        Notice::Scan(folder) => drop(self.scans.insert(folder)),
                    }
                }
            }
            Message::Seen(Err(error)) => {
                tracing::warn!(%error, "watch the manifest directory");
                self.scans.insert(PathBuf::new());
            }
            Message::Looked(glimpse) => self.looked(glimpse),
            Message::Stop => return false,
        }
        true
    }

    fn work(&mut self) {
        let now = Instant::now();
        if now >= self.next_look {
            self.look(now);
        }
        for folder in std::mem::take(&mut self.scans) {
            for (path, sign) in self.state.scan(&folder) {
                self.settle.note(path, sign, now);
            }
        }
        for path in self.settle.take(now) {
            let forced = self.forced.remove(&path);
            *self.state.unread.entry(path).or_default() |= forced;
        }
        let complete = (0..BATCH).any(|_| !self.state.read_next());
        for (path, forced) in std::mem::take(&mut self.state.fresh) {
            if forced {
                self.forced.insert(path.clone());
            }
            self.settle.postpone(path, now);
        }
        if complete {
            self.finish();
        }
    }

    /// All that is due has been read.
    fn finish(&mut self) {
        if !self.state.synced {
            if !self.settle.is_empty() {
                // Somebody is writing a manifest: without it the first listing would not be complete.
                return;
            }
            self.state.synced = true;
            self.state.forget_absent();
        }
        while let Some(order) = self.orders.pop_front() {
            match order {
                Order::Do(task) => task(&mut self.state),
                Order::Sync(task) => {
                    self.show();
                    task(&mut self.state);
                }
            }
        }
        if !self.behind.is_empty() && self.scans.is_empty() && self.settle.is_quiet(Instant::now()) {
            self.show();
            for task in std::mem::take(&mut self.behind) {
                task(&mut self.state);
            }
        }
        if self.state.stale && Instant::now() >= self.show_at {
            self.show();
        }
    }

    fn show(&mut self) {
        if !self.state.unread.is_empty() || !self.state.stale {
            return;
        }
        let start = Instant::now();
        self.state.clear_gone();
        if self.state.writer == Writer::Controller {
            // Before followers act on a generation it must be known to outlive this process.
            if let Err(error) = self.state.records.flush(&self.state.root.join(RECORDS)) {
                tracing::warn!(%error, "write the record of generations");
            }
        } else {
            self.state.records.discard();
        }
        self.state.publish();
        let end = Instant::now();
        self.show_at = end + ((end - start) * 9).min(PATIENCE);
    }
}
