//! What is said to somebody who is about to write an object of BGP.
//!
//! MetalLB's rules (metallb.md section 6.1): what is wrong is refused, on whichever object it is told; what refers to
//! something that may still arrive is admitted with a warning; and a BFDProfile that is in use is not deleted.

use std::collections::BTreeSet;

use super::{Change, Snapshot, Subject, Verdict};
use crate::bgp::{self, Problem};

impl Subject {
    pub(super) const fn is_of_bgp(&self) -> bool {
        match self {
            Self::Peer(_) | Self::BgpAdvertisement(_) | Self::Profile(_) | Self::Community(_) => true,
            Self::Pool(_) | Self::DeckhousePool(_) | Self::Class(_) | Self::Advertisement(_) => false,
        }
    }

    fn kind_and_name(&self) -> (&'static str, &str) {
        let (kind, metadata) = match self {
            Self::Pool(object) => ("IPAddressPool", &object.metadata),
            Self::DeckhousePool(object) => ("MetalLoadBalancerPool", &object.metadata),
            Self::Class(object) => ("MetalLoadBalancerClass", &object.metadata),
            Self::Advertisement(object) => ("L2Advertisement", &object.metadata),
            Self::Community(object) => ("Community", &object.metadata),
            Self::Peer(object) => ("BGPPeer", &object.metadata),
            Self::BgpAdvertisement(object) => ("BGPAdvertisement", &object.metadata),
            Self::Profile(object) => ("BFDProfile", &object.metadata),
        };
        (kind, metadata.name.as_deref().unwrap_or_default())
    }
}

