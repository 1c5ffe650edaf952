//! What is wrong with the objects of BGP, and what the good ones say.
//!
//! Each kind is read once: a function `…_settings` gives the values, or none where a problem makes the object unusable,
//! and every problem there is. An object with a value that cannot be meant is not used at all: a session or a route that is
//! other than what was asked for is worse at a router than none. What is only superfluous is told, and the object works.
//!
//! Where MetalLB refuses (metallb.md section 6.2) the words that its tests look for are kept.

use std::collections::BTreeSet;

use super::{Problem, unread};

mod advertisement;
mod community;
mod duration;
mod peer;
mod profile;

pub use advertisement::{AdvertisementSettings, CommunityText, bgp_advertisement, bgp_advertisement_settings};
pub use community::{CommunityValue, community, parse_community};
pub use duration::parse_duration;
pub use peer::{bgp_peer, bgp_peer_settings};
pub use profile::{bfd_profile, bfd_settings};

/// The problems of one object, and whether it can be used all the same.
#[derive(Debug, Default)]
struct Findings {
    problems: Vec<Problem>,
    is_unusable: bool,
}

impl Findings {
    /// Something that makes the object unusable.
    fn wrong(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.is_unusable = true;
        self.note(field, message);
    }

    /// Something that changes nothing.
    fn note(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem::new(field, message));
    }

    /// What was read, if it can be used.
    fn finish<T>(self, value: Option<T>) -> (Option<T>, Vec<Problem>) {
        (value.filter(|_| !self.is_unusable), self.problems)
    }
}

/// Names that stand twice in a list.
fn duplicates(found: &mut Findings, field: &str, what: &str, names: &[String]) {
    let mut seen = BTreeSet::new();
    for (index, name) in names.iter().enumerate().filter(|(_, name)| !seen.insert(name.as_str())) {
        found.note(format!("{field}[{index}]"), format!("duplicate {what} `{name}`: each stands once"));
    }
}

/// A number of an annotation, `None` if it is not there. Whole, without a sign.
fn number(found: &mut Findings, annotation: &str, value: Option<&String>, low: u8, high: u8) -> Option<u8> {
    let value = value?.trim();
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| value.parse().ok()).flatten().filter(|number| (low..=high).contains(number));
    if number.is_none() {
        let field = format!("metadata.annotations[{annotation}]");
        found.wrong(field, format!("`{value}` is not a number from {low} to {high}"));
    }
    number
}

#[cfg(test)]
mod tests;
