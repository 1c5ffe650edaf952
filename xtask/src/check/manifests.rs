//! A member's `Cargo.toml` takes its versions, its edition and its lints from the root. Pure.

/// What a member takes from the root's `[workspace.package]`.
const INHERITED: [&str; 4] = ["version", "edition", "rust-version", "publish"];

/// What a member's manifest does on its own that the root decides.
pub(crate) fn faults(manifest: &str) -> Vec<String> {
    let lines = with_sections(manifest);
    let has = |section: &str, line: &str| lines.contains(&(section, line));
    let mut faults = Vec::new();
    for key in INHERITED {
        if !has("package", &format!("{key}.workspace = true")) {
            faults.push(format!("[package] lacks `{key}.workspace = true`"));
        }
    }
    if !has("lints", "workspace = true") {
        faults.push("[lints] lacks `workspace = true`".into());
    }
    for (section, line) in &lines {
        let is_own_version = line.contains('=') && !line.contains("workspace = true") && !line.contains("path = \".\"");
        if section.ends_with("dependencies") && is_own_version {
            faults.push(format!("[{section}] `{line}`: the version belongs into the root's Cargo.toml"));
        }
    }
    faults
}

/// Each line that is neither empty nor a comment, with the section it stands in.
fn with_sections(manifest: &str) -> Vec<(&str, &str)> {
    let mut section = "";
    let mut lines = Vec::new();
    for line in manifest.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(header) => section = header.trim_matches(['[', ']']),
            None => lines.push((section, line)),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[package]\nname = \"x\"\nversion.workspace = true\nedition.workspace = true\n\
        rust-version.workspace = true\npublish.workspace = true\n[dependencies]\n# a reason\nserde.workspace = true\n\
        nix = { workspace = true, features = [\"mount\"] }\n[lints]\nworkspace = true\n";

    #[test]
    fn a_manifest_that_inherits_everything_has_no_fault() {
        assert_eq!(faults(GOOD), Vec::<String>::new());
    }

    #[test]
    fn a_version_of_its_own_is_named() {
        let manifest = GOOD.replace("serde.workspace = true", "serde = \"1\"");
        assert_eq!(
            faults(&manifest),
            ["[dependencies] `serde = \"1\"`: the version belongs into the root's Cargo.toml"]
        );
    }

    #[test]
    fn lints_and_edition_must_be_inherited() {
        let manifest =
            GOOD.replace("[lints]\nworkspace = true", "").replace("edition.workspace = true", "edition = \"2021\"");
        assert_eq!(
            faults(&manifest),
            ["[package] lacks `edition.workspace = true`", "[lints] lacks `workspace = true`"]
        );
    }
}
