//! An agent with a thousand addresses of each family: every one is in the table and answered by its holder, and past
//! the groups that an interface takes well, the interface hears all of them. The figures are `bench-agent`'s.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use anyhow::Context as _;
use lb_common::abi::Action;
use lb_tests::{
    asker::ask_once,
    herald::{self, Agent, AgentOptions, Manifests},
    lab::{INTERFACE, Lab, Shape},
    need, wait,
};

/// More groups than the agent joins one by one (1,000).
const PAIRS: u16 = 1_050;
const LIMIT: Duration = Duration::from_secs(60);
/// How long the agents are watched once all has settled.
const QUIET: Duration = Duration::from_secs(4);
/// What a node asks in a second at most: 500 audits, 500 questions while answers were missed a short time ago, and what
/// may be asked at once of either, twice in so short a time.
const MOST_QUESTIONS: f64 = 1_064.0;

#[test]
fn an_agent_with_a_thousand_addresses_of_each_family_answers_exactly_its_own() -> anyhow::Result<()> {
    if !need::met(&herald::agent_needs()) {
        return Ok(());
    }
    let mut lab = Lab::new(Shape { nodes: 2, ..Shape::default() })?;
    lab.attach_pass()?;
    let manifests = Manifests::new(lab.dir().join("manifests"))?;
    let stand_in = manifests.stand_in()?;
    // Each of two nodes is first for every other pair.
    let ranked = |number: u16| if number.is_multiple_of(2) { ["node-1", "node-2"] } else { ["node-2", "node-1"] };
    for number in 0..PAIRS {
        pair(number).into_iter().try_for_each(|address| stand_in.create(address, &ranked(number)))?;
    }
    let mut agent = Agent::start(&lab, &lab.nodes[0], &manifests, &AgentOptions::default())?;
    let other = Agent::start(&lab, &lab.nodes[1], &manifests, &AgentOptions::default())?;
    for (agent, first) in [(&agent, true), (&other, false)] {
        wait::for_ok(LIMIT, format!("{} to hold its own", agent.node().name), || {
            let state = agent.state().map_err(|error| format!("{error:#}"))?;
            let holds =
                state["holds"].as_array().into_iter().flatten().filter_map(|address| address.as_str()?.parse().ok());
            let (own, others): (Vec<IpAddr>, Vec<_>) =
                holds.partition(|address| last_group(*address).is_multiple_of(2) == first);
            // Of an even number of pairs half, and two addresses each.
            if (own.len(), others.len()) == (usize::from(PAIRS), 0) {
                Ok(())
            } else {
                Err(format!(
                    "{} of its own and {} of the other's; it waits for {}",
                    own.len(),
                    others.len(),
                    state["waits"]
                ))
            }
        })?;
    }
    are_quiet([&agent, &other])?;
    let table = agent.pins().table(&lab.nodes[0], INTERFACE)?;
    for number in 0..PAIRS {
        let wanted = if number.is_multiple_of(2) { Action::Answer } else { Action::Suppress };
        for address in pair(number) {
            let found = table.entry(address)?.with_context(|| format!("{address} is in the table"))?;
            assert_eq!(found.action, wanted as u8, "{address}");
        }
    }

    let record = ask_once(&lab.client().netns, INTERFACE, (0..PAIRS).flat_map(pair).collect())?;

    assert_eq!(record.all().sent(), usize::from(PAIRS) * 2);
    for request in record.all().requests() {
        let macs: Vec<_> = request.replies.iter().map(|reply| reply.mac).collect();
        let ours = last_group(request.address).is_multiple_of(2);
        let wanted = vec![lab.nodes[usize::from(!ours)].mac];
        assert_eq!(macs, wanted, "{}", request.address);
    }

    let flags = || lab.nodes[0].netns.command("ip").args(["-o", "link", "show", "dev", INTERFACE]).output();
    let all_multicast = || flags().is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("ALLMULTI"));
    wait::until(LIMIT, "the interface to hear all multicast", all_multicast)?;
    agent.process().kill()?;
    agent.cleanup()?;
    assert!(!all_multicast(), "it is as before");
    Ok(())
}

/// Once all is held as it should be, nobody asks for more than audits need, and nothing moves.
fn are_quiet(agents: [&Agent; 2]) -> anyhow::Result<()> {
    let sums = |name: &str| -> anyhow::Result<[f64; 2]> {
        let [a, b] = agents.map(|agent| anyhow::Ok(agent.metrics()?.sum(name, &[]).unwrap_or_default()));
        Ok([a?, b?])
    };
    let (probes, takes) = (sums("herald_agent_probes_total")?, sums("herald_agent_takes_total")?);
    wait::observe(QUIET);
    for (before, after) in probes.into_iter().zip(sums("herald_agent_probes_total")?) {
        let rate = (after - before) / QUIET.as_secs_f64();
        assert!(rate <= MOST_QUESTIONS, "{rate} questions a second");
    }
    assert_eq!(takes, sums("herald_agent_takes_total")?, "an address moved");
    Ok(())
}

fn pair(number: u16) -> [IpAddr; 2] {
    let v4 = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 0)) + u32::from(number));
    [v4.into(), Ipv6Addr::new(0x2001, 0xdb8, 0x10, 0, 0, 0, 0, number).into()]
}

fn last_group(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(v4) => v4.octets()[3],
        IpAddr::V6(v6) => v6.octets()[15],
    }
}
