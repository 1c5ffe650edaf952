//! Which ServiceL2Statuses there are for what is held.

use lb_api::virtual_ip::{Claim, Family, VirtualIPStatus};

use super::*;

const NAMESPACE: &str = "metallb-system";

/// A VirtualIP from a pool: its Services, the interfaces it is answered on, and who holds it.
fn vip(address: &str, services: &[&str], interfaces: &[&str], holder: Option<&str>) -> Arc<VirtualIP> {
    let mut vip = VirtualIP::new(address, Default::default());
    vip.spec.address = address.into();
    vip.spec.pool = "metallb-system/pool".into();
    vip.spec.interfaces = interfaces.iter().map(|&name| name.to_owned()).collect();
    let claim = |name: &&str| Claim {
        namespace: "shop".into(),
        name: (*name).to_owned(),
        family: Family::IPv4,
        ..Claim::default()
    };
    vip.spec.claims = services.iter().map(claim).collect();
    vip.status = Some(VirtualIPStatus { holder: holder.map(str::to_owned), ..VirtualIPStatus::default() });
    Arc::new(vip)
}

/// What is there once everything is written.
fn settle(vips: &[Arc<VirtualIP>], mut there: Vec<Arc<ServiceL2Status>>) -> Vec<Arc<ServiceL2Status>> {
    for _ in 0..4 {
        let writes = writes(vips, &there, NAMESPACE);
        if writes.is_empty() {
            return there;
        }
        for write in writes {
            let name = |object: &ServiceL2Status| object.metadata.name.clone();
            match write {
                Write::Create(object) => there.push(Arc::new(*object)),
                Write::Status(object) => {
                    there.retain(|other| name(other) != name(&object));
                    there.push(Arc::new(*object));
                }
                Write::Delete(object) => there.retain(|other| name(other) != name(&object)),
            }
        }
    }
    panic!("writing never ends");
}

/// Service, node and interfaces of each, in order.
fn says(there: &[Arc<ServiceL2Status>]) -> Vec<(String, String, Vec<String>)> {
    let status = |object: &Arc<ServiceL2Status>| object.status.clone().expect("a status");
    let line = |status: ServiceL2StatusStatus| {
        let interfaces = status.interfaces.into_iter().map(|interface| interface.name).collect();
        (status.service_name.unwrap_or_default(), status.node.unwrap_or_default(), interfaces)
    };
    let mut lines: Vec<_> = there.iter().map(status).map(line).collect();
    lines.sort();
    lines
}

fn line(service: &str, node: &str, interfaces: &[&str]) -> (String, String, Vec<String>) {
    (service.into(), node.into(), interfaces.iter().map(|&name| name.to_owned()).collect())
}

#[test]
fn each_node_that_holds_an_address_of_a_service_is_said_with_its_interfaces() {
    let vips = [
        vip("192.0.2.1", &["web"], &["eth1"], Some("node-1")),
        vip("192.0.2.2", &["web"], &["eth0"], Some("node-1")),
        vip("192.0.2.3", &["web"], &["eth0"], Some("node-2")),
        vip("192.0.2.4", &["mail", "dns"], &[], Some("node-2")),
        vip("192.0.2.5", &["idle"], &[], None),
    ];
    let there = settle(&vips, Vec::new());
    let expected = [
        line("dns", "node-2", &[]),
        line("mail", "node-2", &[]),
        line("web", "node-1", &["eth0", "eth1"]),
        line("web", "node-2", &["eth0"]),
    ];
    assert_eq!(says(&there), expected);
    let web = there.iter().find(|object| says(&[Arc::clone(object)]) == [line("web", "node-2", &["eth0"])]);
    let labels = web.and_then(|web| web.metadata.labels.clone()).expect("labels");
    let label = |name: &str| labels.get(name).map(String::as_str);
    assert_eq!(label("metallb.io/node"), Some("node-2"));
    assert_eq!(label("metallb.io/service-name"), Some("web"));
    assert_eq!(label("metallb.io/service-namespace"), Some("shop"));
}

#[test]
fn an_address_on_all_interfaces_makes_the_list_empty() {
    let vips = [
        vip("192.0.2.1", &["web"], &["eth1"], Some("node-1")),
        vip("192.0.2.2", &["web"], &[], Some("node-1")),
        vip("192.0.2.3", &["web"], &["eth2"], Some("node-1")),
    ];
    assert_eq!(says(&settle(&vips, Vec::new())), [line("web", "node-1", &[])]);
}

#[test]
fn a_move_leaves_nothing_behind_and_other_interfaces_are_written_in_place() {
    let there = settle(&[vip("192.0.2.1", &["web"], &["eth0"], Some("node-1"))], Vec::new());
    let moved = [vip("192.0.2.1", &["web"], &["eth0"], Some("node-2"))];
    let there = settle(&moved, there);
    assert_eq!(says(&there), [line("web", "node-2", &["eth0"])]);

    let wider = [vip("192.0.2.1", &["web"], &["eth1", "eth0"], Some("node-2"))];
    let [Write::Status(_)] = &writes(&wider, &there, NAMESPACE)[..] else { panic!("one status") };
    let there = settle(&wider, there);
    assert_eq!(says(&there), [line("web", "node-2", &["eth0", "eth1"])]);
    let mut gone = VirtualIP::clone(&wider[0]);
    gone.status.get_or_insert_default().why = Some(UNKNOWN.to_owned());
    assert_eq!(says(&settle(&[Arc::new(gone)], there.clone())), []);
    assert_eq!(says(&settle(&[], there)), []);
}

#[test]
fn what_says_something_that_cannot_be_changed_is_made_again() {
    let vips = [vip("192.0.2.1", &["web"], &[], Some("node-1"))];
    let there = settle(&vips, Vec::new());
    let mut forged = ServiceL2Status::clone(&there[0]);
    forged.status.get_or_insert_default().node = Some("node-9".into());
    let there = settle(&vips, vec![Arc::new(forged)]);
    assert_eq!(says(&there), [line("web", "node-1", &[])]);
}

#[test]
fn metallbs_own_and_classes_and_quarantine_are_let_be() {
    let speakers = ServiceL2Status {
        metadata: ObjectMeta {
            name: Some("l2-x7h2k".into()),
            namespace: Some(NAMESPACE.into()),
            labels: Some([("metallb.io/node".to_owned(), "node-1".to_owned())].into()),
            ..ObjectMeta::default()
        },
        ..ServiceL2Status::default()
    };
    let mut of_class = VirtualIP::clone(&vip("192.0.2.1", &["web"], &[], Some("node-1")));
    of_class.spec.pool = "class".into();
    let mut released = VirtualIP::clone(&vip("192.0.2.2", &["web"], &[], Some("node-1")));
    released.spec.phase = Phase::Released;
    assert_eq!(writes(&[Arc::new(of_class), Arc::new(released)], &[Arc::new(speakers)], NAMESPACE), []);
}

#[test]
fn a_long_name_of_a_node_is_said_without_a_label() {
    let node = "n".repeat(64);
    let there = settle(&[vip("192.0.2.1", &["web"], &[], Some(&node))], Vec::new());
    assert_eq!(says(&there), [line("web", &node, &[])]);
    let labels = there[0].metadata.labels.clone().unwrap_or_default();
    assert!(!labels.contains_key("metallb.io/node"), "{labels:?}");
}
