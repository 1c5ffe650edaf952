//! The real binary on a directory of manifests: what a user writes, and what comes of it.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use k8s_openapi::api::{core::v1::Service, events::v1::Event};
use lb_api::{
    ConfigurationState, IPAddressPool, VirtualIP,
    metallb::ConfigurationResult,
    names::{annotation, condition},
    virtual_ip::Phase,
};
use lb_store::{Directory, Key, Listing, Object, Reflector, Store, Writer};

const LIMIT: Duration = Duration::from_secs(30);

const CLASS: &str = "
apiVersion: network.deckhouse.io/v1alpha1
kind: MetalLoadBalancerClass
metadata: {name: lab}
spec:
  isDefault: true
  addressPool: [192.0.2.100-192.0.2.109, 2001:db8::100-2001:db8::109]
";

/// A controller and a reader of its directory.
struct Lab {
    dir: tempfile::TempDir,
    listen: SocketAddr,
    controller: Option<Child>,
    store: Store,
    runtime: tokio::runtime::Runtime,
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let listen = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
        let store = Store::Directory(Directory::open(dir.path(), Writer::None).expect("a readable directory"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut lab = Self { dir, listen, controller: None, store, runtime };
        let node = |number| format!("apiVersion: v1\nkind: Node\nmetadata: {{name: node-{number}}}\n");
        lab.write("nodes.yaml", &[node(1), node(2), node(3)].join("---\n"));
        lab.write("class.yaml", CLASS);
        lab.start();
        lab
    }

    fn start(&mut self) {
        let child = Command::new(env!("CARGO_BIN_EXE_lb-controller"))
            .args(["--manifests", self.dir.path().to_str().expect("a UTF-8 path"), "--quarantine", "1s"])
            .args(["--listen", &self.listen.to_string()])
            .stdout(Stdio::null())
            .spawn();
        self.controller = Some(child.expect("the controller starts"));
    }

    /// SIGKILL.
    fn kill(&mut self) {
        if let Some(mut child) = self.controller.take() {
            child.kill().expect("it is ours");
            child.wait().expect("it is ours");
        }
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.dir.path().join(file), text).expect("a writable directory");
    }

    /// A dual-stack Service.
    fn service(&self, name: &str, count: &str, more: &str) {
        let text = format!(
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n  annotations: {{{}: '{count}'}}\nspec:\n  type: \
             LoadBalancer\n  ipFamilyPolicy: RequireDualStack\n  ports: [{{port: 80}}]\n{more}",
            annotation::IP_COUNT
        );
        self.write(&format!("{name}.yaml"), &text);
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.dir.path().join(format!("{name}.yaml"))).expect("it was written");
    }

    fn listing<K: Object>(&self) -> std::sync::Arc<Listing<K>> {
        let mut reflector: Reflector<K> = self.store.reflect();
        self.runtime.block_on(reflector.ready()).expect("the store runs");
        reflector.current()
    }

    fn get_service(&self, name: &str) -> Option<Service> {
        let key = Key::new("default", name);
        self.listing::<Service>().objects.get(&key).map(|service| (**service).clone())
    }

    fn shown(&self, name: &str) -> Vec<String> {
        let status = self.get_service(name).and_then(|service| service.status).unwrap_or_default();
        let ingress = status.load_balancer.and_then(|balancer| balancer.ingress).unwrap_or_default();
        ingress.into_iter().filter_map(|entry| entry.ip).collect()
    }

    fn condition(&self, name: &str, type_: &str) -> Option<String> {
        let conditions = self.get_service(name)?.status?.conditions?;
        conditions.into_iter().find(|condition| condition.type_ == type_).map(|condition| condition.message)
    }

    fn phases(&self) -> Vec<Phase> {
        self.listing::<VirtualIP>().objects.values().map(|vip| vip.spec.phase).collect()
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.listen).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
    }

    fn state(&self) -> serde_json::Value {
        self.get("/state").and_then(|body| serde_json::from_str(&body).ok()).unwrap_or_default()
    }

    /// Until the controller has seen and done all that the manifests say now.
    fn settled(&self) {
        self.runtime.block_on(self.store.catch_up()).expect("the store runs");
        let digest = self.store.digest();
        until("the controller has settled on the last edit", || self.state()["manifests"] == *digest);
    }
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        sleep(Duration::from_millis(20));
    }
}

const THREE: [&str; 6] =
    ["192.0.2.100", "2001:db8::100", "192.0.2.101", "2001:db8::101", "192.0.2.102", "2001:db8::102"];

