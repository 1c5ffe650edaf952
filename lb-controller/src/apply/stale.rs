//! An address is given back only after its Service has stopped showing it: else somebody else shows it too.

use std::collections::BTreeSet;

use lb_api::virtual_ip::{Claim, Phase};
use lb_plan::controller::Action;
use lb_store::Key;

/// Whether the write gives back an address of one of the Services whose status could not be written.
pub(crate) fn takes_from(action: &Action, stale: &BTreeSet<Key>) -> bool {
    if stale.is_empty() {
        return false;
    }
    let is_stale = |claim: &Claim| stale.contains(&Key::new(claim.namespace.clone(), claim.name.clone()));
    match action {
        Action::Update(vip) => vip.spec.phase == Phase::Released && vip.spec.claims.iter().any(is_stale),
        Action::Delete(vip) => vip.spec.claims.iter().any(is_stale),
        Action::WriteStatus(_)
        | Action::Create(_)
        | Action::CreateEvent(_)
        | Action::DeleteEvent(_)
        | Action::WritePoolStatus(_)
        | Action::CreateState(_)
        | Action::WriteState(_)
        | Action::Annotate(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use lb_api::VirtualIP;

    use super::*;

    #[test]
    fn what_a_service_may_still_show_is_kept() {
        let mut vip = VirtualIP::new("192.0.2.1", Default::default());
        vip.spec.claims = vec![Claim { namespace: "shop".into(), name: "web".into(), ..Claim::default() }];
        let stale = |name: &str| BTreeSet::from([Key::new("shop", name)]);
        let bound = Action::Update(Box::new(vip.clone()));
        vip.spec.phase = Phase::Released;
        let released = Action::Update(Box::new(vip));

        assert!(takes_from(&released, &stale("web")));
        assert!(!takes_from(&released, &stale("other")));
        assert!(!takes_from(&released, &BTreeSet::new()));
        assert!(!takes_from(&bound, &stale("web")));
    }
}
