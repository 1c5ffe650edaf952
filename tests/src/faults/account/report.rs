//! The account as text.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::{Account, Finding, Kind, Second};
use crate::{
    asker::Stamp,
    faults::log::{Entry, Fault, Why},
};

impl Account {
    /// Fails with every finding (at most so many are printed), each with what was done to the lab around it.
    pub fn verdict(&self, log: &[Entry], start: Stamp) -> anyhow::Result<()> {
        const SHOWN: usize = 12;
        let void = self.seconds.get(&Second::Void).copied().unwrap_or_default();
        let all: u64 = self.seconds.values().sum();
        anyhow::ensure!(void * 20 <= all, "the run is void: in {void} of {all} seconds the client asked nothing");
        let stalls = log.iter().filter(|entry| entry.fault == Fault::Stalled);
        let spans = stalls.filter_map(|stall| Some(stall.undone.as_ref()?.end - stall.begun.start));
        let (stood, length) = (spans.sum::<Duration>(), all / u64::try_from(self.lines.max(1))?);
        anyhow::ensure!(
            stood * 20 <= Duration::from_secs(length),
            "the run is void: the machine stood still for {stood:?} of {length} s"
        );
        if self.findings.is_empty() {
            return Ok(());
        }
        let findings: Vec<String> = self.findings.iter().take(SHOWN).map(|finding| finding.show(start)).collect();
        let done: Vec<String> = log.iter().map(|entry| entry.show(start)).collect();
        anyhow::bail!("{} findings:\n{}\nwhat was done:\n{}", self.findings.len(), findings.join("\n"), done.join("\n"))
    }

    /// The longest of the explained stretches of a kind, by reason, with their number.
    pub fn longest(&self, kind: Kind) -> BTreeMap<Why, (usize, Duration)> {
        let mut longest: BTreeMap<Why, (usize, Duration)> = BTreeMap::new();
        for (stretch, why) in self.explained.iter().filter(|(stretch, _)| stretch.kind == kind) {
            let (count, most) = longest.entry(*why).or_default();
            *count += 1;
            *most = stretch.length().max(*most);
        }
        longest
    }
}

impl Finding {
    fn show(&self, start: Stamp) -> String {
        match self {
            Self::Stretch(stretch, broken) => {
                let why = broken.map_or("nothing explains it".to_owned(), |why| format!("longer than {}", why.word()));
                format!("  {:>8.2} s  {stretch}: {why}", (stretch.span.start - start).as_secs_f64())
            }
            Self::Stranger(line) => format!("  somebody who is no node answered for {}", line.address),
        }
    }
}

impl Entry {
    /// A line of the log.
    pub fn show(&self, start: Stamp) -> String {
        let at = |stamp: Stamp| format!("{:>8.2} s", (stamp - start).as_secs_f64());
        let until = self.undone.as_ref().map_or("the end".to_owned(), |undone| at(undone.start));
        format!("  {} to {until}  {}", at(self.begun.start), self.fault)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: u64 = self.seconds.values().sum();
        writeln!(f, "{} seconds of {} addresses and clients, {} moves", all, self.lines, self.moves)?;
        for (second, count) in &self.seconds {
            let what = match second {
                Second::Held(node) => format!("held by node-{}", node + 1),
                Second::Moved => "moved".to_owned(),
                Second::Twice(why) => format!("answered by two: {}", why.word()),
                Second::Silent(why) => format!("answered by nobody: {}", why.word()),
                Second::Void => "not asked".to_owned(),
                Second::Unexplained => "UNEXPLAINED".to_owned(),
            };
            writeln!(f, "{count:>10}  {what}")?;
        }
        for (kind, what) in [(Kind::Silence, "silences"), (Kind::Overlap, "overlaps")] {
            for (why, (count, most)) in self.longest(kind) {
                writeln!(f, "{count:>10}  {what} explained by {}, the longest {most:?}", why.word())?;
            }
        }
        Ok(())
    }
}
