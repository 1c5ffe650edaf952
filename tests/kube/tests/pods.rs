//! The pod runner does what Pods say, and the cluster's own controllers do the rest.

use std::{fs, os::unix::fs::MetadataExt as _, time::Duration};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use kube::{Api, api::ListParams};
use lb_tests::{lab::Shape, need, wait};
use lb_tests_kube::{BackOff, Cluster, ClusterShape, programs};

const LIMIT: Duration = Duration::from_secs(60);

/// Nodes only: what is tested here needs no Services.
fn cluster(nodes: u8) -> anyhow::Result<Cluster> {
    let lab = Shape { nodes, clients: 0, ..Shape::default() };
    Cluster::start(ClusterShape { lab, proxy: None, ..ClusterShape::default() })
}

/// A Pod of one shell, as YAML. `more` continues its spec, `of_container` the container's.
fn shell_pod(name: &str, script: &str, more: &str, of_container: &str) -> String {
    let script = script.replace('\n', "\n        ");
    format!(
        "
apiVersion: v1
kind: Pod
metadata: {{ name: {name}, namespace: default, labels: {{ app: {name} }} }}
spec:
  terminationGracePeriodSeconds: 2
  {more}
  containers:
  - name: main
    image: lab/shell
    {of_container}
    command: [/bin/sh, -c]
    args:
    - |
        {script}
"
    )
}

fn pod(cluster: &Cluster, name: &str, what: &str, is_so: impl Fn(&Pod) -> bool + Send + Sync) -> anyhow::Result<Pod> {
    cluster.admin().wait_for(LIMIT, &format!("{name} {what}"), async |client| {
        let found = Api::<Pod>::namespaced(client.clone(), "default").get(name).await?;
        if is_so(&found) {
            return Ok(Some(found));
        }
        anyhow::bail!("{:?}", found.status)
    })
}

fn container(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.first()
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

fn end(pod: &Pod) -> Option<&ContainerStateTerminated> {
    container(pod)?.state.as_ref()?.terminated.as_ref()
}

/// Runs a shell to its end and returns what it printed.
fn printed(cluster: &Cluster, name: &str, script: &str, more: &str, of_container: &str) -> anyhow::Result<String> {
    let more = format!("restartPolicy: Never\n  {more}");
    cluster.kubectl().apply(&shell_pod(name, script, &more, of_container))?;
    let ended = pod(cluster, name, "to end", |pod| end(pod).is_some())?;
    let log = cluster.pod_log("default", name, "main")?;
    ensure!(phase(&ended) == "Succeeded", "{name}: {:?}\n{log}", end(&ended));
    Ok(log)
}

#[test]
fn a_daemon_set_runs_on_each_node_in_the_nodes_network_and_goes_again() -> anyhow::Result<()> {
    if !need::met(&programs::needs()) {
        return Ok(());
    }
    let cluster = cluster(3)?;
    let kubectl = cluster.kubectl();
    kubectl.apply(
        "
apiVersion: apps/v1
kind: DaemonSet
metadata: { name: agent, namespace: default }
spec:
  selector: { matchLabels: { app: agent } }
  template:
    metadata: { labels: { app: agent } }
    spec:
      hostNetwork: true
      terminationGracePeriodSeconds: 2
      containers:
      - name: main
        image: lab/shell
        env:
        - { name: NODE, valueFrom: { fieldRef: { fieldPath: spec.nodeName } } }
        - { name: IP, valueFrom: { fieldRef: { fieldPath: status.podIP } } }
        args: [-c, 'trap \"echo asked to end; exit 0\" TERM; echo node $NODE ip $(IP); while :; do sleep 0.1; done']
",
    )?;
    kubectl.run(&["rollout", "status", "daemonset/agent", "--timeout", "60s"])?;

    let pods = cluster.admin().run(async |client| {
        let pods = Api::<Pod>::namespaced(client, "default").list(&ListParams::default().labels("app=agent")).await?;
        Ok(pods.items)
    })?;
    assert_eq!(pods.len(), 3);
    let mut pids = Vec::new();
    for pod in &pods {
        let name = pod.metadata.name.as_deref().context("a Pod has a name")?;
        let node =
            cluster.node(pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).context("it is bound")?)?;
        let pid = cluster.container_pid(&node.name, pod.metadata.uid.as_deref().unwrap_or_default(), "main")?;
        let inode = |path: String| Ok::<_, std::io::Error>(fs::metadata(path)?.ino());
        assert_eq!(inode(format!("/proc/{pid}/ns/net"))?, inode(format!("/run/netns/{}", node.netns.name()))?);
        let said = format!("node {} ip {}\n", node.name, node.v4);
        wait::for_ok(LIMIT, "the Pod to speak", || {
            let log = cluster.pod_log("default", name, "main")?;
            ensure!(log == said, "it said {log:?}, not {said:?}");
            Ok(())
        })?;
        pids.push((name.to_owned(), pid));
    }

    kubectl.run(&["delete", "daemonset", "agent", "--cascade=foreground", "--timeout", "60s"])?;

    for (name, pid) in pids {
        assert!(!fs::exists(format!("/proc/{pid}"))?, "process {pid} of {name} outlived its Pod");
        assert!(cluster.pod_log("default", &name, "main")?.ends_with("asked to end\n"));
    }
    cluster.done();
    Ok(())
}

