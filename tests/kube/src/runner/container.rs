//! One container of a Pod: what it is to be, the process it is, and its life of starts, probes and restarts.
//!
//! Must not: write to the API server. It tells the Pod's task what became of it.

use std::{fs, path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};

use super::{
    Node, Unready,
    env::{self, Facts},
    probe::{Probes, Verdict},
    status::{Ended, State, View, restarts},
    volumes::Volumes,
};
use crate::{
    init::{Capabilities, Mount, NOT_STARTED, Source, Spec},
    programs,
};

/// How long until something that is missing is looked for again.
pub(super) const RETRY: Duration = Duration::from_millis(500);

/// Everything of a Pod that its containers are made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) node: Arc<Node>,
    pub(super) pod: Pod,
    pub(super) volumes: Volumes,
    pub(super) facts: Facts,
    /// The Pod's network; without one it is the node's.
    pub(super) netns: Option<PathBuf>,
}

/// The life of one container.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) parts: Arc<Parts>,
    pub(super) container: Container,
    pub(super) index: usize,
    pub(super) views: mpsc::UnboundedSender<(usize, View)>,
    /// Set once: end within this time.
    pub(super) stop: watch::Receiver<Option<Duration>>,
    pub(super) view: View,
}

/// How one run of the container ended.
enum Run {
    Ended(Ended),
    /// The Pod ends, and so the container has.
    Stopped(Ended),
}

impl Life {
    /// Runs the container until it is over or the Pod ends.
    pub(super) async fn live(mut self) {
        let mut wait = None;
        loop {
            let (spec, probes) = match self.prepare() {
                Ok(prepared) => prepared,
                Err((reason, Unready(message))) => {
                    self.tell(State::Waiting { reason, message: Some(message) });
                    if self.paused(RETRY).await { continue } else { return }
                }
            };
            let started = Instant::now();
            let ended = match self.run(&spec, probes).await {
                Run::Stopped(ended) => return self.ended(ended),
                Run::Ended(ended) => ended,
            };
            let pod_spec = self.parts.pod.spec.clone().unwrap_or_default();
            let code = ended.code;
            self.ended(ended);
            if !restarts(&pod_spec, code) {
                return;
            }
            let next = self.parts.node.back_off.next(wait, started.elapsed());
            wait = Some(next);
            if !next.is_zero() {
                let message = format!("back-off {next:?} restarting failed container {}", self.container.name);
                self.tell(State::Waiting { reason: "CrashLoopBackOff", message: Some(message) });
            }
            if !self.paused(next).await {
                return;
            }
            self.view.restarts += 1;
        }
    }

    fn prepare(&self) -> Result<(Spec, Probes), (&'static str, Unready)> {
        let image = self.container.image.as_deref().unwrap_or_default();
        if self.parts.node.images.get(image).is_none() {
            let message = format!("the pod runner has no image {image}");
            return Err(("ErrImageNeverPull", Unready(message)));
        }
        let config = |unready| ("CreateContainerConfigError", unready);
        let probes = Probes::new(&self.container, self.parts.facts.pod_ips.first().copied()).map_err(config)?;
        Ok((spec(&self.parts, &self.container).map_err(config)?, probes))
    }

    async fn run(&mut self, spec: &Spec, mut probes: Probes) -> Run {
        self.view.id =
            format!("{}-{}-{}", self.parts.node.key(&self.parts.pod), self.container.name, self.view.restarts);
        let mut running = match Running::start(spec, &self.log()) {
            Ok(running) => running,
            Err(error) => return Run::Ended(not_started(error.to_string())),
        };
        self.view.started = probes.started();
        self.view.ready = probes.started() && probes.ready_at_once();
        self.tell(State::Running { since: running.started });
        loop {
            tokio::select! {
                ended = running.ended() => return Run::Ended(ended),
                grace = stopped(&mut self.stop) => return Run::Stopped(running.end(grace).await),
                verdict = probes.next() => match verdict {
                    Verdict::Started => {
                        self.view.started = true;
                        self.view.ready = probes.ready_at_once();
                        self.tell(State::Running { since: running.started });
                    }
                    Verdict::Ready(ready) => {
                        self.view.ready = ready;
                        self.tell(State::Running { since: running.started });
                    }
                    Verdict::Dead(why) => {
                        let grace = grace(&self.parts.pod);
                        let ended = running.end(grace).await;
                        return Run::Ended(Ended { message: Some(why.to_owned()), ..ended });
                    }
                },
            }
        }
    }

