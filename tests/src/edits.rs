//! Random edits of a folder of manifests under a controller that is killed now and then. Whenever it is quiet, no
//! address is given twice, none is leaked, none has moved without cause, and every Service shows what it has.
//!
//! A seed repeats the edits and the kills; what the controller was doing when it was killed, it does not. A failure
//! carries the seed and every edit. "Quiet" is: 2 s without a file event, and the controller's last pass has seen the
//! users' files as they are.

mod check;
mod class;
mod world;
mod yaml;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use anyhow::Context as _;

use self::{check::Found, world::World};
use crate::{
    herald::{self, Controller, Manifests, Observer},
    lab::{Lab, Shape},
    need::Need,
    random::Random,
    wait,
};

pub use crate::random::fresh_seed;

const QUIET: Duration = Duration::from_secs(2);
const LIMIT: Duration = Duration::from_secs(60);
/// Short, so that a released address is gone when it is quiet: then what is left over is a leak.
const QUARANTINE: &str = "1s";

/// What was seen in a run that held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Edits made, without the deletions at the end.
    pub edits: usize,
    /// How often everything was checked.
    pub quiets: usize,
    /// How often the controller was killed.
    pub kills: usize,
}

/// What a run needs of its machine.
pub fn needs() -> Vec<Need> {
    [vec![Need::Root, Need::Program("ip")], herald::controller_needs()].concat()
}

/// Makes `edits` random edits and checks whenever it is quiet; at last deletes every Service, and checks again.
pub fn run(seed: u64, edits: usize) -> anyhow::Result<Figures> {
    let mut run = Run::new(Random::new(seed))?;
    run.edits(edits).with_context(|| format!("seed {seed}, {edits} edits:\n{}", run.log.join("\n")))?;
    Ok(Figures { edits, quiets: run.quiets, kills: run.kills })
}

struct Run {
    random: Random,
    world: World,
    found: Found,
    log: Vec<String>,
    quiets: usize,
    kills: usize,
    controller: Option<Controller>,
    observer: Observer,
    manifests: Manifests,
    lab: Lab,
}

impl Run {
    fn new(random: Random) -> anyhow::Result<Self> {
        let lab = Lab::new(Shape { nodes: 0, clients: 0, ..Shape::default() })?;
        let manifests = Manifests::new(lab.dir().join("manifests"))?;
        let world = World::new();
        for (file, text) in world.files() {
            manifests.write(&file, &text)?;
        }
        let observer = manifests.observe()?;
        let log = vec!["start".to_owned()];
        Ok(Self {
            random,
            world,
            found: Found::default(),
            log,
            quiets: 0,
            kills: 0,
            controller: None,
            observer,
            manifests,
            lab,
        })
    }

    fn edits(&mut self, edits: usize) -> anyhow::Result<()> {
        let mut done = 0;
        while done < edits {
            let size = self.random.below(6) + 3;
            for edit in self.world.batch(&mut self.random, size.min(edits - done)) {
                self.disturb()?;
                self.log.push(format!("{done}: {}", edit.what));
                match &edit.text {
                    Some(text) => self.manifests.write(&edit.file, text)?,
                    None => self.manifests.remove(&edit.file)?,
                }
                done += 1;
            }
            self.look_when_quiet()?;
        }
        self.log.push("every Service is deleted".to_owned());
        for file in self.world.delete_all() {
            self.manifests.remove(&file)?;
        }
        self.look_when_quiet()
    }

    /// Starts the controller if it is down, or kills it, or neither.
    fn disturb(&mut self) -> anyhow::Result<()> {
        // Somewhere in what the last edit made it do.
        wait::observe(Duration::from_millis(self.random.below(40) as u64));
        match (&mut self.controller, self.random.below(4)) {
            (Some(controller), 0) => {
                self.log.push("the controller is killed".to_owned());
                controller.process().kill()?;
                self.kills += 1;
                self.controller = None;
            }
            (None, 0 | 1) => self.start()?,
            (Some(_) | None, _) => {}
        }
        Ok(())
    }

    fn start(&mut self) -> anyhow::Result<()> {
        self.log.push("the controller is started".to_owned());
        self.controller = Some(Controller::launch(&self.lab, &self.manifests, &["--quarantine", QUARANTINE])?);
        Ok(())
    }

    fn look_when_quiet(&mut self) -> anyhow::Result<()> {
        if self.controller.is_none() {
            self.start()?;
        }
        self.wait_for_quiet()?;
        self.quiets += 1;
        let changed = self.world.take_changes();
        self.found = check::all(&self.world, &changed, &self.found, &self.observer).inspect_err(|_| {
            self.log.push(self.controller.as_mut().map(|c| c.process().log_tail()).unwrap_or_default())
        })?;
        self.log.push(format!("quiet: {} addresses", self.found.len()));
        Ok(())
    }

    fn wait_for_quiet(&mut self) -> anyhow::Result<()> {
        let controller = self.controller.as_mut().context("it was started")?;
        let (mut last, mut since) = (Vec::new(), Instant::now());
        let (observer, dir) = (&self.observer, self.manifests.dir());
        controller.wait_for(LIMIT, "quiet: the files at rest, and seen by the controller", |state| {
            let now = fingerprint(dir);
            if now != last {
                (last, since) = (now, Instant::now());
            }
            since.elapsed() >= QUIET && observer.catch_up().is_ok() && *state.manifests == *observer.digest()
        })?;
        Ok(())
    }
}

/// Changes with every file event: each file with its size and when it was written.
fn fingerprint(dir: &Path) -> Vec<(PathBuf, u64, Option<SystemTime>)> {
    let mut files = Vec::new();
    // A folder or file that goes while it is read is an event too: the next look sees it gone.
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => files.extend(fingerprint(&entry.path())),
            Ok(metadata) => files.push((entry.path(), metadata.len(), metadata.modified().ok())),
            Err(_) => files.push((entry.path(), 0, None)),
        }
    }
    files.sort_unstable();
    files
}
