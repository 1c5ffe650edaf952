//! The rules of the house style that a machine can see in a file's name and text. Pure.

/// A file is split before this many lines.
const LIMIT: usize = 500;
/// What a file should stay under.
pub(crate) const GOAL: usize = 300;

/// Starts of paths that exist on one developer's machine only. Written in two halves, or this file would fail.
const OF_A_MACHINE: [&str; 5] =
    [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/"), concat!("/wo", "rk/"), concat!("/tm", "p/")];

/// What is wrong with a file's name.
pub(crate) fn name_faults(path: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if !path.ends_with(".rs") {
        return faults;
    }
    if path.ends_with("/mod.rs") {
        faults.push(format!("{path}: a module is `foo.rs` beside `foo/`, not `foo/mod.rs`"));
    }
    let says_nothing = |part: &str| matches!(part.trim_end_matches(".rs"), "utils" | "util" | "helpers" | "misc");
    if path.split('/').any(says_nothing) {
        faults.push(format!("{path}: the name does not say what is inside"));
    }
    faults
}

/// What is wrong with a file's text.
pub(crate) fn text_faults(path: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if path.ends_with(".rs") {
        if !text.starts_with("//!") {
            faults.push(format!("{path}: does not open with `//!`: purpose, what it must not do, invariants"));
        }
        let lines = text.lines().count();
        if lines > LIMIT {
            faults.push(format!("{path}: {lines} lines, split it (at most {LIMIT})"));
        }
    }
    for (number, line) in text.lines().enumerate() {
        if let Some(start) = OF_A_MACHINE.iter().find(|start| is_path(line, start)) {
            faults.push(format!("{path}:{}: a path of one machine ({start}…)", number + 1));
        }
    }
    faults
}

/// Whether a line has an absolute path with this start: not the middle of a longer one, not a URL.
fn is_path(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        before.is_none_or(|before| {
            !before.is_alphanumeric() && !matches!(before, '.' | '-' | '_' | '/' | '~' | '}' | ')')
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_header_and_a_long_one_are_named() {
        assert_eq!(text_faults("a.rs", "//! What it is.\n"), Vec::<String>::new());
        assert_eq!(text_faults("a.rs", "use std::fs;\n").len(), 1);
        let long = format!("//! Long.\n{}", "\n".repeat(LIMIT));
        assert_eq!(text_faults("a.rs", &long), ["a.rs: 501 lines, split it (at most 500)"]);
    }

    #[test]
    fn names_that_say_nothing_are_refused() {
        assert_eq!(name_faults("lb-plan/src/rank.rs"), Vec::<String>::new());
        for path in ["a/src/mod.rs", "a/src/utils.rs", "a/src/utils/x.rs", "a/src/misc.rs"] {
            assert_eq!(name_faults(path).len(), 1, "{path}");
        }
    }

    #[test]
    fn a_path_of_a_machine_is_found_in_any_file_with_its_line() {
        let text = format!("fine\nsee {}someone/x", OF_A_MACHINE[0]);
        assert_eq!(text_faults("a.md", &text).len(), 1);
        assert!(text_faults("a.md", &text)[0].starts_with("a.md:2: "));
    }

    #[test]
    fn the_middle_of_another_path_is_none() {
        let text = format!("https://example.org{}x and target{}y", OF_A_MACHINE[3], OF_A_MACHINE[4]);
        assert_eq!(text_faults("a.md", &text), Vec::<String>::new());
    }
}
