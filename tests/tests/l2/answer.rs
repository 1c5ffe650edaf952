//! While the agents run: the holder answers, and nobody else, whatever the kernels would do.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use lb_tests::{
    asker::ask_once,
    herald::{AgentOptions, Mode},
    lab::{Host, INTERFACE},
    wait,
};

use crate::scene::{pair, scene};

const LIMIT: Duration = Duration::from_secs(5);

fn one_address_is_answered(mode: Mode, shown: &str) -> anyhow::Result<()> {
    let Some(mut scene) = scene(1)? else { return Ok(()) };
    scene.rank(100, &[0])?;
    scene.start_agents(&AgentOptions { mode, ..AgentOptions::default() })?;
    scene.wait_until_held(0, &pair(100))?;
    let answered = || -> anyhow::Result<Vec<Option<f64>>> {
        let metrics = scene.agents[0].metrics()?;
        let of = |outcome| metrics.sum("herald_agent_frames_total", &[("outcome", outcome)]);
        Ok(vec![of("arp_answered"), of("ns_answered")])
    };
    assert_eq!(answered()?, [Some(0.0), Some(0.0)]);

    let record = ask_once(&scene.lab.client().netns, INTERFACE, pair(100).to_vec())?;

    for (address, macs) in record.all().holders() {
        assert_eq!(macs.into_iter().collect::<Vec<_>>(), [(scene.node(0).mac, 1)], "{address}");
    }
    assert_eq!(record.all().unanswered(), 0);
    // No address is on `lo`, so a kernel could not have answered; and the program says it was it.
    assert_eq!(answered()?, [Some(1.0), Some(1.0)]);
    let interfaces = &scene.agents[0].state()?["interfaces"];
    assert_eq!((&interfaces[0]["name"], &interfaces[0]["attach"]["mode"]), (&INTERFACE.into(), &shown.into()));
    Ok(())
}

#[test]
fn one_address_of_each_family_is_answered_natively() -> anyhow::Result<()> {
    one_address_is_answered(Mode::Native, "Native")
}

#[test]
fn one_address_of_each_family_is_answered_by_tc() -> anyhow::Result<()> {
    one_address_is_answered(Mode::Tc, "Tc")
}

#[test]
fn one_address_of_each_family_is_answered_in_generic_mode() -> anyhow::Result<()> {
    one_address_is_answered(Mode::Generic, "Generic")
}

#[test]
fn with_the_address_on_lo_of_every_node_exactly_one_node_answers() -> anyhow::Result<()> {
    let Some(mut scene) = scene(3)? else { return Ok(()) };
    let vips = pair(100);
    scene.lab.put_on_lo(&vips)?;
    let client = &scene.lab.client().netns.clone();
    // Without agents every kernel answers: the test would notice.
    let before = ask_once(client, INTERFACE, vec![vips[0]])?;
    assert_eq!(before.all().holders()[&vips[0]].len(), 3);

    scene.rank(100, &[1, 2, 0])?;
    scene.start_agents(&AgentOptions::default())?;
    scene.wait_until_held(1, &vips)?;
    let asker = scene.ask(&vips)?;
    wait::observe(Duration::from_secs(2));
    let record = asker.finish()?;

    for vip in vips {
        let macs: Vec<_> = record.all().holders()[&vip].keys().copied().collect();
        assert_eq!(macs, [scene.node(1).mac], "{vip}");
    }
    assert_eq!((record.all().unanswered(), record.all().answered_twice()), (0, 0));
    Ok(())
}

#[test]
fn a_flow_from_a_vip_on_a_node_that_does_not_hold_it_moves_no_clients_cache() -> anyhow::Result<()> {
    let Some(mut scene) = scene(2)? else { return Ok(()) };
    let vips = pair(100);
    scene.lab.put_on_lo(&vips)?;
    scene.rank(100, &[0, 1])?;
    scene.start_agents(&AgentOptions::default())?;
    scene.wait_until_held(0, &vips)?;
    let (client, holder, other) = (scene.lab.client(), scene.node(0), scene.node(1));

    for vip in vips {
        let own = own_address(client, vip);
        send(client, own, vip)?;
        wait::for_ok(LIMIT, format!("the client to know {vip}"), || known(client, vip))?;
        assert_eq!(known(client, vip)?, holder.mac.to_string());

        open_flow(other, vip, own)?;
        assert_eq!(known(client, vip)?, holder.mac.to_string(), "after a flow from {vip} on {}", other.name);
    }

    // Without the agent's setting the same flow does move it, if the holder's agent sleeps, which would announce the
    // address again at once: the test would notice.
    scene.agents[0].stop()?;
    other.netns.set_sysctl(&format!("ipv4/conf/{INTERFACE}/arp_announce"), "0")?;
    open_flow(other, vips[0], client.v4.into())?;
    assert_eq!(known(client, vips[0])?, other.mac.to_string());
    Ok(())
}

/// Sends from `vip` to the client, which the node first has to find, and waits until it has.
fn open_flow(node: &Host, vip: IpAddr, client: IpAddr) -> anyhow::Result<()> {
    let flushed = node.netns.command("ip").args(["neigh", "flush", "to", &client.to_string()]).status()?;
    ensure!(flushed.success(), "flush {client} on {}", node.name);
    send(node, vip, client)?;
    wait::for_ok(LIMIT, format!("{} to know {client}", node.name), || known(node, client))?;
    Ok(())
}

fn own_address(host: &Host, like: IpAddr) -> IpAddr {
    if like.is_ipv4() { host.v4.into() } else { host.v6.into() }
}

/// One datagram to the discard port.
fn send(host: &Host, from: IpAddr, to: IpAddr) -> anyhow::Result<()> {
    let sent = host.netns.run(|| {
        let socket = UdpSocket::bind(SocketAddr::new(from, 0))?;
        socket.send_to(b"hello", SocketAddr::new(to, 9))
    })?;
    sent.with_context(|| format!("send from {from} to {to} on {}", host.name))?;
    Ok(())
}

/// The hardware address that a host's neighbour cache has for `address`.
fn known(host: &Host, address: IpAddr) -> anyhow::Result<String> {
    let output = host.netns.command("ip").args(["neigh", "show", "to", &address.to_string()]).output()?;
    let text = String::from_utf8(output.stdout)?;
    let mut words = text.split_whitespace().skip_while(|word| *word != "lladdr");
    Ok(words.nth(1).with_context(|| format!("no entry: {text:?}"))?.to_owned())
}