#[test]
fn a_container_has_what_its_security_context_says_and_no_more() -> anyhow::Result<()> {
    if !need::met(&programs::needs()) {
        return Ok(());
    }
    let cluster = cluster(1)?;
    let look = "
grep Cap /proc/self/status
touch /forbidden && echo root is writable
cd /tmp && touch x && echo tmp is writable
touch /data/x && echo data is writable
echo 1 > /proc/sys/net/ipv4/conf/all/arp_announce && echo sysctls are writable
ip link add dummy type bridge && echo links can be made
ls /proc | grep -c '^[0-9]' | { read n; [ $n -lt 10 ] && echo only its own processes; }
id -u
exit 0";
    let volume = "volumes: [{ name: data, emptyDir: {} }]";
    let tight = "securityContext: { readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, \
                 capabilities: { drop: [ALL], add: [NET_ADMIN] } }\n    volumeMounts: [{ name: data, mountPath: /data }]";
    let user = "securityContext: { runAsUser: 65534, capabilities: { drop: [ALL] } }";

    let tight = printed(&cluster, "tight", look, volume, tight)?;
    let user = printed(&cluster, "user", look, "hostNetwork: true", user)?;
    let plain = printed(&cluster, "plain", look, "", "")?;

    // CAP_NET_ADMIN is number 12: in the effective and in the bounding set, and alone there.
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert!(tight.contains(&format!("{set}:\t0000000000001000")), "{tight}");
        assert!(user.contains(&format!("{set}:\t0000000000000000")), "{user}");
        assert!(plain.contains(&format!("{set}:\t00000000a80425fb")), "{plain}");
    }
    let has = |log: &str, line: &str| log.lines().any(|found| found == line);
    assert!(
        has(&tight, "data is writable") && has(&tight, "links can be made") && has(&tight, "only its own processes")
    );
    assert!(
        !has(&tight, "root is writable") && !has(&tight, "tmp is writable") && tight.contains("Read-only file system")
    );
    assert!(has(&plain, "root is writable") && has(&plain, "tmp is writable") && !has(&plain, "links can be made"));
    assert!(has(&user, "65534") && !has(&user, "links can be made"));
    for log in [&tight, &user, &plain] {
        assert!(!has(log, "sysctls are writable"), "{log}");
    }
    cluster.done();
    Ok(())
}

