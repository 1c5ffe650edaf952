//! How an address comes back and how it is defended: what classes and L2Advertisements say in annotations, and
//! VirtualIPs carry to the agents.

use std::{borrow::Cow, collections::BTreeMap, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{names::l2_annotation, validate::Problem};

/// The longest wait before a failback.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// When a node takes an address from a living node that is ranked below it. Unset: as soon as it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failback {
    /// Not before that node is gone.
    Never,
    /// After it could for this long; whole milliseconds, above zero, at most a day.
    After(Duration),
}

/// What a holder does about a station that is no node and uses its address. Unset: it defends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Conflict {
    /// It announces against it every 10 s, and goes on holding (RFC 5227 §2.4 (c)).
    Defend,
    /// It lets go until the station is gone.
    Retreat,
}

/// Both, as far as they were said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Terms {
    /// Of coming back.
    pub failback: Option<Failback>,
    /// Of strangers.
    pub conflict: Option<Conflict>,
}

/// Why a text is no [`Failback`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a failback: write `never`, or `after` and a time as `after 5m` (a whole number with ms, s, m or h, above zero, at most 24h)"
)]
pub struct FailbackError(String);

impl Terms {
    /// What the annotations of an object say, and what is wrong with them. What is wrong counts as not said.
    pub fn read(annotations: Option<&BTreeMap<String, String>>) -> (Self, Vec<Problem>) {
        let (mut terms, mut problems) = (Self::default(), Vec::new());
        let said = |name: &str| annotations.and_then(|all| all.get(name)).map(|text| text.trim());
        let field = |name: &str| format!("metadata.annotations[{name}]");
        match said(l2_annotation::FAILBACK).map(Failback::from_str) {
            Some(Ok(failback)) => terms.failback = Some(failback),
            Some(Err(error)) => problems.push(Problem::new(field(l2_annotation::FAILBACK), error.to_string())),
            None => {}
        }
        match said(l2_annotation::CONFLICT) {
            Some("defend") => terms.conflict = Some(Conflict::Defend),
            Some("retreat") => terms.conflict = Some(Conflict::Retreat),
            Some(other) => {
                let message = format!("`{other}` is unknown: write `defend` or `retreat`");
                problems.push(Problem::new(field(l2_annotation::CONFLICT), message));
            }
            None => {}
        }
        (terms, problems)
    }

    /// These, and where they say nothing the others.
    pub fn or(self, other: Self) -> Self {
        Self { failback: self.failback.or(other.failback), conflict: self.conflict.or(other.conflict) }
    }
}

impl FromStr for Failback {
    type Err = FailbackError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || FailbackError(text.to_owned());
        let words: Vec<&str> = text.split_whitespace().collect();
        let time = match words.as_slice() {
            ["never"] => return Ok(Self::Never),
            ["after", time] => time,
            _ => return Err(refused()),
        };
        let digits = time.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(refused)?;
        let (number, unit) = time.split_at(digits);
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(refused()),
        };
        let number: u64 = number.parse().ok().ok_or_else(refused)?;
        let wait = number.checked_mul(millis).map(Duration::from_millis).ok_or_else(refused)?;
        if wait.is_zero() || wait > LONGEST { Err(refused()) } else { Ok(Self::After(wait)) }
    }
}

/// With the largest unit of which it is a whole number.
impl fmt::Display for Failback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::After(wait) = self else { return f.write_str("never") };
        let millis = wait.as_millis();
        let units = [(3_600_000, "h"), (60_000, "m"), (1_000, "s")];
        let (length, unit) = units.into_iter().find(|(length, _)| millis % length == 0).unwrap_or((1, "ms"));
        write!(f, "after {}{unit}", millis / length)
    }
}

impl Serialize for Failback {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Failback {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Failback {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Failback")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^(never|after [1-9][0-9]{0,7}(ms|s|m|h))$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> (Terms, Vec<String>) {
        let annotations = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (terms, problems) = Terms::read(Some(&annotations));
        (terms, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn terms_are_read_as_they_are_meant() {
        let (terms, problems) = of(&[(l2_annotation::FAILBACK, " after  5m "), (l2_annotation::CONFLICT, "retreat")]);
        assert_eq!(terms.failback, Some(Failback::After(Duration::from_secs(300))));
        assert_eq!(terms.conflict, Some(Conflict::Retreat));
        assert!(problems.is_empty());
        assert_eq!(of(&[(l2_annotation::FAILBACK, "never")]).0.failback, Some(Failback::Never));
        assert_eq!(of(&[]).0, Terms::default());
    }

    #[test]
    fn one_message_says_what_is_wrong_and_what_would_be_right() {
        for bad in ["", "Never", "after", "after 5", "after 0s", "after 25h", "5m", "after -1s", "after 1m 2s"] {
            let (terms, problems) = of(&[(l2_annotation::FAILBACK, bad), (l2_annotation::CONFLICT, "defend")]);
            assert_eq!(terms, Terms { failback: None, conflict: Some(Conflict::Defend) }, "{bad}");
            let expected = format!(
                "metadata.annotations[lb.herald.dev/failback]: `{bad}` is not a failback: write `never`, or `after` and a time as `after 5m` (a whole number with ms, s, m or h, above zero, at most 24h)"
            );
            assert_eq!(problems, [expected]);
        }
        let (terms, problems) = of(&[(l2_annotation::CONFLICT, "fight")]);
        assert_eq!(terms, Terms::default());
        let expected = "metadata.annotations[lb.herald.dev/conflict]: `fight` is unknown: write `defend` or `retreat`";
        assert_eq!(problems, [expected]);
    }

    #[test]
    fn a_failback_is_written_as_it_is_read_and_fits_its_pattern() {
        for text in ["never", "after 250ms", "after 90s", "after 5m", "after 24h", "after 86399999ms"] {
            let failback: Failback = text.parse().expect("readable");
            assert_eq!(failback.to_string(), text);
            let json = serde_json::to_string(&failback).expect("JSON");
            assert_eq!(serde_json::from_str::<Failback>(&json).expect("readable"), failback);
        }
        assert!(serde_json::from_str::<Failback>("\"soon\"").is_err());
    }
}