    fn log(&self) -> PathBuf {
        self.parts.node.log(&self.parts.pod, &self.container.name)
    }

    /// Waits; `false` when the Pod ends instead.
    async fn paused(&mut self, span: Duration) -> bool {
        tokio::select! {
            () = sleep(span) => true,
            _ = stopped(&mut self.stop) => false,
        }
    }

    fn ended(&mut self, ended: Ended) {
        self.view.last = Some(ended.clone());
        (self.view.ready, self.view.started) = (false, false);
        self.tell(State::Ended(ended));
    }

    fn tell(&mut self, state: State) {
        self.view.state = state;
        // The Pod's task ends after all of its containers' tasks, so somebody listens.
        drop(self.views.send((self.index, self.view.clone())));
    }
}

/// Waits until the Pod ends, and says within which time.
async fn stopped(stop: &mut watch::Receiver<Option<Duration>>) -> Duration {
    match stop.wait_for(Option::is_some).await {
        Ok(grace) => grace.unwrap_or_default(),
        // Who could ask is gone: the runner ends.
        Err(_) => Duration::ZERO,
    }
}

fn grace(pod: &Pod) -> Duration {
    let seconds = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(30);
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// What a container is to be, from the Pod's spec.
fn spec(parts: &Parts, container: &Container) -> Result<Spec, Unready> {
    let spec = parts.pod.spec.clone().unwrap_or_default();
    let (of_pod, own) =
        (spec.security_context.unwrap_or_default(), container.security_context.clone().unwrap_or_default());
    let image = parts.node.images.get(container.image.as_deref().unwrap_or_default());
    let image = image.ok_or_else(|| Unready("the image is gone".to_owned()))?;
    let env = env::environment(&parts.pod, container, &parts.facts)?;
    let words = |words: &[String]| words.iter().map(|word| env::expand(word, &env)).collect::<Vec<_>>();
    let command = container.command.clone().filter(|command| !command.is_empty());
    let mut full = words(command.as_ref().unwrap_or(&image.entrypoint));
    full.extend(words(container.args.as_deref().unwrap_or_default()));

    let id = |what: &str, own: Option<i64>, of_pod: Option<i64>| {
        let id = own.or(of_pod).unwrap_or(0);
        u32::try_from(id).map_err(|error| Unready(format!("{what} {id}: {error}")))
    };
    let user = id("runAsUser", own.run_as_user, of_pod.run_as_user)?;
    let group = id("runAsGroup", own.run_as_group, of_pod.run_as_group)?;
    if user == 0 && own.run_as_non_root.or(of_pod.run_as_non_root) == Some(true) {
        return Err(Unready("container has runAsNonRoot and image will run as root".to_owned()));
    }
    let named = own.capabilities.unwrap_or_default();
    let capabilities = Capabilities::of(&named.add.unwrap_or_default(), &named.drop.unwrap_or_default());
    let folder = parts.node.pod_dir(&parts.pod).join(&container.name);
    Ok(Spec {
        netns: parts.netns.clone(),
        hostname: parts.facts.hostname.clone(),
        command: full,
        working_dir: container.working_dir.as_deref().filter(|dir| !dir.is_empty()).unwrap_or("/").into(),
        root: folder.join("root"),
        read_only_root: own.read_only_root_filesystem == Some(true),
        libraries: image.libraries,
        mounts: mounts(parts, container, image)?,
        capabilities: capabilities.map_err(|error| Unready(error.to_string()))?,
        user,
        group,
        groups: of_pod.supplemental_groups.iter().flatten().filter_map(|group| u32::try_from(*group).ok()).collect(),
        no_new_privileges: own.allow_privilege_escalation == Some(false),
        pid: folder.join("pid"),
        error: folder.join("error"),
        env,
    })
}

fn mounts(parts: &Parts, container: &Container, image: &super::Image) -> Result<Vec<Mount>, Unready> {
    let files = image.files.iter().map(|(source, at)| Mount {
        source: Source::Bind(source.clone()),
        at: at.clone(),
        read_only: true,
    });
    let mut mounts: Vec<_> = files.collect();
    for mount in container.volume_mounts.iter().flatten() {
        let source = parts.volumes.get(&mount.name);
        let source = source.ok_or_else(|| Unready(format!("there is no volume {}", mount.name)))?;
        let source = match (source, mount.sub_path.as_deref().unwrap_or_default()) {
            (source, "") => source.clone(),
            (Source::Bind(folder), below) => Source::Bind(folder.join(below)),
            (Source::Sysfs(folder), below) => Source::Sysfs(folder.join(below)),
        };
        let read_only = mount.read_only == Some(true);
        mounts.push(Mount { source, at: PathBuf::from(&mount.mount_path), read_only });
    }
    Ok(mounts)
}

/// The process of a container.
struct Running {
    child: Child,
    started: Timestamp,
    pid: PathBuf,
    error: PathBuf,
}

impl Running {
    fn start(spec: &Spec, log: &std::path::Path) -> std::io::Result<Self> {
        fs::create_dir_all(&spec.root)?;
        fs::create_dir_all(log.parent().unwrap_or(log))?;
        let file = spec.pid.with_file_name("spec.json");
        // What an earlier run left is nobody's process any more, or somebody else's.
        if spec.pid.exists() {
            fs::remove_file(&spec.pid)?;
        }
        fs::write(&file, serde_json::to_vec_pretty(spec)?)?;
        let output = fs::File::options().create(true).append(true).open(log)?;
        let mut command = Command::new(programs::own("pod-init"));
        command.arg(file).env_clear().stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        // A group of its own: Ctrl-C is the test's to handle.
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        Ok(Self { child, started: Timestamp::now(), pid: spec.pid.clone(), error: spec.error.clone() })
    }

    /// Waits for the end.
    async fn ended(&mut self) -> Ended {
        let code = match self.child.wait().await {
            // A first process that was killed took the command with it.
            Ok(status) => status.code().unwrap_or(128 + Signal::SIGKILL as i32),
            Err(error) => return not_started(error.to_string()),
        };
        let why = fs::read_to_string(&self.error).unwrap_or_default();
        let (reason, message) = match code {
            NOT_STARTED if !why.is_empty() => ("StartError", Some(why)),
            0 => ("Completed", None),
            _ => ("Error", None),
        };
        Ended { code, reason, message, started: self.started, finished: Timestamp::now() }
    }

    /// Asks it to end, and kills it when it has not within `grace`.
    async fn end(&mut self, grace: Duration) -> Ended {
        let first = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = first
            && let Err(error) = kill(Pid::from_raw(pid), Signal::SIGTERM)
        {
            // It ended by itself in this moment: the wait says so.
            tracing::debug!("ask process {pid} to end: {error}");
        }
        if let Ok(ended) = timeout(grace, self.ended()).await {
            return ended;
        }
        // The command first: its first process ends when it is gone, so that nothing of it is left when we say so.
        let command = fs::read_to_string(&self.pid).ok().and_then(|pid| pid.trim().parse().ok());
        let killed = command.is_some_and(|pid| kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok());
        if !killed && let Err(error) = self.child.start_kill() {
            tracing::debug!("kill a container: {error}");
        }
        self.ended().await
    }
}

fn not_started(message: String) -> Ended {
    let now = Timestamp::now();
    Ended { code: NOT_STARTED, reason: "StartError", message: Some(message), started: now, finished: now }
}
