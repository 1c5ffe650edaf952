//! `cargo xtask bench xdp`: nanoseconds per frame on every path of the program, and answers per second over a veth.
//!
//! Prints a table; `--json FILE` writes the figures with the rounds they come from.
#![expect(clippy::print_stdout, reason = "a developer's command")]

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context, Result};
use aya::programs::ProgramFd;
use clap::Parser;
use lb_common::{
    abi::{Action, Key4, Key6, name},
    host::{Maps, entry, golden},
};
use lb_tests_packet::{
    bench::{Bench, Case, Spread},
    kernel::{Kernel, TEST_IFINDEX, xdp},
    need, stream,
};

/// Times the packet path.
#[derive(Parser)]
struct Args {
    /// Write the figures to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Rounds; every subject runs once in each.
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    /// Passes per subject and round.
    #[arg(long, default_value_t = 500_000)]
    repeat: u32,
    /// Another build of the object: the paths of what is not ours are timed through it as well, in the same rounds.
    #[arg(long, value_name = "OBJECT")]
    before: Option<PathBuf>,
    /// Addresses in the table, of each family.
    #[arg(long, default_value_t = 1_000)]
    addresses: u32,
}

/// A path of the program, and the most it may cost.
struct Subject {
    name: &'static str,
    program: ProgramFd,
    case: Case,
    /// Nanoseconds to stay under; `None` for references.
    limit: Option<f64>,
}

/// One line of the result.
#[derive(serde::Serialize)]
struct Row {
    subject: &'static str,
    /// Net of the empty program in the same round.
    nanos: Spread,
    limit: Option<f64>,
    within: bool,
}

#[derive(serde::Serialize)]
struct Report {
    addresses: u32,
    rounds: usize,
    repeat: u32,
    empty_nanos: Spread,
    paths: Vec<Row>,
    veth: stream::Report,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let missing = |missing: need::Missing| anyhow::anyhow!("{missing}");
    need::root().map_err(missing)?;
    let mut kernel = Kernel::load(&need::object("herald.o").map_err(missing)?)?;
    kernel.fill(TEST_IFINDEX, &tables(args.addresses))?;
    kernel.take_lease(golden::EPOCH)?;
    let mut bench = Bench::load(&need::object("lab.o").map_err(missing)?)?;
    bench.fill((0..args.addresses).map(address4).chain([golden::HELD4]), golden::NODE_MAC)?;

