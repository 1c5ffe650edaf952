//! Every second of every address, accounted for: who held it, or why nobody did. Pure.
//!
//! A *line* is what one client asked for one address, and who answered. A stretch of questions that nobody answered,
//! and one of questions that two or more nodes answered, needs an excuse from the log of faults; what has none is a
//! [`Finding`]. A stretch is as long as it is for certain: from the first to the last of its questions.

mod line;
mod report;
mod stretch;

use std::{collections::BTreeMap, ops::Range, time::Duration};

pub use line::{Line, Question, Who, lines};
pub use stretch::{Kind, Stretch};

use super::log::{Bounds, Entry, Node, Why};
use crate::asker::Stamp;

/// A second of an address, as a client saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Second {
    /// One node answered.
    Held(Node),
    /// First one, then another.
    Moved,
    /// Two answered, and why they may.
    Twice(Why),
    /// A question had no answer, and why it may.
    Silent(Why),
    /// No question was asked: the client's own gap.
    Void,
    /// See the findings.
    Unexplained,
}

/// Something that may not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A stretch that nothing in the log explains, or that lasted longer than what explains it.
    Stretch(Stretch, Option<Why>),
    /// Somebody answered who is no node.
    Stranger(Line),
}

/// The whole account.
#[derive(Debug, Default)]
pub struct Account {
    /// Seconds by what they were.
    pub seconds: BTreeMap<Second, u64>,
    /// Stretches that are explained.
    pub explained: Vec<(Stretch, Why)>,
    /// What is not.
    pub findings: Vec<Finding>,
    /// How often an address went from one node to another, as a client saw it.
    pub moves: usize,
    /// Clients times addresses.
    pub lines: usize,
}

/// Accounts for every second of `span` on every line.
pub fn account(lines: &[Line], log: &[Entry], bounds: &Bounds, nodes: usize, span: &Range<Stamp>) -> Account {
    let mut account = Account { lines: lines.len(), ..Account::default() };
    account.moves = lines.iter().map(|line| line.moves().len()).sum();
    for line in lines {
        let judge = Judge { line, log, bounds, nodes };
        let mut marks = vec![None; line.questions.len()];
        for stretch in stretch::of(line) {
            let why = judge.why(&stretch);
            let mark = why.ok().map_or(Second::Unexplained, |why| stretch.second(why));
            marks[stretch.questions.clone()].fill(Some(mark));
            match why {
                Ok(why) => account.explained.push((stretch, why)),
                Err(broken) => account.findings.push(Finding::Stretch(stretch, broken)),
            }
        }
        if line.questions.iter().any(|question| question.by.iter().any(|who| matches!(who, Who::Stranger(_)))) {
            account.findings.push(Finding::Stranger(line.clone()));
        }
        for second in line::seconds(line, &marks, span) {
            *account.seconds.entry(second).or_default() += 1;
        }
    }
    account
}

struct Judge<'a> {
    line: &'a Line,
    log: &'a [Entry],
    bounds: &'a Bounds,
    nodes: usize,
}

impl Judge<'_> {
    /// What explains a stretch; or what would if it were shorter, or nothing.
    fn why(&self, stretch: &Stretch) -> Result<Why, Option<Why>> {
        match stretch.kind {
            Kind::Silence => self.silence(stretch),
            Kind::Overlap => self.overlap(stretch),
        }
    }

    fn silence(&self, stretch: &Stretch) -> Result<Why, Option<Why>> {
        let (start, length) = (stretch.span.start, stretch.length());
        let at_work = self.log.iter().filter(|entry| entry.counts_at(start, self.bounds)).count();
        // The standby is not known to be healthy where something else is going on.
        let most = |most: Duration| if at_work > 1 { self.bounds.otherwise } else { most };
        let excuses = self.log.iter().flat_map(|entry| entry.silences(self.line.client, self.nodes, self.bounds));
        let mut broken = None;
        for excuse in excuses.filter(|excuse| excuse.begins.contains(&start)) {
            if excuse.of.is_some_and(|node| stretch.before != Some(node)) {
                continue;
            }
            if length <= most(excuse.most) {
                return Ok(excuse.why);
            }
            broken = Some(excuse.why);
        }
        if at_work > 1 && length <= self.bounds.otherwise {
            return Ok(Why::Otherwise);
        }
        Err(broken)
    }

    fn overlap(&self, stretch: &Stretch) -> Result<Why, Option<Why>> {
        let (start, length) = (stretch.span.start, stretch.length());
        let mut broken = None;
        for excuse in self.log.iter().flat_map(|entry| entry.overlaps(self.bounds)) {
            if excuse.begins.contains(&start) {
                if length <= excuse.most {
                    return Ok(excuse.why);
                }
                broken = Some(excuse.why);
            }
        }
        // The frame in which the old holder hears of the new one, or in which one of two takes back what it just lost.
        let one = stretch.questions.len() == 1 && self.log.iter().any(|entry| entry.counts_at(start, self.bounds));
        if one { Ok(Why::OneFrame) } else { Err(broken) }
    }
}

#[cfg(test)]
mod tests;
