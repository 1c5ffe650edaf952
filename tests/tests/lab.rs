//! The lab itself: stations reach each other, askers count what is answered, and nothing stays behind.

use std::{
    io::{BufRead as _, BufReader},
    net::IpAddr,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use lb_tests::{
    asker::{Asker, Questions, ask_once},
    herald,
    lab::{INTERFACE, Lab, Shape, sweep},
    mac::Mac,
    need::{self, Need},
    responder::Responder,
    wait,
};

const STRANGER: Mac = Mac([0x02, 0x53, 0, 0, 0, 1]);

fn needs() -> Vec<Need> {
    vec![Need::Root, Need::Program("ip"), Need::Program("ethtool")]
}

#[test]
fn a_question_is_answered_by_the_station_that_has_the_address() -> anyhow::Result<()> {
    if !need::met(&needs()) {
        return Ok(());
    }
    let lab = Lab::new(Shape { nodes: 2, ..Shape::default() })?;
    let node = &lab.nodes[1];
    let (v4, v6) = (IpAddr::V4(node.v4), IpAddr::V6(node.v6));

    let record = ask_once(&lab.client().netns, INTERFACE, vec![v4, v6])?;

    for address in [v4, v6] {
        let holders = &record.all().holders()[&address];
        assert_eq!(holders.keys().collect::<Vec<_>>(), [&node.mac], "{address}");
    }
    Ok(())
}

#[test]
fn an_asker_keeps_its_rate_and_sees_a_responder_come_and_go() -> anyhow::Result<()> {
    if !need::met(&needs()) {
        return Ok(());
    }
    let lab = Lab::new(Shape::default())?;
    let addresses: Vec<IpAddr> = vec!["192.0.2.100".parse()?, "2001:db8:2::100".parse()?];
    let questions = Questions::steady(addresses.clone());

    let asker = Asker::start(&lab.client().netns, INTERFACE, questions)?;
    wait::observe(Duration::from_millis(300));
    assert_eq!(asker.answers(), 0);
    let responder = Responder::start(&lab.nodes[0], STRANGER, &addresses)?;
    wait::until(Duration::from_secs(5), "1,000 answers", || asker.answers() >= 1000)?;
    drop(responder);
    let record = asker.finish()?;

    for (address, macs) in record.all().holders() {
        assert_eq!(macs.keys().collect::<Vec<_>>(), [&STRANGER], "{address}");
    }
    assert!(record.all().unanswered() >= 500, "what was asked before the responder came must count");
    assert_eq!((record.all().answered_twice(), record.strays().len()), (0, 0));
    Ok(())
}

#[test]
fn labs_stand_side_by_side_and_leave_nothing() -> anyhow::Result<()> {
    if !need::met(&needs()) {
        return Ok(());
    }
    let (first, second) = (Lab::new(Shape::default())?, Lab::new(Shape { routers: 1, ..Shape::default() })?);
    assert_ne!(first.id(), second.id());
    let traces = |lab: &Lab| [lab.dir(), Path::new("/run/netns").join(lab.switch.name())];
    let (gone, stays) = (traces(&first), traces(&second));

    // A panic unwinds through the lab's guard.
    let panicked = std::thread::spawn(move || {
        let _lab = first;
        std::panic::panic_any("on purpose");
    });
    assert!(panicked.join().is_err());

    assert!(gone.iter().all(|path| !path.exists()), "{gone:?}");
    assert!(stays.iter().all(|path| path.exists()), "{stays:?}");
    Ok(())
}

#[test]
fn what_a_killed_owner_left_is_swept_and_the_living_are_left_alone() -> anyhow::Result<()> {
    if !need::met(&needs()) {
        return Ok(());
    }
    let living = Lab::new(Shape::default())?;
    let mut owner = Command::new(env!("CARGO_BIN_EXE_lab"))
        .args(["up", "--nodes", "1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(owner.stdout.take().expect("it was asked for")).lines();
    let first = lines.next().expect("it says its id")?;
    let id = first.strip_prefix("lab ").expect("the first line is the id").to_owned();
    // The second line comes when the lab stands.
    assert!(lines.next().is_some());
    let traces = [format!("/run/herald-lab/{id}"), format!("/run/netns/{id}-switch")];
    assert!(traces.iter().all(|path| Path::new(path).exists()), "{traces:?}");

    owner.kill()?;
    owner.wait()?;
    sweep()?;

    assert!(!traces.iter().any(|path| Path::new(path).exists()), "{traces:?}");
    assert!(living.dir().exists());
    Ok(())
}

#[test]
fn frames_pass_ports_that_have_the_pass_program() -> anyhow::Result<()> {
    let object = Need::File(herald::objects().join("lab.o"), "cargo xtask build-ebpf");
    if !need::met(&[needs(), vec![object]].concat()) {
        return Ok(());
    }
    let mut lab = Lab::new(Shape::default())?;
    lab.attach_pass()?;

    let addresses = vec![IpAddr::V4(lab.nodes[0].v4), IpAddr::V6(lab.nodes[0].v6)];
    let record = ask_once(&lab.client().netns, INTERFACE, addresses)?;

    assert_eq!((record.all().sent(), record.all().unanswered()), (2, 0), "{:?}", record.all().holders());
    Ok(())
}
