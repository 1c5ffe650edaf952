//! A node that dies with 1,000 addresses: 100 of them are asked for every 20 ms, and of all the first announcement by
//! the new holder counts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_tests::{
    asker::{Asker, Questions},
    lab::INTERFACE,
    overhear::Overhearer,
    wait,
};

use crate::{
    figures::{Announced, Run},
    runs::{LIMIT, MARGIN, Stage},
    scenario::Scenario,
};

/// Of each family.
const PAIRS: u16 = 500;
const ASKED: usize = 50;
/// Each asked one every 20 ms.
const RATE: u32 = 50 * 50;

impl Stage {
    pub(crate) fn thousand(&mut self) -> anyhow::Result<Run> {
        let (victim, next) = self.turn();
        let all: Vec<IpAddr> = (0..PAIRS).flat_map(|number| pair(self.runs, number)).collect();
        let asked = &all[..ASKED * 2];
        self.create(&all, victim)?;
        self.wait_until_held(victim, &all)?;
        let client = self.lab.client();
        let asker =
            Asker::start(&client.netns, INTERFACE, Questions { rate: RATE, ..Questions::steady(asked.to_vec()) })?;
        let listener = Overhearer::start(&self.lab.clients[1].netns, INTERFACE)?;
        wait::until(LIMIT, "the first answers", || asker.answers() >= 100)?;
        wait::observe(MARGIN);

        self.fail(Scenario::NodeDeath, victim)?;
        self.wait_until_held(next, &all)?;
        wait::observe(MARGIN);

        let (record, firsts) = (asker.finish()?, listener.finish()?);
        let mut run = self.judge(&record, asked, victim, next, Scenario::Thousand);
        let mac = self.lab.nodes[next].mac;
        let mut times: Vec<_> = all.iter().filter_map(|address| firsts.get(&(*address, mac))).copied().collect();
        times.sort();
        let spread = times
            .first()
            .zip(times.last())
            .map_or(u64::MAX, |(first, last)| u64::try_from((*last - *first).as_micros()).unwrap_or(u64::MAX));
        run.announced = Some(Announced { addresses: all.len(), heard: times.len(), spread_us: spread });
        self.tidy(&all, victim, true)?;
        Ok(run)
    }
}

/// Addresses of a run of its own: outside the segment's network, as a pool may be.
fn pair(run: usize, number: u16) -> [IpAddr; 2] {
    let number = u32::from(number) + u32::from(PAIRS) * u32::try_from(run % 100).unwrap_or_default();
    let [.., a, b] = number.to_be_bytes();
    let group = u16::from_be_bytes([a, b]);
    [Ipv4Addr::new(10, 0, a, b).into(), Ipv6Addr::new(0x2001, 0xdb8, 0x10, 0, 0, 0, 0, group).into()]
}
