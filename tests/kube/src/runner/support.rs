//! What of a Pod the runner does not do. Pure.
//!
//! A field that would change what the Pod is, and that nobody honours, must not pass in silence: such a Pod never runs,
//! and its status names the field. What is accepted without effect (limits of CPU and memory, the runtime's own
//! seccomp profile) stands in this package's README.

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Probe, Volume};

/// The first thing that the runner does not do, if there is one.
pub(super) fn unsupported(pod: &Pod) -> Option<String> {
    let Some(spec) = &pod.spec else { return Some("a Pod without a spec".to_owned()) };
    of_pod(spec)
        .map(str::to_owned)
        .or_else(|| spec.volumes.iter().flatten().find_map(of_volume))
        .or_else(|| spec.containers.iter().find_map(|container| of_container(spec, container)))
}

fn of_pod(spec: &PodSpec) -> Option<&'static str> {
    let is = |flag: Option<bool>| flag == Some(true);
    let security = spec.security_context.clone().unwrap_or_default();
    let fields = [
        ("initContainers", spec.init_containers.iter().flatten().next().is_some()),
        ("ephemeralContainers", spec.ephemeral_containers.iter().flatten().next().is_some()),
        ("hostPID", is(spec.host_pid)),
        ("hostIPC", is(spec.host_ipc)),
        ("shareProcessNamespace", is(spec.share_process_namespace)),
        ("hostUsers", spec.host_users == Some(false)),
        ("hostAliases", spec.host_aliases.iter().flatten().next().is_some()),
        ("runtimeClassName", spec.runtime_class_name.is_some()),
        ("securityContext.sysctls", security.sysctls.iter().flatten().next().is_some()),
        ("securityContext.seLinuxOptions", security.se_linux_options.is_some()),
        (
            "securityContext.seccompProfile",
            security.seccomp_profile.is_some_and(|profile| profile.type_ == "Localhost"),
        ),
        ("securityContext.fsGroup", security.fs_group.is_some()),
    ];
    fields.into_iter().find_map(|(name, used)| used.then_some(name))
}

fn of_volume(volume: &Volume) -> Option<String> {
    let known = [
        volume.projected.is_some(),
        volume.config_map.is_some(),
        volume.secret.is_some(),
        volume.empty_dir.is_some(),
        volume.host_path.is_some(),
        volume.downward_api.is_some(),
    ];
    if !known.contains(&true) {
        return Some(format!("volumes[{}]: its kind", volume.name));
    }
    let sources = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
    for source in sources {
        let known = [
            source.service_account_token.is_some(),
            source.config_map.is_some(),
            source.secret.is_some(),
            source.downward_api.is_some(),
        ];
        if !known.contains(&true) {
            return Some(format!("volumes[{}]: one of its sources", volume.name));
        }
    }
    None
}

fn of_container(spec: &PodSpec, container: &Container) -> Option<String> {
    let security = container.security_context.clone().unwrap_or_default();
    let own_network = spec.host_network != Some(true);
    let mounts = || container.volume_mounts.iter().flatten();
    let probes = [&container.liveness_probe, &container.readiness_probe, &container.startup_probe];
    let fields = [
        ("securityContext.privileged", security.privileged == Some(true)),
        ("securityContext.seLinuxOptions", security.se_linux_options.is_some()),
        ("securityContext.procMount", security.proc_mount.is_some_and(|mount| mount != "Default")),
        (
            "securityContext.seccompProfile",
            security.seccomp_profile.is_some_and(|profile| profile.type_ == "Localhost"),
        ),
        ("lifecycle", container.lifecycle.is_some()),
        ("stdin", container.stdin == Some(true) || container.tty == Some(true)),
        ("volumeDevices", container.volume_devices.iter().flatten().next().is_some()),
        ("ports.hostPort", own_network && container.ports.iter().flatten().any(|port| port.host_port.is_some())),
        ("volumeMounts.subPathExpr", mounts().any(|mount| mount.sub_path_expr.is_some())),
        (
            "volumeMounts.mountPropagation",
            mounts().any(|mount| mount.mount_propagation.as_deref().is_some_and(|kind| kind != "None")),
        ),
        ("a probe that is neither httpGet over HTTP nor tcpSocket", probes.into_iter().flatten().any(is_other_probe)),
    ];
    let found = fields.into_iter().find_map(|(name, used)| used.then_some(name))?;
    Some(format!("containers[{}].{found}", container.name))
}

fn is_other_probe(probe: &Probe) -> bool {
    let https = |scheme: Option<&str>| scheme.is_some_and(|scheme| scheme != "HTTP");
    match (&probe.http_get, &probe.tcp_socket) {
        (Some(get), _) => https(get.scheme.as_deref()),
        (None, Some(_)) => false,
        (None, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(spec: serde_json::Value) -> Option<String> {
        unsupported(&serde_json::from_value(serde_json::json!({ "spec": spec })).expect("it is a Pod"))
    }

    #[test]
    fn a_field_that_nobody_honours_is_named() {
        let privileged = serde_json::json!({ "name": "c", "securityContext": { "privileged": true } });
        let exec = serde_json::json!({ "name": "c", "livenessProbe": { "exec": { "command": ["true"] } } });
        let nfs = serde_json::json!({ "containers": [], "volumes": [{ "name": "v", "nfs": { "path": "/", "server": "x" } }] });
        assert_eq!(
            found(serde_json::json!({ "containers": [privileged] })).as_deref(),
            Some("containers[c].securityContext.privileged")
        );
        assert!(found(serde_json::json!({ "containers": [exec] })).is_some_and(|field| field.contains("a probe")));
        assert_eq!(found(nfs).as_deref(), Some("volumes[v]: its kind"));
    }

    #[test]
    fn what_a_daemon_set_of_ours_uses_is_done() {
        let container = serde_json::json!({
            "name": "agent",
            "securityContext": { "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"], "add": ["BPF"] } },
            "readinessProbe": { "httpGet": { "path": "/readyz", "port": 7480, "host": "127.0.0.1" } },
            "ports": [{ "containerPort": 7480, "hostPort": 7480 }],
        });
        let spec = serde_json::json!({
            "hostNetwork": true,
            "containers": [container],
            "volumes": [{ "name": "bpf", "hostPath": { "path": "/sys/fs/bpf", "type": "Directory" } }],
        });
        assert_eq!(found(spec), None);
    }
}
