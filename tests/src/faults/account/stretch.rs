//! Questions in a row that nobody answered, or that more than one answered.

use std::{fmt, net::IpAddr, ops::Range, time::Duration};

use super::{Line, Second, Who};
use crate::{
    asker::Stamp,
    faults::log::{Node, Why},
};

/// What a stretch is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Nobody answered.
    Silence,
    /// More than one did.
    Overlap,
}

/// Questions in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// Of what.
    pub kind: Kind,
    /// By the line's client.
    pub client: usize,
    /// For the line's address.
    pub address: IpAddr,
    /// Their places in the line.
    pub questions: Range<usize>,
    /// From the first to the last of them.
    pub span: Range<Stamp>,
    /// Who alone answered the question before.
    pub before: Option<Node>,
    /// Who answered in it.
    pub by: Vec<Who>,
}

impl Stretch {
    /// How long it was for certain.
    pub fn length(&self) -> Duration {
        self.span.end - self.span.start
    }

    pub(super) fn second(&self, why: Why) -> Second {
        match self.kind {
            Kind::Silence => Second::Silent(why),
            Kind::Overlap => Second::Twice(why),
        }
    }
}

/// The stretches of a line.
pub(super) fn of(line: &Line) -> Vec<Stretch> {
    let kind = |by: &[Who]| match by.len() {
        0 => Some(Kind::Silence),
        1 => None,
        _ => Some(Kind::Overlap),
    };
    let mut stretches: Vec<Stretch> = Vec::new();
    let mut before = None;
    for (place, question) in line.questions.iter().enumerate() {
        let Some(kind) = kind(&question.by) else {
            before = question.holder();
            continue;
        };
        match stretches.last_mut().filter(|last| last.kind == kind && last.questions.end == place) {
            Some(last) => {
                last.questions.end = place + 1;
                last.span.end = question.at;
                last.by.extend(question.by.iter().filter(|who| !last.by.contains(who)).copied().collect::<Vec<_>>());
            }
            None => stretches.push(Stretch {
                kind,
                client: line.client,
                address: line.address,
                questions: place..place + 1,
                span: question.at..question.at,
                before,
                by: question.by.clone(),
            }),
        }
    }
    stretches
}

impl fmt::Display for Stretch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |node: Option<Node>| node.map_or("nobody".to_owned(), |node| format!("node-{}", node + 1));
        write!(f, "{} at client-{}: ", self.address, self.client + 1)?;
        match self.kind {
            Kind::Silence => write!(f, "nobody answered after {}", name(self.before))?,
            Kind::Overlap => write!(f, "{:?} answered after {}", self.by, name(self.before))?,
        }
        write!(f, ", {} questions over {:?}", self.questions.len(), self.length())
    }
}