#[test]
fn a_container_that_fails_runs_again_after_waits_that_double() -> anyhow::Result<()> {
    if !need::met(&programs::needs()) {
        return Ok(());
    }
    let lab = Shape { nodes: 1, clients: 0, ..Shape::default() };
    let back_off = BackOff { first: Duration::from_millis(400), most: Duration::from_secs(60) };
    let cluster = Cluster::start(ClusterShape { lab, proxy: None, back_off, ..ClusterShape::default() })?;
    cluster.kubectl().apply(&shell_pod("crash", "date +%s%3N; exit 3", "", ""))?;

    let waiting = pod(&cluster, "crash", "to wait before its next start", |pod| {
        let waiting = || container(pod)?.state.as_ref()?.waiting.as_ref()?.reason.clone();
        waiting().as_deref() == Some("CrashLoopBackOff")
    })?;
    let often = pod(&cluster, "crash", "to be started four times again", |pod| {
        container(pod).is_some_and(|container| container.restart_count >= 4)
    })?;

    let last = |pod: &Pod| container(pod)?.last_state.as_ref()?.terminated.as_ref().map(|ended| ended.exit_code);
    assert_eq!((last(&waiting), last(&often), phase(&often)), (Some(3), Some(3), "Running"));
    let log = cluster.pod_log("default", "crash", "main")?;
    let starts: Vec<u64> = log.lines().map(str::parse).collect::<Result<_, _>>()?;
    let gaps: Vec<_> = starts.windows(2).map(|pair| pair[1] - pair[0]).take(4).collect();
    assert!(gaps.len() >= 3, "{log}");
    // At once, then 400, 800 and 1600 ms, each and a start.
    for (gap, least) in gaps.iter().zip([0, 400, 800, 1600]) {
        assert!(*gap >= least, "{gaps:?}");
    }
    cluster.done();
    Ok(())
}

#[test]
fn a_pod_speaks_to_the_api_server_as_itself() -> anyhow::Result<()> {
    if !need::met(&programs::needs()) {
        return Ok(());
    }
    let cluster = cluster(1)?;
    cluster.kubectl().run(&["create", "configmap", "words", "--from-literal", "greeting=hello"])?;
    let ask = r#"
dir=/var/run/secrets/kubernetes.io/serviceaccount
echo namespace $(cat $dir/namespace) greeting $GREETING $(cat /words/greeting)
curl --silent --show-error --fail --cacert $dir/ca.crt --header "Authorization: Bearer $(cat $dir/token)" \
  --header 'Content-Type: application/json' --data '{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}' \
  https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/apis/authentication.k8s.io/v1/selfsubjectreviews"#;
    let volume = "volumes: [{ name: words, configMap: { name: words } }]";
    let of_container = "volumeMounts: [{ name: words, mountPath: /words }]\n    \
                        env: [{ name: GREETING, valueFrom: { configMapKeyRef: { name: words, key: greeting } } }]";

    let log = printed(&cluster, "asks", ask, volume, of_container)?;

    let (first, answer) = log.split_once('\n').context("it prints a line first")?;
    assert_eq!(first, "namespace default greeting hello hello");
    let answer: serde_json::Value = serde_json::from_str(answer)?;
    let user = &answer["status"]["userInfo"];
    assert_eq!(user["username"], "system:serviceaccount:default:default");
    assert_eq!(user["extra"]["authentication.kubernetes.io/pod-name"][0], "asks");
    assert_eq!(user["extra"]["authentication.kubernetes.io/node-name"][0], "node-1");
    cluster.done();
    Ok(())
}

#[test]
fn host_paths_are_the_nodes_own_and_outlive_the_pod() -> anyhow::Result<()> {
    if !need::met(&programs::needs()) {
        return Ok(());
    }
    let cluster = cluster(1)?;
    let look = "
stat --file-system --format %T /sys/fs/bpf
mkdir /sys/fs/bpf/kept && echo kept > /state/kept
touch /fixed/x || echo fixed is read-only
ls /sys/class/net | tr '\\n' ' '
echo 2 > /host/net/ipv4/conf/eth0/arp_announce && cat /proc/sys/net/ipv4/conf/eth0/arp_announce";
    let more = "hostNetwork: true
  volumes:
  - { name: bpf, hostPath: { path: /sys/fs/bpf, type: Directory } }
  - { name: state, hostPath: { path: /run/state, type: DirectoryOrCreate } }
  - { name: net, hostPath: { path: /proc/sys/net } }";
    let of_container = "volumeMounts:
    - { name: bpf, mountPath: /sys/fs/bpf }
    - { name: state, mountPath: /state }
    - { name: state, mountPath: /fixed, readOnly: true }
    - { name: net, mountPath: /host/net }";

    let log = printed(&cluster, "paths", look, more, of_container)?;
    cluster.kubectl().run(&["delete", "pod", "paths", "--timeout", "60s"])?;

    let lines: Vec<_> = log.lines().filter(|line| !line.contains("touch:")).collect();
    assert_eq!(lines, ["bpf_fs", "fixed is read-only", "eth0 lo 2"], "{log}");
    assert_eq!(fs::read_to_string(cluster.host_dir("node-1").join("run/state/kept"))?, "kept\n");
    let node = cluster.node("node-1")?;
    assert!(cluster.lab().bpffs(node)?.join("kept").is_dir());
    assert_eq!(node.netns.read("/proc/sys/net/ipv4/conf/eth0/arp_announce")?, "2\n");
    cluster.done();
    Ok(())
}

