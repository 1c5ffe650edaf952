//! Before an address is taken from a Service that seems to be gone, or no longer Herald's: a look at the Service itself.
//!
//! A watch can be behind, and an address that is given back too soon is given to somebody else. So what was planned on
//! has to be what there is; else the step waits for the next plan.

use k8s_openapi::api::core::v1::Service;
use lb_api::{
    VirtualIP,
    virtual_ip::{Claim, Phase},
};
use lb_plan::controller::{Action, Step, Why};
use lb_store::{GetError, Key, Listing, Stopped, Store};

use super::chain;

/// Whether the Services are as they were judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Confirmed {
    /// They are.
    Yes,
    /// One is other than it was judged.
    No,
    /// It could not be asked; the whole chain of causes.
    Unknown(String),
}

/// The VirtualIP that a step takes from Services because of what they are: from all of its own, or, if it stays bound,
/// from some of those who share it.
pub(super) fn of_lost_service(step: &Step) -> Option<&VirtualIP> {
    if !matches!(step.why, Why::ServiceGone | Why::NotOurs) {
        return None;
    }
    match &step.action {
        Action::Update(vip) => Some(vip),
        Action::Delete(vip) => Some(vip),
        Action::WriteStatus(_)
        | Action::Create(_)
        | Action::CreateEvent(_)
        | Action::DeleteEvent(_)
        | Action::WritePoolStatus(_)
        | Action::CreateState(_)
        | Action::WriteState(_)
        | Action::Annotate(_) => None,
    }
}

/// Looks at the Service of every claim that is lost. Only a store that is gone is an error.
pub(super) async fn confirm(store: &Store, vip: &VirtualIP, services: &Listing<Service>) -> Result<Confirmed, Stopped> {
    let lost = match vip.spec.phase {
        Phase::Released => vip.spec.claims.clone(),
        Phase::Bound => match store.get::<VirtualIP>(&Key::of(vip)).await {
            Ok(Some(judged)) if judged.metadata.resource_version == vip.metadata.resource_version => lost(&judged, vip),
            Ok(_) => return Ok(Confirmed::No),
            Err(GetError::Stopped(stopped)) => return Err(stopped),
            Err(error @ GetError::Server { .. }) => return Ok(Confirmed::Unknown(chain(&error))),
        },
    };
    for claim in &lost {
        let key = Key::new(claim.namespace.clone(), claim.name.clone());
        let live = match store.get::<Service>(&key).await {
            Ok(live) => live,
            Err(GetError::Stopped(stopped)) => return Err(stopped),
            Err(error @ GetError::Server { .. }) => return Ok(Confirmed::Unknown(chain(&error))),
        };
        if !is_same(services.objects.get(&key).map(|service| &**service), live.as_ref()) {
            return Ok(Confirmed::No);
        }
    }
    Ok(Confirmed::Yes)
}

/// The claims of a VirtualIP that it has no more when it is written.
fn lost(judged: &VirtualIP, written: &VirtualIP) -> Vec<Claim> {
    let stays = |claim: &Claim| written.spec.claims.iter().any(|other| other.is_of(claim));
    judged.spec.claims.iter().filter(|claim| !stays(claim)).cloned().collect()
}

/// Whether both are the same version of the same Service, or none.
fn is_same(judged: Option<&Service>, live: Option<&Service>) -> bool {
    let id = |service: &Service| (service.metadata.uid.clone(), service.metadata.resource_version.clone());
    judged.map(id) == live.map(id)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::*;

    fn service(uid: &str, version: &str) -> Service {
        let metadata =
            ObjectMeta { uid: Some(uid.into()), resource_version: Some(version.into()), ..ObjectMeta::default() };
        Service { metadata, ..Service::default() }
    }

    #[test]
    fn only_what_is_as_it_was_judged_counts() {
        let (one, newer, other) = (service("a", "1"), service("a", "2"), service("b", "1"));
        assert!(is_same(None, None));
        assert!(is_same(Some(&one), Some(&one)));
        assert!(!is_same(None, Some(&one)), "the watch has not brought it yet");
        assert!(!is_same(Some(&one), Some(&newer)));
        assert!(!is_same(Some(&one), Some(&other)), "made again under the same name");
    }

    #[test]
    fn a_release_for_another_reason_asks_nobody() {
        let mut vip = VirtualIP::new("192.0.2.1", Default::default());
        vip.spec.phase = Phase::Released;
        let step = |why, action| Step { action, why };
        let release = Action::Update(Box::new(vip.clone()));
        assert!(of_lost_service(&step(Why::ServiceGone, release.clone())).is_some());
        assert!(of_lost_service(&step(Why::NotOurs, release.clone())).is_some());
        assert!(of_lost_service(&step(Why::NotWanted, release)).is_none());
        assert!(of_lost_service(&step(Why::QuarantineOver, Action::Delete(Arc::new(vip.clone())))).is_none());
        vip.spec.phase = Phase::Bound;
        let update = Action::Update(Box::new(vip));
        assert!(
            of_lost_service(&step(Why::ServiceGone, update.clone())).is_some(),
            "one of those who share it is gone"
        );
        assert!(of_lost_service(&step(Why::Ranked, update)).is_none());
    }

    #[test]
    fn of_a_shared_address_who_leaves_is_asked_for() {
        let claim = |name: &str, index, sharing: Option<&str>| Claim {
            namespace: "default".into(),
            name: name.into(),
            uid: format!("uid-{name}"),
            index,
            family: lb_api::virtual_ip::Family::IPv4,
            sharing: sharing.map(str::to_owned),
        };
        let mut judged = VirtualIP::new("192.0.2.1", Default::default());
        let mut written = judged.clone();
        judged.spec.claims = vec![claim("a", 0, Some("x")), claim("b", 0, Some("y")), claim("c", 1, Some("z"))];
        written.spec.claims = vec![claim("b", 0, None)];
        let names: Vec<String> = lost(&judged, &written).into_iter().map(|claim| claim.name).collect();
        assert_eq!(names, ["a", "c"]);
        assert_eq!(lost(&judged, &judged), []);
    }
}
