//! What a Pod's status says, from what its containers do. Pure.
//!
//! Phases and conditions: the Kubernetes documentation, "Pod lifecycle". A condition keeps the time of its last change.

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{
        ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
        HostIP, Pod, PodCondition, PodIP, PodSpec, PodStatus,
    },
    apimachinery::pkg::apis::meta::v1::Time,
};

/// What a container does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Waiting { reason: &'static str, message: Option<String> },
    Running { since: Timestamp },
    Ended(Ended),
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) code: i32,
    pub(super) reason: &'static str,
    pub(super) message: Option<String>,
    pub(super) started: Timestamp,
    pub(super) finished: Timestamp,
}

/// A container as its task last said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    pub(super) state: State,
    pub(super) last: Option<Ended>,
    pub(super) restarts: i32,
    pub(super) ready: bool,
    pub(super) started: bool,
    /// Empty before the first start.
    pub(super) id: String,
}

impl View {
    pub(super) const fn new() -> Self {
        let state = State::Waiting { reason: "ContainerCreating", message: None };
        Self { state, last: None, restarts: 0, ready: false, started: false, id: String::new() }
    }
}

/// Where a Pod is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Addresses {
    pub(super) pod: Vec<IpAddr>,
    pub(super) host: Vec<IpAddr>,
}

/// Whether a container that ended with this code runs again.
pub(super) fn restarts(spec: &PodSpec, code: i32) -> bool {
    match spec.restart_policy.as_deref() {
        Some("Never") => false,
        Some("OnFailure") => code != 0,
        _ => true,
    }
}

/// The whole status. `started` is when the runner took the Pod up.
pub(super) fn status(
    pod: &Pod,
    views: &[View],
    addresses: &Addresses,
    started: Timestamp,
    now: Timestamp,
) -> PodStatus {
    let spec = pod.spec.clone().unwrap_or_default();
    let phase = phase(&spec, views);
    let has_network = !addresses.pod.is_empty();
    let all_ready = phase == "Running" && views.iter().all(|view| view.ready);
    let over = matches!(phase, "Succeeded" | "Failed");
    let ready = if over {
        (false, Some(if phase == "Failed" { "PodFailed" } else { "PodCompleted" }))
    } else {
        (all_ready, (!all_ready).then_some("ContainersNotReady"))
    };
    let conditions = [
        ("PodReadyToStartContainers", (has_network && !over, None)),
        ("Initialized", (true, None)),
        ("ContainersReady", ready),
        ("Ready", ready),
    ];
    let ip = |ip: &IpAddr| ip.to_string();
    PodStatus {
        phase: Some(phase.to_owned()),
        conditions: Some(conditions.map(|(kind, (holds, why))| condition(pod, kind, holds, why, now)).to_vec()),
        container_statuses: Some(
            spec.containers.iter().zip(views).map(|(c, view)| container(&c.name, &c.image, view)).collect(),
        ),
        host_ip: addresses.host.first().map(ip),
        host_ips: Some(addresses.host.iter().map(|host| HostIP { ip: ip(host) }).collect()),
        pod_ip: addresses.pod.first().map(ip),
        pod_ips: Some(addresses.pod.iter().map(|pod| PodIP { ip: ip(pod) }).collect()),
        start_time: Some(Time(started)),
        ..PodStatus::default()
    }
}

fn phase(spec: &PodSpec, views: &[View]) -> &'static str {
    let never_ran = |view: &View| matches!(view.state, State::Waiting { .. }) && view.last.is_none();
    if views.is_empty() || views.iter().any(never_ran) {
        return "Pending";
    }
    let over = |view: &View| match &view.state {
        State::Ended(ended) if !restarts(spec, ended.code) => Some(ended.code),
        State::Ended(_) | State::Waiting { .. } | State::Running { .. } => None,
    };
    match views.iter().map(over).collect::<Option<Vec<_>>>() {
        Some(codes) if codes.iter().all(|code| *code == 0) => "Succeeded",
        Some(_) => "Failed",
        None => "Running",
    }
}

