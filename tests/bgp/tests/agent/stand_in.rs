//! BFD while the agent is away: the kernel program answers in its place, and the router notices nothing until the lease ends.

use std::time::{Duration, Instant};

use lb_tests::{
    herald::AgentOptions,
    lab::{Host, INTERFACE},
    packet_socket::{FRAME, PacketSocket},
    wait,
};
use lb_tests_bgp::scene::{self, LIMIT, Scene, Setting, V4};
use serde_json::Value;

const INTERVAL: Duration = Duration::from_millis(50);
const DETECTION: Duration = Duration::from_millis(150);
/// Twenty times the detection time.
const AWAY: Duration = Duration::from_secs(3);
/// Of 24 bytes behind Ethernet, IPv4 and UDP (RFC 5880 §4.1).
const FLAGS: usize = 14 + 20 + 8 + 1;
const UP: u8 = 0xc0;
const CONTROL_PLANE_INDEPENDENT: u8 = 0x08;

/// A scene whose session is up and promised to outlast the agent.
fn stood_in_for(lease: &'static str) -> anyhow::Result<Option<Scene>> {
    let agents = AgentOptions { lease, ..AgentOptions::default() };
    let Some(mut scene) = Scene::start(&Setting { bfd_millis: 50, agents, ..Setting::of(1) })? else {
        return Ok(None);
    };
    scene.lab.attach_pass()?;
    // Where it cannot be moved, a busy machine may trouble it as much as us.
    scene.frr.as_on_a_router()?;
    wait::until(LIMIT, "the route", || scene.next_hops(V4).is_ok_and(|hops| hops == scene.own_v4()))?;
    promised(&scene)?;
    Ok(Some(scene))
}

/// Waits until the agent's packets have bit C, and everything is agreed.
fn promised(scene: &Scene) -> anyhow::Result<()> {
    wait::for_ok(LIMIT, "bit C in every packet", || {
        let flags: Vec<u8> = heard(scene, INTERVAL * 5)?.iter().map(|frame| frame[FLAGS]).collect();
        let all = flags.len() > 2 && flags.iter().all(|flags| *flags == UP | CONTROL_PLANE_INDEPENDENT);
        if all { Ok(()) } else { Err(anyhow::anyhow!("{flags:02x?}")) }
    })?;
    Ok(())
}

/// The BFD packets that arrive at the router within a time.
fn heard(scene: &Scene, span: Duration) -> anyhow::Result<Vec<Vec<u8>>> {
    let (router, node): (&Host, &Host) = (&scene.lab.routers[0], &scene.lab.nodes[0]);
    let from = node.v4.octets();
    router.netns.run(move || {
        let socket = PacketSocket::open(INTERFACE, 0x0800)?;
        let (end, mut frames, mut frame) = (Instant::now() + span, Vec::new(), [0; FRAME]);
        while Instant::now() < end {
            std::thread::sleep(Duration::from_millis(2));
            while let Some(received) = socket.receive(&mut frame)? {
                let bytes = &frame[..received.length.min(FRAME)];
                if bytes.len() >= 66 && bytes[26..30] == from && bytes[36..38] == 3784_u16.to_be_bytes() {
                    frames.push(bytes.to_vec());
                }
            }
        }
        Ok(frames)
    })?
}

fn status(scene: &Scene) -> anyhow::Result<Value> {
    Ok(scene.frr.bfd()?.first().map(|peer| peer["status"].clone()).unwrap_or_default())
}

/// The router's own count of changes, and that it has the route and takes the session for Up.
fn unnoticed(scene: &Scene, before: &Value, what: &str) -> anyhow::Result<()> {
    let after = scene::bfd_counters(&scene.frr)?;
    assert_eq!(
        (&after["session-down"], &after["session-up"]),
        (&before["session-down"], &before["session-up"]),
        "{what}"
    );
    assert_eq!(status(scene)?, "up", "{what}");
    assert_eq!(scene.frr.paths(V4)?.len(), 1, "{what}: the route is there");
    Ok(())
}

