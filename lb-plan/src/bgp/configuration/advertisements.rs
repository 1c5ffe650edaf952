//! One advertisement with what it refers to.

use lb_api::{
    AddressRange,
    validate::{AdvertisementSettings, CommunityValue, address_pool_ranges, bgp_advertisement_settings, range_text},
};

use super::{Advertisement, Attributes, Context, Problem, pools};
use crate::bgp::sources::AdvertisementSource;

/// The advertisement, if it can be used, and everything that is wrong with it.
pub(in crate::bgp) fn read(
    source: &AdvertisementSource,
    context: &Context<'_>,
) -> (Option<Advertisement>, Vec<Problem>) {
    let spec = &source.object.spec;
    let mut problems = Vec::new();
    let mut tell = |field: String, message: String, is_missing: bool| {
        let problem = source.origin.problem(&field, message);
        problems.push(if is_missing { problem.passing() } else { problem });
    };
    let (settings, own) = bgp_advertisement_settings(&source.object);
    own.into_iter().for_each(|problem| tell(problem.field, problem.message, false));
    let attributes = settings.as_ref().and_then(|settings| attributes(settings, context, &mut tell));
    for (index, pool) in spec.ip_address_pools.iter().enumerate() {
        if !context.sources.pools.contains_key(pool) {
            let message = match source.origin.is_metallb() {
                true => format!("there is no IPAddressPool `{pool}` in namespace {}", context.namespace),
                false => format!("there is no MetalLoadBalancerPool `{pool}`"),
            };
            tell(format!("spec.ipAddressPools[{index}]"), message, true);
        }
    }
    for (index, peer) in spec.peers.iter().enumerate() {
        if !context.sources.peers.iter().any(|known| known.name == *peer) {
            let message = format!("there is no BGPPeer `{peer}` in namespace {}", context.namespace);
            tell(format!("spec.peers[{index}]"), message, true);
        }
    }
    let Some((settings, attributes)) = settings.zip(attributes) else { return (None, problems) };
    let advertisement = Advertisement {
        name: source.name.clone(),
        origin: source.origin.clone(),
        length_v4: settings.length_v4,
        length_v6: settings.length_v6,
        attributes,
        peers: (!spec.peers.is_empty()).then(|| spec.peers.iter().cloned().collect()),
        source: source.object.clone(),
    };
    for (name, pool) in &context.sources.pools {
        if !pools::selects(&advertisement, &pool.object) {
            continue;
        }
        for range in &address_pool_ranges(&pool.object.spec).0 {
            if let Some((length, shortest)) = misfit(&advertisement, range) {
                let is_v6 = range.first.is_ipv6();
                let field = if is_v6 { "spec.aggregationLengthV6" } else { "spec.aggregationLength" };
                let message = format!(
                    "invalid aggregation length {length}: prefix {shortest} in this pool is more specific than the \
                     aggregation length for addresses {} of {} `{name}`: write {shortest} or more",
                    range_text(range),
                    pool.kind,
                );
                tell(field.to_owned(), message, false);
            }
        }
    }
    (Some(advertisement), problems)
}

/// What routes carry. `None`: a community is asked for that nobody knows.
fn attributes(
    settings: &AdvertisementSettings,
    context: &Context<'_>,
    tell: &mut impl FnMut(String, String, bool),
) -> Option<Attributes> {
    let mut attributes = Attributes { local_pref: settings.local_pref, ..Attributes::default() };
    let mut is_complete = true;
    for community in &settings.communities {
        match context.aliases.get(&community.text).copied().or(community.value) {
            Some(CommunityValue::Plain(value)) => drop(attributes.communities.insert(value)),
            Some(CommunityValue::Large(value)) => drop(attributes.large_communities.insert(value)),
            None => {
                is_complete = false;
                let message = format!(
                    "`{}` is neither a community nor a name that a Community gives: write 64512:100 or \
                     large:64512:1:2, or add the name to a Community in namespace {}",
                    community.text, context.namespace
                );
                tell(format!("spec.communities[{}]", community.index), message, true);
            }
        }
    }
    is_complete.then_some(attributes)
}

/// Where an aggregate would be larger than any block of the range: the length, and that of the largest block.
pub(super) fn misfit(advertisement: &Advertisement, range: &AddressRange) -> Option<(u8, u8)> {
    let (length, shortest) = (advertisement.length(range.first), pools::shortest(range));
    (length < shortest).then_some((length, shortest))
}
