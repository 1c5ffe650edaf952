//! Which test programs cargo has built, from what it prints with `--message-format json`. Pure.

use std::{fmt, path::PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// One test program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Test {
    /// The package it tests.
    pub(super) package: String,
    /// The target: the library, a program, or a file of `tests/`.
    name: String,
    /// Where it runs, as `cargo test` has it: the package's folder.
    pub(super) folder: PathBuf,
    /// The program.
    pub(super) program: PathBuf,
}

impl Test {
    /// Whether it is this target of this package.
    pub(super) fn is(&self, package: &str, name: &str) -> bool {
        self.package == package && self.name == name
    }
}

impl fmt::Display for Test {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.package, self.name)
    }
}

/// The part of a message that is looked at.
#[derive(Deserialize)]
struct Message {
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// The tests among the messages, in their order of package and target.
pub(super) fn tests(messages: &str) -> Result<Vec<Test>> {
    let mut tests = Vec::new();
    for line in messages.lines().filter(|line| line.starts_with('{')) {
        let message: Message = serde_json::from_str(line).context("reading a message of cargo")?;
        let (Some(manifest), Some(target), Some(profile), Some(program)) =
            (message.manifest_path, message.target, message.profile, message.executable)
        else {
            continue;
        };
        if !profile.test {
            continue;
        }
        let folder = manifest.parent().context("a manifest is in a folder")?.to_owned();
        let package = package(&folder).context("the folder of a package has a name")?;
        tests.push(Test { package, name: target.name, folder, program });
    }
    tests.sort_by(|a, b| (&a.package, &a.name).cmp(&(&b.package, &b.name)));
    Ok(tests)
}

/// The package of a folder: its path in the workspace, the tests' with a prefix.
fn package(folder: &std::path::Path) -> Option<String> {
    let name = folder.file_name()?.to_str()?;
    let parent = folder.parent()?.file_name().and_then(|parent| parent.to_str());
    Some(match (parent, name) {
        (_, "tests") => "lb-tests".to_owned(),
        (Some("tests"), name) => format!("lb-tests-{name}"),
        _ => name.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_programs_are_found_with_their_packages_and_others_are_not() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","manifest_path":"/w/tests/packet/Cargo.toml","target":{"name":"golden"},"#,
            r#""profile":{"test":true},"executable":"/t/golden-1"}"#,
            "\n",
            r#"{"reason":"compiler-artifact","manifest_path":"/w/tests/Cargo.toml","target":{"name":"l2"},"#,
            r#""profile":{"test":true},"executable":"/t/l2-1"}"#,
            "\n",
            r#"{"reason":"compiler-artifact","manifest_path":"/w/lb-agent/Cargo.toml","target":{"name":"lb-agent"},"#,
            r#""profile":{"test":false},"executable":"/t/lb-agent"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );

        let found = tests(messages).expect("as cargo prints it");

        let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["lb-tests l2", "lb-tests-packet golden"]);
    }
}