fn condition(pod: &Pod, kind: &str, holds: bool, reason: Option<&str>, now: Timestamp) -> PodCondition {
    let status = if holds { "True" } else { "False" };
    let mut before = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let same = before.rfind(|before| before.type_ == kind && before.status == status);
    PodCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.map(str::to_owned),
        last_transition_time: same.and_then(|same| same.last_transition_time.clone()).or(Some(Time(now))),
        ..PodCondition::default()
    }
}

fn container(name: &str, image: &Option<String>, view: &View) -> ContainerStatus {
    ContainerStatus {
        name: name.to_owned(),
        image: image.clone().unwrap_or_default(),
        image_id: image.clone().unwrap_or_default(),
        container_id: (!view.id.is_empty()).then(|| format!("pod-runner://{}", view.id)),
        ready: view.ready,
        started: Some(view.started),
        restart_count: view.restarts,
        state: Some(match &view.state {
            State::Waiting { reason, message } => ContainerState {
                waiting: Some(ContainerStateWaiting { reason: Some((*reason).to_owned()), message: message.clone() }),
                ..ContainerState::default()
            },
            State::Running { since } => ContainerState {
                running: Some(ContainerStateRunning { started_at: Some(Time(*since)) }),
                ..ContainerState::default()
            },
            State::Ended(ended) => terminated(ended, &view.id),
        }),
        last_state: view.last.as_ref().map(|ended| terminated(ended, &view.id)),
        ..ContainerStatus::default()
    }
}

fn terminated(ended: &Ended, id: &str) -> ContainerState {
    let terminated = ContainerStateTerminated {
        exit_code: ended.code,
        reason: Some(ended.reason.to_owned()),
        message: ended.message.clone(),
        started_at: Some(Time(ended.started)),
        finished_at: Some(Time(ended.finished)),
        container_id: Some(format!("pod-runner://{id}")),
        ..ContainerStateTerminated::default()
    };
    ContainerState { terminated: Some(terminated), ..ContainerState::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(policy: &str) -> PodSpec {
        PodSpec { restart_policy: Some(policy.to_owned()), ..PodSpec::default() }
    }

    fn ended(code: i32) -> View {
        let now = Timestamp::UNIX_EPOCH;
        let ended = Ended { code, reason: "Error", message: None, started: now, finished: now };
        View { state: State::Ended(ended.clone()), last: Some(ended), ..View::new() }
    }

    #[test]
    fn a_pod_is_pending_until_each_container_ran_and_over_when_none_runs_again() {
        let running = View { state: State::Running { since: Timestamp::UNIX_EPOCH }, ..View::new() };
        assert_eq!(phase(&spec("Always"), &[running.clone(), View::new()]), "Pending");
        assert_eq!(phase(&spec("Always"), &[running.clone(), ended(1)]), "Running");
        assert_eq!(phase(&spec("Never"), &[running, ended(1)]), "Running");
        assert_eq!(phase(&spec("Never"), &[ended(0), ended(1)]), "Failed");
        assert_eq!(phase(&spec("OnFailure"), &[ended(0), ended(0)]), "Succeeded");
        assert_eq!(phase(&spec("OnFailure"), &[ended(0), ended(1)]), "Running");
    }

    #[test]
    fn a_condition_keeps_the_time_of_its_last_change() {
        let (then, now) = (Timestamp::UNIX_EPOCH, Timestamp::from_second(1_000_000).expect("a time"));
        let mut pod = Pod::default();
        let first = condition(&pod, "Ready", true, None, then);
        pod.status = Some(PodStatus { conditions: Some(vec![first]), ..PodStatus::default() });

        let time = |holds| condition(&pod, "Ready", holds, None, now).last_transition_time;
        assert_eq!((time(true), time(false)), (Some(Time(then)), Some(Time(now))));
    }
}
