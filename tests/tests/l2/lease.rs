//! While the agent does not run: within the lease nothing changes, past it nobody answers until a new epoch.

use std::{fs, time::Duration};

use anyhow::ensure;
use lb_tests::{
    asker::{Stamp, View},
    herald::{Agent, AgentOptions, program},
    wait,
};

use crate::scene::{Scene, pair, scene};

/// The program's clock is coarse (4 ms at 250 Hz), and a question takes a moment on its way.
const MARGIN: Duration = Duration::from_millis(50);
const LIMIT: Duration = Duration::from_secs(20);
const SHORT: &str = "2s";
/// An API server where nobody listens.
const NOBODY: &str = "{apiVersion: v1, kind: Config, current-context: c,
  contexts: [{name: c, context: {cluster: c, user: u}}], users: [{name: u, user: {}}],
  clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1', insecure-skip-tls-verify: true}}]}";

/// One node that holds one address of each family.
fn holder(options: &AgentOptions) -> anyhow::Result<Option<Scene>> {
    let Some(mut scene) = scene(1)? else { return Ok(None) };
    scene.lab.put_on_lo(&pair(100))?;
    scene.rank(100, &[0])?;
    scene.start_agents(options)?;
    scene.wait_until_held(0, &pair(100))?;
    Ok(Some(scene))
}

fn assert_all_answered_by(view: View<'_>, scene: &Scene) {
    assert_eq!((view.unanswered(), view.answered_twice()), (0, 0), "of {}", view.sent());
    for (address, macs) in view.holders() {
        assert_eq!(macs.keys().collect::<Vec<_>>(), [&scene.node(0).mac], "{address}");
    }
    println!("{} requests, 0 unanswered, p99 {:?}", view.sent(), view.answer_time(99));
}

#[test]
fn an_agent_that_is_stopped_for_five_seconds_loses_no_answer() -> anyhow::Result<()> {
    let Some(scene) = holder(&AgentOptions::default())? else { return Ok(()) };
    let asker = scene.ask(&pair(100))?;

    scene.agents[0].stop()?;
    wait::observe(Duration::from_secs(5));
    scene.agents[0].cont()?;
    let epoch = scene.pins(0).lease()?.epoch;
    wait::observe(Duration::from_secs(1));

    let record = asker.finish()?;
    assert_all_answered_by(record.all(), &scene);
    assert_eq!(scene.pins(0).lease()?.epoch, epoch, "the lease was kept");
    Ok(())
}

#[test]
fn an_agent_that_is_killed_and_replaced_by_a_new_build_loses_no_answer() -> anyhow::Result<()> {
    let Some(mut scene) = holder(&AgentOptions::default())? else { return Ok(()) };
    let (epoch, before) = (scene.pins(0).lease()?.epoch, scene.pins(0).programs()?);
    let asker = scene.ask(&pair(100))?;

    scene.agents[0].process().kill()?;
    wait::observe(Duration::from_secs(2));
    replace_by_new_build(&mut scene)?;
    wait::observe(Duration::from_secs(2));

    let record = asker.finish()?;
    assert_all_answered_by(record.all(), &scene);
    assert_ne!(scene.pins(0).programs()?, before, "the program was swapped");
    assert_eq!(scene.pins(0).lease()?.epoch, epoch, "the lease was taken over");
    Ok(())
}

#[test]
fn an_agent_that_hands_over_and_is_replaced_by_a_new_build_loses_no_answer() -> anyhow::Result<()> {
    // The hand-over is longer than the lease: the wait below needs it.
    let options = AgentOptions { lease: SHORT, ..AgentOptions::default() };
    let Some(mut scene) = holder(&options)? else { return Ok(()) };
    let asker = scene.ask(&pair(100))?;

    let status = scene.agents[0].process().term(LIMIT)?;
    assert!(status.success(), "{status}: {}", scene.agents[0].process().log_tail());
    wait::observe(Duration::from_secs(4));
    replace_by_new_build(&mut scene)?;
    wait::observe(Duration::from_secs(2));

    let record = asker.finish()?;
    assert_all_answered_by(record.all(), &scene);
    Ok(())
}

