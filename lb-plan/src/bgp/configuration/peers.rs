//! The sessions of one node: settings, passwords, BFD, and no session twice.

use std::{collections::BTreeMap, sync::Arc};

use lb_api::{
    bgp::{BfdSettings, Password, PeerSettings},
    validate::{bfd_settings, bgp_peer_settings},
};

use super::{Configuration, Context, Problem, Selected};
use crate::bgp::{Bfd, BfdSecret, Peer, SecretName, snapshot::SecretContent, sources::PeerSource};

pub(super) fn read(configuration: &mut Configuration, context: &Context<'_>, selected: &Selected<'_>) {
    let mut owners: BTreeMap<String, &PeerSource> = BTreeMap::new();
    for source in &context.sources.peers {
        if !selected(&source.object.spec.node_selectors) {
            continue;
        }
        let (peer, problems) = read_one(source, context);
        configuration.problems.extend(problems);
        let Some(peer) = peer else { continue };
        let identity = identity(&peer.settings);
        if let Some(first) = owners.get(&identity) {
            configuration.problems.push(problem(source, "spec.peerAddress", twice(&identity, source, first)));
            continue;
        }
        owners.insert(identity, source);
        configuration.peers.insert(source.name.clone(), Arc::new(peer));
    }
}

fn twice(identity: &str, source: &PeerSource, first: &PeerSource) -> String {
    let with = "node selectors that have no node in common";
    match source.origin == first.origin {
        true => format!(
            "peer {identity} already exists: two MetalLoadBalancerConfigurations name this peer for one node, and `{}` is \
             used, `{}` is not; name it in one of them, or give them {with}",
            first.name, source.name
        ),
        false => format!(
            "peer {identity} already exists: {} is the same peer, and is used; delete one of them, or give them {with}",
            first.origin.title()
        ),
    }
}

/// What makes two sessions one: both ends of the connection.
fn identity(settings: &PeerSettings) -> String {
    let PeerSettings { remote, port, source, vrf, .. } = settings;
    let mut text = format!("{remote} port {port}");
    if let Some(source) = source {
        text.push_str(&format!(" from {source}"));
    }
    if let Some(vrf) = vrf {
        text.push_str(&format!(" in VRF {vrf}"));
    }
    text
}

fn problem(source: &PeerSource, field: &str, message: impl Into<String>) -> Problem {
    source.origin.problem(field, message)
}

/// The session, if it can be had, and everything that is wrong with the object.
///
/// Without its password there is no session: one without would be refused, or worse, taken. Without its BFD profile there
/// is one, which is slower to notice that the peer is gone.
pub(in crate::bgp) fn read_one(source: &PeerSource, context: &Context<'_>) -> (Option<Peer>, Vec<Problem>) {
    let (settings, own) = bgp_peer_settings(&source.object);
    let mut problems: Vec<Problem> = own.into_iter().map(|told| problem(source, &told.field, told.message)).collect();
    let password = password(source, context, &mut problems);
    let bfd = bfd(source, context, &mut problems);
    let peer = settings.zip(password).map(|(settings, password)| {
        let port = source.port.filter(|&port| port != 0).unwrap_or(settings.port);
        Peer { settings: PeerSettings { port, ..settings }, password, bfd }
    });
    (peer, problems)
}

/// `None`: there should be one, and it cannot be had.
#[expect(clippy::option_option, reason = "no password is wanted, or one is and cannot be had")]
fn password(source: &PeerSource, context: &Context<'_>, problems: &mut Vec<Problem>) -> Option<Option<Password>> {
    let own = &source.object.spec.password;
    let Some(secret) = &source.secret else { return Some(Some(own.clone()).filter(|own| !own.is_empty())) };
    let field = if source.origin.is_metallb() { "spec.passwordSecret.name" } else { "spec.passwordSecretRef.name" };
    match content(secret, context) {
        Ok(password) => Some(Some(password)),
        Err(Some(message)) => {
            problems.push(problem(source, field, message).passing());
            None
        }
        // Whoever cannot read Secrets does not judge them.
        Err(None) => Some(None),
    }
}

/// What a Secret has; else why it has none, or nothing where Secrets cannot be read.
fn content(secret: &SecretName, context: &Context<'_>) -> Result<Password, Option<String>> {
    let Some(secrets) = context.secrets else { return Err(None) };
    match secrets.get(secret) {
        Some(SecretContent::Password(password)) => Ok(password.clone()),
        Some(SecretContent::Unusable(why)) => Err(Some(format!("Secret `{secret}`: {why}"))),
        None => Err(Some(format!("secret ref not found: there is no Secret `{secret}` that this node can read"))),
    }
}

fn bfd(source: &PeerSource, context: &Context<'_>, problems: &mut Vec<Problem>) -> Option<Bfd> {
    let name = source.object.spec.bfd_profile.as_deref().map(str::trim).filter(|name| !name.is_empty())?;
    let field = if source.origin.is_metallb() { "spec.bfdProfile" } else { "spec.bfd" };
    let Some(profile) = context.sources.profiles.get(name) else {
        let message = format!(
            "there is no BFDProfile `{name}` in namespace {}: make it, or leave this out; the session has no BFD",
            context.namespace
        );
        problems.push(problem(source, field, message).passing());
        return None;
    };
    let (settings, wrong) = bfd_settings(&profile.object);
    let Some(settings) = settings else {
        let wrong = wrong.first().map(ToString::to_string).unwrap_or_default();
        let message = format!("BFDProfile `{name}` cannot be used ({wrong}): the session has no BFD");
        problems.push(problem(source, field, message));
        return None;
    };
    let multi_hop = source.object.spec.ebgp_multi_hop;
    if settings.echo_transmit.is_some() && multi_hop {
        let message =
            format!("BFDProfile `{name}` has echoMode, which reaches only a peer on the link: no echo is sent");
        problems.push(problem(source, field, message));
    }
    let key = match &settings.authentication {
        None => None,
        Some(key) => match content(&SecretName::new(context.namespace, &key.secret), context) {
            Ok(secret) if secret.reveal().len() <= key.method.longest_key() => {
                Some(BfdSecret { method: key.method, id: key.id, secret })
            }
            Ok(_) => {
                let longest = key.method.longest_key();
                let message =
                    format!("the key of BFDProfile `{name}` in Secret `{}` has more than {longest} octets", key.secret);
                problems.push(problem(source, field, message));
                return None;
            }
            Err(why) => {
                problems.extend(why.map(|why| problem(source, field, format!("BFDProfile `{name}`: {why}"))));
                return None;
            }
        },
    };
    let settings = BfdSettings { echo_transmit: settings.echo_transmit.filter(|_| !multi_hop), ..settings };
    Some(Bfd { profile: name.to_owned(), settings, key })
}