#[test]
fn addresses_come_stay_over_a_kill_and_go() {
    let mut lab = Lab::new();
    lab.service("web", "3", "");
    until("three addresses of each family", || lab.shown("web") == THREE);
    assert_eq!(lab.condition("web", condition::ALL_ASSIGNED).as_deref(), Some("6 of 6 public IPs were assigned"));
    lab.settled();
    assert_eq!(lab.get("/readyz").as_deref(), Some("ok\n"));
    assert!(lab.get("/metrics").is_some_and(|text| text.contains("herald_controller_addresses{state=\"assigned\"} 6")));

    let before = (lab.get_service("web"), lab.listing::<VirtualIP>().objects.clone());
    lab.kill();
    lab.start();
    lab.settled();
    assert_eq!((lab.get_service("web"), lab.listing::<VirtualIP>().objects.clone()), before);

    lab.service("web", "1", "");
    until("one address of each family", || lab.shown("web") == THREE[..2]);
    until("the others are gone after the quarantine", || lab.phases().len() == 2);
    lab.service("web", "2", "");
    until("two addresses of each family", || lab.shown("web") == THREE[..4]);

    lab.remove("web");
    until("all are released", || lab.phases().iter().all(|phase| *phase == Phase::Released));
    until("all are gone after the quarantine", || lab.phases().is_empty());
}

#[test]
fn a_bad_count_is_one_and_a_foreign_class_is_left_alone() {
    let lab = Lab::new();
    lab.service("bad", "many", "");
    lab.service("foreign", "2", "  loadBalancerClass: example.com/other\n");
    until("one address of each family", || lab.shown("bad") == THREE[..2]);
    lab.settled();

    assert!(lab.condition("bad", condition::INVALID).is_some_and(|message| message.contains(annotation::IP_COUNT)));
    let events = lab.listing::<Event>();
    assert!(events.objects.values().any(|event| event.note.as_ref().is_some_and(|note| note.contains("many"))));
    assert_eq!(
        lab.get_service("foreign").and_then(|service| service.status).and_then(|status| status.conditions),
        None
    );
    assert_eq!(lab.shown("foreign"), Vec::<String>::new());

    lab.service("bad", "2", "");
    until("two addresses of each family", || lab.shown("bad") == THREE[..4]);
    assert_eq!(lab.condition("bad", condition::INVALID), None);
}

const POOL: &str = "
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: blue, namespace: metallb-system}
spec:
  addresses: [198.51.100.0/30, 2001:db8:1::/126]
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: all, namespace: metallb-system}
spec:
  interfaces: [eth1]
";

/// MetalLB's YAML as it is: a pool, an advertisement, a Service that asks for the pool.
#[test]
fn a_service_gets_addresses_of_metallbs_pool() {
    let lab = Lab::new();
    lab.write("pool.yaml", POOL);
    lab.write(
        "blue.yaml",
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: blue\n  annotations: {metallb.universe.tf/address-pool: \
         blue}\nspec:\n  type: LoadBalancer\n  ipFamilyPolicy: RequireDualStack\n  ports: [{port: 80}]\n",
    );
    until("one address of each family", || lab.shown("blue") == ["198.51.100.0", "2001:db8:1::"]);
    lab.settled();

    let vips = lab.listing::<VirtualIP>();
    let vip = vips.objects.values().find(|vip| vip.spec.address == "198.51.100.0").expect("it is shown");
    assert_eq!((vip.spec.pool.as_str(), vip.spec.nodes.len()), ("metallb-system/blue", 3));
    assert_eq!(vip.spec.interfaces, ["eth1"]);
    let pools = lab.listing::<IPAddressPool>();
    let status = pools.objects.values().next().and_then(|pool| pool.status).expect("counters");
    assert_eq!((status.assigned_ipv4, status.available_ipv4), (1, 3));
    assert_eq!((status.assigned_ipv6, status.available_ipv6), (1, 3));
    let states = lab.listing::<ConfigurationState>();
    let state = states.objects.values().next().and_then(|state| state.status.clone()).expect("a judgement");
    assert_eq!(state.result, Some(ConfigurationResult::Valid));
    // As in MetalLB's documentation: nothing is required of an advertisement.
    lab.write(
        "more.yaml",
        "apiVersion: metallb.io/v1beta1\nkind: L2Advertisement\nmetadata: {name: example, namespace: metallb-system}\n",
    );
    until("one without interfaces means all", || {
        lab.listing::<VirtualIP>().objects.values().all(|vip| vip.spec.interfaces.is_empty())
    });
    // The class is there as well, for who asks for nothing.
    lab.service("web", "1", "");
    until("one address of each family", || lab.shown("web") == THREE[..2]);
}

#[test]
fn a_bad_file_is_reported_and_the_rest_goes_on() {
    let lab = Lab::new();
    lab.write("bad.yaml", "kind: Service\nmetadata: [\n");
    lab.service("web", "1", "");
    until("one address of each family", || lab.shown("web") == THREE[..2]);
    until("the file is reported", || lab.state()["rejections"][0]["file"] == "bad.yaml");

    lab.remove("bad");
    until("the report is gone", || lab.state()["rejections"] == serde_json::json!([]));
}

#[test]
fn sigterm_ends_it_in_peace() {
    let mut lab = Lab::new();
    until("it is ready", || lab.get("/readyz").as_deref() == Some("ok\n"));
    let mut child = lab.controller.take().expect("it runs");
    let told = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(told.is_ok_and(|status| status.success()));
    assert!(child.wait().expect("it is ours").success());
}