#[test]
fn a_router_does_not_notice_that_the_agent_is_killed_frozen_or_replaced() -> anyhow::Result<()> {
    let Some(mut scene) = stood_in_for("10s")? else { return Ok(()) };
    let before = scene::bfd_counters(&scene.frr)?;
    assert!(before["session-up"].is_u64() && before["session-down"].is_u64(), "{before}");
    let own = heard(&scene, INTERVAL * 5)?;
    for what in ["killed", "frozen", "ended"] {
        match what {
            "killed" => scene.agents[0].process().kill()?,
            "frozen" => scene.agents[0].stop()?,
            _ => drop(scene.agents[0].process().term(LIMIT)?),
        }

        let answers = heard(&scene, AWAY)?;
        println!("{what}: {} packets in {AWAY:?} without the agent", answers.len());
        unnoticed(&scene, &before, what)?;
        // One for each of the router's packets, which come every 50 ms at most, and a few that are spared.
        assert!(answers.len() >= 45, "{what}: {}", answers.len());
        for frame in &answers {
            assert_eq!((frame[22], frame[FLAGS]), (255, UP | CONTROL_PLANE_INDEPENDENT), "{what}: {frame:02x?}");
            // Source port, discriminators, and the intervals that were agreed.
            assert_eq!((&frame[34..36], &frame[46..62]), (&own[0][34..36], &own[0][46..62]), "{what}");
        }

        if what == "frozen" {
            scene.agents[0].cont()?;
        } else {
            scene.start_agent(0)?;
        }
        wait::until(LIMIT, format!("the agent that was {what} to have its session"), || {
            let metrics = scene.agents[0].metrics();
            metrics.is_ok_and(|metrics| metrics.sum("metallb_bfd_session_up", &[("peer", "192.0.2.251")]) == Some(1.0))
        })?;
        promised(&scene)?;
        wait::observe(DETECTION * 3);
        unnoticed(&scene, &before, what)?;
        let downs = scene.agents[0].metrics()?.sum("metallb_bfd_session_down_events", &[("peer", "192.0.2.251")]);
        assert_eq!(downs, Some(0.0), "{what}: the agent's own view");
        // The routes are told again before the next round takes them for stale.
        wait::until(LIMIT, "the route to be fresh", || {
            scene.frr.paths(V4).is_ok_and(|paths| paths.len() == 1 && paths[0]["stale"].is_null())
        })?;
    }
    Ok(())
}

/// And what it is that answers: without the lease, or without the program, the router notices.
#[test]
fn it_ends_with_the_lease_and_with_the_program() -> anyhow::Result<()> {
    let Some(mut scene) = stood_in_for("3s")? else { return Ok(()) };
    let killed = Instant::now();
    scene.agents[0].process().kill()?;
    wait::observe(DETECTION * 4);
    assert_eq!(status(&scene)?, "up", "the lease is held for 2 s at least");
    wait::until(Duration::from_secs(5), "the router to notice the end of the lease", || {
        status(&scene).is_ok_and(|status| status == "down")
    })?;
    println!("down {} ms after the kill, the lease being 3 s", killed.elapsed().as_millis());

    // The next agent, in a new epoch, is promised for again.
    scene.start_agent(0)?;
    wait::until(LIMIT, "the session to be up again", || status(&scene).is_ok_and(|status| status == "up"))?;
    promised(&scene)?;
    scene.agents[0].process().kill()?;
    wait::observe(DETECTION * 3);
    assert_eq!(status(&scene)?, "up", "in the new epoch");
    let gone = Instant::now();
    scene.agents[0].cleanup()?;
    wait::until(Duration::from_secs(2), "the router to notice that the program is gone", || {
        status(&scene).is_ok_and(|status| status == "down")
    })?;
    println!("down {} ms after the program was detached", gone.elapsed().as_millis());
    Ok(())
}