#[test]
fn a_container_that_does_not_end_is_killed_after_its_grace() -> anyhow::Result<()> {
    if !need::met(&programs::needs()) {
        return Ok(());
    }
    let cluster = cluster(1)?;
    let deaf = "trap 'echo heard and ignored' TERM; echo up; while :; do sleep 0.1; done";
    cluster.kubectl().apply(&shell_pod("deaf", deaf, "", ""))?;
    let running = pod(&cluster, "deaf", "to run", |pod| phase(pod) == "Running")?;
    let pid = cluster.container_pid("node-1", running.metadata.uid.as_deref().unwrap_or_default(), "main")?;
    wait::until(LIMIT, "its trap", || cluster.pod_log("default", "deaf", "main").is_ok_and(|log| log == "up\n"))?;

    let asked = std::time::Instant::now();
    cluster.kubectl().run(&["delete", "pod", "deaf", "--timeout", "60s"])?;

    assert!(asked.elapsed() >= Duration::from_secs(2), "its grace is 2 s, it took {:?}", asked.elapsed());
    assert!(!fs::exists(format!("/proc/{pid}"))?);
    assert_eq!(cluster.pod_log("default", "deaf", "main")?, "up\nheard and ignored\n");
    cluster.done();
    Ok(())
}

#[test]
fn a_pod_that_asks_for_what_the_runner_does_not_do_never_runs_and_says_why() -> anyhow::Result<()> {
    if !need::met(&programs::needs()) {
        return Ok(());
    }
    let cluster = cluster(1)?;
    cluster.kubectl().apply(&shell_pod("pids", "sleep 1000", "hostPID: true", ""))?;
    let unknown = shell_pod("unknown", "sleep 1000", "", "").replace("lab/shell", "lab/nothing");
    cluster.kubectl().apply(&unknown)?;

    for (name, reason, words) in [
        ("pids", "Unsupported", "hostPID"),
        ("unknown", "ErrImageNeverPull", "the pod runner has no image lab/nothing"),
    ] {
        let refused = pod(&cluster, name, "to be refused", |pod| {
            container(pod).and_then(|container| container.state.as_ref()?.waiting.as_ref()?.message.as_ref()).is_some()
        })?;
        let waiting = container(&refused).and_then(|container| container.state.clone()?.waiting);
        let waiting = waiting.context("it waits")?;
        assert_eq!((phase(&refused), waiting.reason.as_deref()), ("Pending", Some(reason)));
        assert!(waiting.message.is_some_and(|message| message.contains(words)));
    }
    cluster.done();
    Ok(())
}

#[test]
fn without_the_runner_pods_are_bound_and_stay_pending() -> anyhow::Result<()> {
    if !need::met(&programs::needs()) {
        return Ok(());
    }
    let lab = Shape { nodes: 1, clients: 0, ..Shape::default() };
    let cluster = Cluster::start(ClusterShape { lab, proxy: None, pods: false, ..ClusterShape::default() })?;
    cluster.kubectl().apply(&shell_pod("still", "sleep 1000", "", ""))?;

    let is_bound = |pod: &Pod| pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    pod(&cluster, "still", "to be bound", is_bound)?;
    wait::observe(Duration::from_secs(3));

    let still = pod(&cluster, "still", "to be there", |_| true)?;
    assert_eq!((phase(&still), container(&still)), ("Pending", None));
    cluster.done();
    Ok(())
}
