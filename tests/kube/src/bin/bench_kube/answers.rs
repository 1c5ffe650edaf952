//! From a new Service to the first ARP answer that a node's program gives for its address.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Service;
use kube::{Api, api::PostParams};
use lb_api::VirtualIP;
use lb_tests::{
    asker::{Asker, Questions, Stamp, ask_once},
    herald::{Agent, AgentOptions, Manifests},
    lab::{INTERFACE, Lab},
    usage::Usage,
    wait,
};
use lb_tests_kube::{Access, Plane};

use crate::services::{serve, service};

const LIMIT: Duration = Duration::from_secs(60);
/// The asker is at its rate, and agent and controller are at rest.
const APART: Duration = Duration::from_millis(100);
/// After the last address was taken over: what was only needed for it is gone.
const SETTLED: Duration = Duration::from_secs(10);
/// A busy machine makes some runs void.
const MOST_VOID: usize = 20;

/// What the agent that answers has, and how long the answers took.
pub(crate) struct Answers {
    pub(crate) services: usize,
    pub(crate) rss_kib: u64,
    pub(crate) times: Vec<Duration>,
}

/// `first` is the lowest address of the pool.
pub(crate) fn measure(lab: &Lab, plane: &Plane, first: Ipv4Addr, count: usize) -> anyhow::Result<Answers> {
    let node = lab.nodes.first().context("a node")?;
    let kubeconfig = Some(plane.access("agent").kubeconfig().to_owned());
    let unused = Manifests::new(lab.dir().join("unused"))?;
    let mut agent = Agent::launch(lab, node, &unused, &AgentOptions { kubeconfig, ..AgentOptions::default() })?;
    agent.wait_ready(LIMIT)?;
    let taken = taken(plane.admin())?;
    let services = taken.len();
    let last = *taken.iter().next_back().context("an address")?;
    let answered = wait::for_ok(LIMIT, "the agent to answer for the last address", || {
        let record = ask_once(&lab.client().netns, INTERFACE, vec![last])?;
        anyhow::ensure!(record.all().answered() > 0, "{last} is not answered");
        Ok(())
    });
    answered.with_context(|| format!("{}\n{}", agent.state().unwrap_or_default(), agent.process().log_tail()))?;
    wait::observe(SETTLED);
    let rss_kib = Usage::of(agent.pid()).resident_kib()?;
    let numbers = (u32::from(first)..).map(|number| IpAddr::from(Ipv4Addr::from(number)));
    let mut free = numbers.filter(|address| !taken.contains(address));
    let (mut times, mut void, mut number) = (Vec::new(), 0, 0);
    while times.len() < count {
        let address = free.next().context("another address")?;
        match one(lab, plane.admin(), address, number) {
            Ok(time) => times.push(time),
            Err(error) if void < MOST_VOID => {
                eprintln!("void: {error:#}");
                void += 1;
            }
            Err(error) => return Err(error),
        }
        number += 1;
    }
    Ok(Answers { services, rss_kib, times })
}

/// The addresses that have a VirtualIP.
fn taken(admin: &Access) -> anyhow::Result<BTreeSet<IpAddr>> {
    admin.run(async |client| {
        let list = Api::<VirtualIP>::all(client).list(&Default::default()).await?;
        Ok(list.items.iter().filter_map(|vip| vip.spec.address.parse().ok()).collect())
    })
}

fn one(lab: &Lab, admin: &Access, address: IpAddr, number: usize) -> anyhow::Result<Duration> {
    let asker = Asker::start(&lab.client().netns, INTERFACE, Questions::steady(vec![address]))?;
    let (started, created) = admin.run(async |client| {
        let api = Api::<Service>::namespaced(client.clone(), "default");
        let name = format!("answer-{number}");
        serve(&client, &name).await?;
        tokio::time::sleep(APART).await;
        let wanted = service(&name, None, &[]);
        let started = Stamp::now()?;
        api.create(&PostParams::default(), &wanted).await?;
        Ok((started, Stamp::now()?))
    })?;
    wait::until(LIMIT, format!("an answer for {address}"), || asker.answers() > 0)?;
    let record = asker.finish()?;
    let first = record.first_reply_since(started).context("a reply")?;
    // The watch may bring the Service before its creator has the answer.
    Ok(if first.at > created { first.at - created } else { Duration::ZERO })
}
