//! What one client asked for one address, made of what an asker recorded.

use std::{collections::BTreeMap, net::IpAddr, ops::Range, time::Duration};

use super::Second;
use crate::{
    asker::{ANSWER_WITHIN, Record, Stamp},
    faults::log::Node,
    mac::Mac,
};

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// A node.
    Node(Node),
    /// Somebody else.
    Stranger(Mac),
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// When it was sent.
    pub at: Stamp,
    /// Who answered within a second, each once, in the order of their answers.
    pub by: Vec<Who>,
}

/// What one client asked for one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Which client, from 0.
    pub client: usize,
    /// The address.
    pub address: IpAddr,
    /// In the order of their time.
    pub questions: Vec<Question>,
}

/// The lines of one client's record. `node` says which node has a hardware address.
pub fn lines(client: usize, record: &Record, node: impl Fn(Mac) -> Option<Node>) -> Vec<Line> {
    let mut lines: BTreeMap<IpAddr, Vec<Question>> = BTreeMap::new();
    for request in record.all().requests() {
        let mut by = Vec::new();
        for reply in request.replies.iter().filter(|reply| reply.at - request.at <= ANSWER_WITHIN) {
            let who = node(reply.mac).map_or(Who::Stranger(reply.mac), Who::Node);
            if !by.contains(&who) {
                by.push(who);
            }
        }
        lines.entry(request.address).or_default().push(Question { at: request.at, by });
    }
    lines.into_iter().map(|(address, questions)| Line { client, address, questions }).collect()
}

impl Question {
    /// The one node that answered.
    pub(super) fn holder(&self) -> Option<Node> {
        match self.by[..] {
            [Who::Node(node)] => Some(node),
            [] | [_] | [_, _, ..] => None,
        }
    }
}

impl Line {
    /// When the address was first answered by a node that did not answer the question before: each has announced it.
    pub fn moves(&self) -> Vec<Stamp> {
        let mut moves = Vec::new();
        let mut last: Option<&[Who]> = None;
        for question in self.questions.iter().filter(|question| !question.by.is_empty()) {
            if last.is_some_and(|last| question.by.iter().any(|who| !last.contains(who))) {
                moves.push(question.at);
            }
            last = Some(&question.by);
        }
        moves
    }

    /// Who answered the last question, if it was one node alone.
    pub fn last_holder(&self) -> Option<Node> {
        self.questions.last()?.holder()
    }

    /// Who answered alone, one after the other.
    pub fn order(&self) -> Vec<Node> {
        let mut order: Vec<Node> = self.questions.iter().filter_map(Question::holder).collect();
        order.dedup();
        order
    }
}

/// What each second of `span` was. `marks` has what is special about a question.
pub(super) fn seconds(line: &Line, marks: &[Option<Second>], span: &Range<Stamp>) -> Vec<Second> {
    let whole = (span.end - span.start).as_secs();
    let mut next = line.questions.partition_point(|question| question.at < span.start);
    let mut seconds = Vec::new();
    for number in 1..=whole {
        let end = span.start.after(Duration::from_secs(number));
        let first = next;
        while line.questions.get(next).is_some_and(|question| question.at < end) {
            next += 1;
        }
        let asked = first..next;
        let held = line.questions[asked.clone()].iter().filter_map(|question| question.holder().map(Second::Held));
        let special = marks[asked].iter().copied().flatten().max();
        let mut held: Vec<Second> = held.collect();
        held.dedup();
        seconds.push(special.unwrap_or(match held[..] {
            [] => Second::Void,
            [one] => one,
            [_, _, ..] => Second::Moved,
        }));
    }
    seconds
}