#[test]
fn an_agent_that_starts_while_the_api_server_is_away_keeps_its_predecessors_table() -> anyhow::Result<()> {
    let options = AgentOptions { lease: SHORT, ..AgentOptions::default() };
    let Some(mut scene) = holder(&options)? else { return Ok(()) };
    let asker = scene.ask(&pair(100))?;

    scene.agents[0].process().kill()?;
    let kubeconfig = scene.lab.dir().join("nobody.kubeconfig");
    fs::write(&kubeconfig, NOBODY)?;
    let options = AgentOptions { kubeconfig: Some(kubeconfig), ..options };
    scene.agents[0] = Agent::launch(&scene.lab, scene.node(0), &scene.manifests, &options)?;
    // Several leases long.
    wait::observe(Duration::from_secs(7));
    scene.agents[0].process().must_run()?;

    let record = asker.finish()?;
    assert_all_answered_by(record.all(), &scene);
    Ok(())
}

#[test]
fn past_the_lease_nobody_answers_until_the_agent_has_a_new_epoch() -> anyhow::Result<()> {
    let Some(scene) = holder(&AgentOptions { lease: SHORT, ..AgentOptions::default() })? else { return Ok(()) };
    let pins = scene.pins(0);
    let asker = scene.ask(&pair(100))?;

    scene.agents[0].stop()?;
    let lease = pins.lease()?;
    let deadline = lease.deadline.expect("it is held");
    wait::until(LIMIT, "the lease to run out", || Stamp::now().is_ok_and(|now| now > deadline))?;
    wait::observe(Duration::from_secs(2));
    let resumed = Stamp::now()?;
    scene.agents[0].cont()?;
    // A moment at which the old epoch still stood: it is taken before the map is read.
    let mut last_old = resumed;
    wait::for_ok(LIMIT, "a new epoch", || -> anyhow::Result<()> {
        let before = Stamp::now()?;
        if pins.lease()?.epoch == lease.epoch {
            last_old = before;
            anyhow::bail!("epoch {}", lease.epoch);
        }
        Ok(())
    })?;
    let answers = asker.answers();
    wait::until(LIMIT, "answers in the new epoch", || asker.answers() > answers + 100)?;
    let restored = Stamp::now()?;
    wait::observe(Duration::from_millis(500));
    let record = asker.finish()?;

    assert_all_answered_by(record.between(Stamp::default()..deadline.before(MARGIN)), &scene);
    let lapsed = record.between(deadline.after(MARGIN)..last_old);
    assert!(lapsed.sent() > 2_000, "{} requests past the lease", lapsed.sent());
    assert_eq!(lapsed.answered(), 0, "of {} past the lease", lapsed.sent());
    let first = record.first_reply_since(deadline.after(MARGIN)).expect("answers came back");
    assert!(first.at >= last_old, "an answer {:?} before the new epoch", last_old - first.at);
    assert_all_answered_by(record.since(restored), &scene);
    println!("first answer {:?} after SIGCONT", first.at - resumed);
    Ok(())
}

/// Starts a copy of the program, as an upgrade would: another file, another process, another loaded program.
fn replace_by_new_build(scene: &mut Scene) -> anyhow::Result<()> {
    let copy = scene.lab.dir().join("lb-agent-new");
    fs::copy(program("lb-agent"), &copy)?;
    let pid = scene.agents[0].pid();
    let options = AgentOptions { binary: Some(copy), ..AgentOptions::default() };
    let new = Agent::start(&scene.lab, scene.node(0), &scene.manifests, &options)?;
    ensure!(new.pid() != pid, "the new agent is a new process");
    scene.agents[0] = new;
    Ok(())
}