pub(super) fn judge(before: &Snapshot, after: &Snapshot, change: &Change, verdict: &mut Verdict) {
    let known: BTreeSet<Problem> = bgp::problems(&before.bgp_objects()).into_iter().collect();
    let new = bgp::problems(&after.bgp_objects()).into_iter().filter(|problem| !known.contains(problem));
    let (Change::Put(subject) | Change::Delete(subject)) = change;
    let (kind, name) = subject.kind_and_name();
    for problem in new {
        let is_own = problem.kind == kind && problem.name == name;
        let text = match is_own {
            true => format!("{}: {}", problem.field, problem.message),
            false => format!("{} `{}`: {}: {}", problem.kind, problem.name, problem.field, problem.message),
        };
        let is_put = matches!(change, Change::Put(_));
        let is_wrong = !problem.may_pass && !problem.is_superfluous();
        match subject.is_of_bgp() && is_put && is_wrong {
            true => verdict.refused.push(text),
            false => verdict.warnings.push(text),
        }
    }
    if let Change::Delete(Subject::Profile(profile)) = change {
        let uses = |peer: &lb_api::BGPPeer| {
            peer.metadata.namespace == profile.metadata.namespace && peer.spec.bfd_profile == profile.metadata.name
        };
        let users = before.bgp.peers.iter().filter(|peer| uses(peer)).filter_map(|peer| peer.metadata.name.as_deref());
        let users: Vec<&str> = users.collect();
        if !users.is_empty() {
            let text = format!("failed to delete BFDProfile `{name}`: BGPPeer {} uses it", users.join(", "));
            verdict.warnings.clear();
            verdict.refused.push(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lb_api::{
        BFDProfile, BGPAdvertisement, BGPPeer, IPAddressPool,
        metallb::{BFDProfileSpec, BGPAdvertisementSpec, BGPPeerSpec, IPAddressPoolSpec},
    };

    use super::*;
    use crate::controller::admission::judge as decide;

    const NAMESPACE: &str = "metallb-system";

    fn peer(name: &str, edit: impl FnOnce(&mut BGPPeerSpec)) -> BGPPeer {
        let mut spec = BGPPeerSpec {
            my_asn: 64512,
            peer_asn: Some(64513),
            peer_address: Some("198.51.100.1".into()),
            ..BGPPeerSpec::default()
        };
        edit(&mut spec);
        let mut peer = BGPPeer::new(name, spec);
        peer.metadata.namespace = Some(NAMESPACE.into());
        peer
    }

    fn advertisement(name: &str, edit: impl FnOnce(&mut BGPAdvertisementSpec)) -> BGPAdvertisement {
        let mut spec = BGPAdvertisementSpec::default();
        edit(&mut spec);
        let mut object = BGPAdvertisement::new(name, spec);
        object.metadata.namespace = Some(NAMESPACE.into());
        object
    }

    fn profile(edit: impl FnOnce(&mut BFDProfileSpec)) -> BFDProfile {
        let mut spec = BFDProfileSpec::default();
        edit(&mut spec);
        let mut object = BFDProfile::new("fast", spec);
        object.metadata.namespace = Some(NAMESPACE.into());
        object
    }

    /// A pool of /28, peer `tor`, advertisement `all` with a local preference.
    fn world() -> Snapshot {
        let spec = IPAddressPoolSpec { addresses: vec!["192.0.2.0/28".into()], ..IPAddressPoolSpec::default() };
        let mut pool = IPAddressPool::new("pool", spec);
        pool.metadata.namespace = Some(NAMESPACE.into());
        let mut snapshot = Snapshot { ip_address_pools: vec![Arc::new(pool)], ..Snapshot::default() };
        snapshot.bgp.peers = vec![Arc::new(peer("tor", |_| {}))];
        snapshot.bgp.advertisements = vec![Arc::new(advertisement("all", |spec| spec.local_pref = Some(100)))];
        snapshot
    }

    #[track_caller]
    fn refused(snapshot: &Snapshot, change: &Change, beginning: &str) {
        let verdict = decide(snapshot, change);
        let is_it = verdict.refused.len() == 1 && verdict.refused[0].starts_with(beginning);
        assert!(is_it && verdict.warnings.is_empty(), "{verdict:#?}");
    }

    #[track_caller]
    fn warned(snapshot: &Snapshot, change: &Change, beginning: &str) {
        let verdict = decide(snapshot, change);
        let is_it = verdict.warnings.len() == 1 && verdict.warnings[0].starts_with(beginning);
        assert!(is_it && verdict.refused.is_empty(), "{verdict:#?}");
    }

    fn put_peer(name: &str, edit: impl FnOnce(&mut BGPPeerSpec)) -> Change {
        Change::Put(Subject::Peer(Box::new(peer(name, edit))))
    }

    fn put_advertisement(name: &str, edit: impl FnOnce(&mut BGPAdvertisementSpec)) -> Change {
        Change::Put(Subject::BgpAdvertisement(Box::new(advertisement(name, edit))))
    }

    #[test]
    fn what_metallb_refuses_of_bgp_is_refused_in_its_words() {
        let snapshot = world();
        let nowhere = |spec: &mut BGPPeerSpec| spec.peer_address = Some("nowhere".into());
        refused(&snapshot, &put_peer("bad", nowhere), "spec.peerAddress: invalid BGPPeer address `nowhere`");
        refused(&snapshot, &put_peer("twin", |_| {}), "spec.peerAddress: peer 198.51.100.1 port 179 already exists");
        // The one that comes later by name is told, and this write is what makes it wrong.
        refused(
            &snapshot,
            &put_peer("a", |_| {}),
            "BGPPeer `tor`: spec.peerAddress: peer 198.51.100.1 port 179 already",
        );
        let length = put_advertisement("wide", |spec| spec.aggregation_length = Some(26));
        let verdict = decide(&snapshot, &length);
        let text =
            "spec.aggregationLength: invalid aggregation length 26: prefix 28 in this pool is more specific than";
        assert!(verdict.refused.iter().any(|told| told.starts_with(text)), "{verdict:#?}");
        let preference = put_advertisement("more", |spec| spec.local_pref = Some(200));
        refused(
            &snapshot,
            &preference,
            "spec.localPref: invalid local preference 200: local preference 100 was already",
        );
        let bad = Change::Put(Subject::Profile(Box::new(profile(|spec| spec.detect_multiplier = Some(1)))));
        refused(&snapshot, &bad, "spec.detectMultiplier: 1 is out of range");
        let mut elsewhere = peer("edge", |spec| spec.peer_address = Some("198.51.100.2".into()));
        elsewhere.metadata.namespace = Some("default".into());
        let elsewhere = Change::Put(Subject::Peer(Box::new(elsewhere)));
        refused(&snapshot, &elsewhere, "metadata.namespace: resource must be created in metallb-system namespace");
    }

    #[test]
    fn what_may_arrive_later_is_a_warning() {
        let snapshot = world();
        let profile = |spec: &mut BGPPeerSpec| spec.bfd_profile = Some("fast".into());
        warned(&snapshot, &put_peer("tor", profile), "spec.bfdProfile: there is no BFDProfile `fast`");
        let alias = |spec: &mut BGPAdvertisementSpec| {
            (spec.local_pref, spec.communities) = (Some(100), vec!["quiet".into()]);
        };
        warned(&snapshot, &put_advertisement("all", alias), "spec.communities[0]: `quiet` is neither a community nor");
        let peers = |spec: &mut BGPAdvertisementSpec| {
            (spec.local_pref, spec.peers) = (Some(100), vec!["later".into()]);
        };
        warned(&snapshot, &put_advertisement("all", peers), "spec.peers[0]: there is no BGPPeer `later`");
        warned(&snapshot, &put_peer("tor", |spec| spec.disable_mp = true), "spec.disableMP: is deprecated");
        let mut strange = peer("tor", |_| {});
        strange.metadata.annotations = Some([("lb.herald.dev/bgp-pasive".to_owned(), "true".to_owned())].into());
        let field = "metadata.annotations[lb.herald.dev/bgp-pasive]: is not read on a BGPPeer";
        warned(&snapshot, &Change::Put(Subject::Peer(Box::new(strange))), field);
    }

    #[test]
    fn a_profile_in_use_is_not_deleted() {
        let mut snapshot = world();
        snapshot.bgp.profiles = vec![Arc::new(profile(|_| {}))];
        let delete = Change::Delete(Subject::Profile(Box::new(profile(|_| {}))));
        assert_eq!(decide(&snapshot, &delete), Verdict::default());
        snapshot.bgp.peers = vec![Arc::new(peer("tor", |spec| spec.bfd_profile = Some("fast".into())))];
        refused(&snapshot, &delete, "failed to delete BFDProfile `fast`: BGPPeer tor uses it");
    }

    #[test]
    fn what_was_wrong_before_is_not_refused_again() {
        let mut snapshot = world();
        let nowhere = |spec: &mut BGPPeerSpec| spec.peer_address = Some("nowhere".into());
        snapshot.bgp.peers.push(Arc::new(peer("bad", nowhere)));
        assert_eq!(decide(&snapshot, &put_peer("bad", nowhere)), Verdict::default());
    }
}
