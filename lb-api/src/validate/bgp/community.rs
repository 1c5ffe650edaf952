//! Communities, and the names that Community objects give to them (RFC 1997, RFC 8092).

use std::collections::BTreeSet;

use super::{Problem, unread};
use crate::metallb::Community;

/// A community.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CommunityValue {
    /// RFC 1997: two halves of 16 bits.
    Plain(u32),
    /// RFC 8092: three parts of 32 bits.
    Large([u32; 3]),
}

/// What is wrong with names for communities, seen alone.
pub fn community(object: &Community) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for (index, alias) in object.spec.communities.iter().enumerate() {
        let at = |name: &str| format!("spec.communities[{index}].{name}");
        if alias.name.trim().is_empty() {
            problems.push(Problem::new(at("name"), "is empty: write the name that BGPAdvertisements use"));
        } else if !seen.insert(alias.name.as_str()) {
            problems.push(Problem::new(at("name"), format!("duplicate name `{}`: each stands once", alias.name)));
        }
        if let Err(message) = parse_community(&alias.value) {
            problems.push(Problem::new(at("value"), message));
        }
    }
    problems.extend(unread("Community", object.metadata.annotations.as_ref(), &[]));
    problems
}

/// Reads `64512:100` or `large:64512:1:2`; the error says what would be right, in MetalLB's words.
pub fn parse_community(value: &str) -> Result<CommunityValue, String> {
    let wrong = |message: &str| Err(format!("invalid community value `{value}`: {message}"));
    match value.split(':').collect::<Vec<&str>>().as_slice() {
        [high, low] => match (half(high), half(low)) {
            (Some(high), Some(low)) => Ok(CommunityValue::Plain(u32::from(high) << 16 | u32::from(low))),
            _ => wrong("invalid section: write two numbers from 0 to 65535 as 64512:100"),
        },
        ["large", first, second, third] => match (part(first), part(second), part(third)) {
            (Some(first), Some(second), Some(third)) => Ok(CommunityValue::Large([first, second, third])),
            _ => wrong("invalid section: write three numbers from 0 to 4294967295 as large:64512:1:2"),
        },
        [_, _, _, _] => wrong("expected community to be of format large: write large:64512:1:2"),
        _ => wrong("write 64512:100 or large:64512:1:2"),
    }
}

/// Digits only: `parse` alone would take a sign.
fn part(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn half(text: &str) -> Option<u16> {
    part(text).and_then(|number| number.try_into().ok())
}
