//! Reads what `cargo test` prints: result lines, skips. Pure.

/// What a suite's output says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// Each skip with its reason, in order.
    pub(crate) skips: Vec<String>,
}

impl Tally {
    /// Counts one line.
    pub(crate) fn line(&mut self, line: &str) {
        let line = line.trim();
        if let Some(skip) = line.strip_prefix("SKIP ") {
            self.skips.push(skip.to_owned());
        } else if let Some(result) = line.strip_prefix("test result: ") {
            self.passed += count(result, "passed");
            self.failed += count(result, "failed");
        } else if let Some((test, reason)) = ignored(line) {
            self.skips.push(format!("{test}: {reason}"));
        }
    }
}

/// The number before a word: 12 in `ok. 12 passed; 0 failed`.
fn count(result: &str, word: &str) -> u64 {
    let words: Vec<&str> = result.split([' ', ';', '.']).collect();
    let pairs = words.windows(2).find_map(|pair| match pair {
        [number, of] if *of == word => number.parse().ok(),
        _ => None,
    });
    pairs.unwrap_or_default()
}

/// `test name ... ignored, reason`: a test that never runs is a skip too.
fn ignored(line: &str) -> Option<(&str, &str)> {
    let (test, rest) = line.strip_prefix("test ")?.split_once(" ... ignored")?;
    Some((test, rest.strip_prefix(", ").unwrap_or("ignored without a reason")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(output: &str) -> Tally {
        let mut tally = Tally::default();
        output.lines().for_each(|line| tally.line(line));
        tally
    }

    #[test]
    fn result_lines_of_several_binaries_add_up() {
        let tally = tally(
            "running 2 tests\ntest a ... ok\ntest result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered \
             out; finished in 0.10s\ntest result: FAILED. 11 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out",
        );
        assert_eq!((tally.passed, tally.failed), (13, 3));
    }

    #[test]
    fn skips_and_ignored_tests_keep_their_reasons() {
        let tally = tally("SKIP golden: needs root\ntest slow ... ignored, takes an hour\ntest odd ... ignored");
        assert_eq!(tally.skips, ["golden: needs root", "slow: takes an hour", "odd: ignored without a reason"]);
    }

    #[test]
    fn a_line_that_only_mentions_a_skip_is_none() {
        assert_eq!(tally("checking SKIP lines\ntest skip ... ok"), Tally::default());
    }
}