    let mut subjects = subjects(&mut bench, &mut kernel)?;
    if let Some(object) = &args.before {
        let old = before(object, &subjects)?;
        subjects.extend(old);
    }
    for subject in &subjects {
        bench.template(&subject.case.input)?;
        bench.subject(&subject.program)?;
        bench.check(&subject.case).with_context(|| subject.name)?;
    }
    let (empty_nanos, paths) = measure(&mut bench, &subjects, &args)?;
    let veth = stream::compare(&mut bench, &mut kernel, &tables(args.addresses), args.rounds)?;
    let report =
        Report { addresses: args.addresses, rounds: args.rounds, repeat: args.repeat, empty_nanos, paths, veth };
    print(&report);
    if let Some(file) = &args.json {
        std::fs::write(file, serde_json::to_vec_pretty(&report)?)
            .with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}

/// The golden tables with more addresses.
fn tables(addresses: u32) -> Maps {
    let mut maps = golden::maps();
    for index in 0..addresses {
        maps.insert4(Key4 { segment: 1, address: address4(index) }, entry(Action::Answer, golden::EPOCH));
        maps.insert6(Key6 { segment: 1, address: address6(index) }, entry(Action::Answer, golden::EPOCH));
    }
    maps
}

/// 198.18.0.0/15 is for benchmarks (RFC 2544).
fn address4(index: u32) -> [u8; 4] {
    (0xc612_0000 + index).to_be_bytes()
}

/// 2001:2::/48 is for benchmarks (RFC 5180).
fn address6(index: u32) -> [u8; 16] {
    (0x2001_0002_0000_0000_0000_0000_0000_0000 + u128::from(index)).to_be_bytes()
}

fn subjects(bench: &mut Bench, kernel: &mut Kernel) -> Result<Vec<Subject>> {
    let responder = || -> Result<ProgramFd> { Ok(xdp(&mut kernel.ebpf, name::RESPONDER)?.fd()?.try_clone()?) };
    let mut responder = responder;
    let golden: BTreeMap<String, golden::Golden> =
        golden::table().into_iter().map(|golden| (golden.name.clone(), golden)).collect();
    let case = |name: &str, action: u32| -> Result<Case> {
        let golden = golden.get(name).with_context(|| format!("no golden frame {name}"))?;
        Ok(Case { input: golden.input.clone(), action, output: golden.expected().to_vec() })
    };
    let rows = [
        ("pass IPv4 TCP", "ipv4-tcp", 2, Some(4.0)),
        ("pass IPv6 TCP", "ipv6-tcp", 2, Some(4.0)),
        ("pass IPv4 UDP", "ipv4-udp", 2, Some(4.0)),
        ("pass IPv6 UDP", "ipv6-udp", 2, Some(4.0)),
        ("ARP answer", "arp-broadcast", 3, Some(60.0)),
        ("ARP suppress", "arp-suppressed", 1, None),
        ("ARP for another (pass)", "arp-unknown-target", 2, None),
        ("NS answer", "ns-multicast", 3, Some(120.0)),
        ("NS suppress", "ns-suppressed", 1, None),
        ("S-BFD reflected, IPv4", "sbfd4", 3, None),
        ("S-BFD reflected, IPv6", "sbfd6", 3, None),
        ("S-BFD for another (pass)", "sbfd4-other-discriminator", 2, None),
        ("BFD of another (pass)", "bfd4-another-discriminator", 2, None),
        ("BFD while the agent sends (pass)", "bfd4-while-the-agent-sends", 2, None),
        // A poll: it is answered as often as it comes.
        ("BFD answered, IPv4", "bfd4-poll", 3, None),
        ("BFD answered, IPv6", "bfd6-poll", 3, None),
    ];
    let mut subjects = Vec::new();
    for (name, frame, action, limit) in rows {
        subjects.push(Subject { name, program: responder()?, case: case(frame, action)?, limit });
    }
    let references = [
        ("reference: parse, pass", "reference_parse", "ipv4-tcp", 2),
        ("reference: least ARP responder", "reference_arp", "arp-broadcast", 3),
    ];
    for (name, program, frame, action) in references {
        subjects.push(Subject { name, program: bench.program(program)?, case: case(frame, action)?, limit: None });
    }
    Ok(subjects)
}

/// The paths of what is not ours, through another build. They ask no map, so its maps stay empty.
fn before(object: &std::path::Path, subjects: &[Subject]) -> Result<Vec<Subject>> {
    let mut ebpf = aya::Ebpf::load_file(object).with_context(|| format!("loading {}", object.display()))?;
    let program = xdp(&mut ebpf, name::RESPONDER)?;
    program.load().with_context(|| format!("the verifier refuses {}", object.display()))?;
    let rows = [
        ("pass IPv4 TCP", "before: pass IPv4 TCP"),
        ("pass IPv6 TCP", "before: pass IPv6 TCP"),
        ("pass IPv4 UDP", "before: pass IPv4 UDP"),
        ("pass IPv6 UDP", "before: pass IPv6 UDP"),
    ];
    let mut old = Vec::new();
    for (now, before) in rows {
        let same = subjects.iter().find(|subject| subject.name == now).context("a row of the table")?;
        old.push(Subject { name: before, program: program.fd()?.try_clone()?, case: same.case.clone(), limit: None });
    }
    Ok(old)
}

/// Every round times the empty program with every subject's frame just before the subject.
fn measure(bench: &mut Bench, subjects: &[Subject], args: &Args) -> Result<(Spread, Vec<Row>)> {
    let empty = bench.program("lab_pass")?;
    let mut zeros = Vec::new();
    let mut nets = vec![Vec::new(); subjects.len()];
    for _ in 0..args.rounds {
        for (subject, nets) in subjects.iter().zip(&mut nets) {
            bench.template(&subject.case.input)?;
            bench.subject(&empty)?;
            let zero = bench.time(&subject.case.input, args.repeat)?;
            bench.subject(&subject.program)?;
            nets.push(bench.time(&subject.case.input, args.repeat)? - zero);
            zeros.push(zero);
        }
    }
    let rows = subjects.iter().zip(nets).map(|(subject, nets)| {
        let nanos = Spread::of(nets).context("at least one round")?;
        Ok(Row {
            subject: subject.name,
            nanos,
            limit: subject.limit,
            within: subject.limit.is_none_or(|limit| nanos.median <= limit),
        })
    });
    Ok((Spread::of(zeros).context("at least one round")?, rows.collect::<Result<_>>()?))
}

fn print(report: &Report) {
    println!("ns per frame, net of an empty program in the same round ({} rounds of {})", report.rounds, report.repeat);
    println!("{:<32} {:>8} {:>8} {:>8} {:>8}", "", "min", "median", "max", "to reach");
    for row in &report.paths {
        let limit =
            row.limit.map_or_else(String::new, |limit| format!("≤ {limit}{}", if row.within { "" } else { " MISSED" }));
        println!(
            "{:<32} {:>8.1} {:>8.1} {:>8.1} {limit:>8}",
            row.subject, row.nanos.min, row.nanos.median, row.nanos.max
        );
    }
    println!(
        "{:<32} {:>8.1} {:>8.1} {:>8.1}",
        "the empty program itself", report.empty_nanos.min, report.empty_nanos.median, report.empty_nanos.max
    );
    println!();
    println!(
        "answers per second over a veth, one core (medians): ours {:.0}, least responder {:.0}",
        report.veth.ours.median, report.veth.least.median
    );
    println!(
        "ratio by round: min {:.3}, median {:.3}, max {:.3} (to reach ≥ 0.85)",
        report.veth.ratio.min, report.veth.ratio.median, report.veth.ratio.max
    );
}
