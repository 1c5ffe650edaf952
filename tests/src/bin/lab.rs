//! The lab's own command: `lab up` builds one to play in, `lab sweep` removes what killed owners left.
#![expect(clippy::print_stdout, reason = "a command talks to its user")]

use std::io::Read as _;

use clap::Parser;
use lb_tests::{
    lab::{Lab, Shape, sweep},
    need::{self, Need},
};

/// Network namespaces that look like a segment with nodes and clients.
#[derive(Parser)]
enum Command {
    /// Builds a lab, prints its namespaces and keeps it until standard input ends.
    Up {
        /// Nodes.
        #[arg(long, default_value_t = 3)]
        nodes: u8,
        /// Clients.
        #[arg(long, default_value_t = 1)]
        clients: u8,
        /// Routers.
        #[arg(long, default_value_t = 0)]
        routers: u8,
        /// Filter multicast by who joined.
        #[arg(long)]
        snooping: bool,
    },
    /// Removes namespaces, pins, files and processes of labs whose owner has died.
    Sweep,
}

fn main() -> anyhow::Result<()> {
    let command = Command::parse();
    need::check(&[Need::Root, Need::Program("ip"), Need::Program("ethtool")])?;
    match command {
        Command::Up { nodes, clients, routers, snooping } => up(Shape { nodes, clients, routers, snooping }),
        Command::Sweep => {
            let swept = sweep()?;
            println!(
                "{} leftover labs removed{}",
                swept.len(),
                swept.iter().map(|id| format!(" {id}")).collect::<String>()
            );
            Ok(())
        }
    }
}

fn up(shape: Shape) -> anyhow::Result<()> {
    let lab = Lab::new(shape)?;
    println!("lab {}", lab.id());
    for host in lab.hosts() {
        println!("{} {} {} {}: ip netns exec {} bash", host.name, host.mac, host.v4, host.v6, host.netns.name());
    }
    println!("It goes when standard input ends (Ctrl-D).");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
