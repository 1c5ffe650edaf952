//! The links of a Markdown file that point to files of the project. Pure.

/// The relative targets of `[text](target)`, without their anchors. Code is not searched.
pub(crate) fn relative(markdown: &str) -> Vec<String> {
    let mut links = Vec::new();
    let mut in_code = false;
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code {
            links.extend(of_line(line));
        }
    }
    links
}

fn of_line(line: &str) -> Vec<String> {
    // Every second piece between back quotes is code.
    let prose: Vec<&str> = line.split('`').step_by(2).collect();
    // A link's text may hold code, so that the pieces are joined before links are looked for.
    let prose = prose.join("");
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let files = targets.filter_map(|target| target.split('#').next());
    files
        .filter(|file| !file.is_empty() && !file.contains("://") && !file.starts_with("mailto:"))
        .map(String::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_targets_are_found_without_anchors() {
        let text = "See [one](docs/one.md), [`two`](two.md#part) and ![picture](p.svg).";
        assert_eq!(relative(text), ["docs/one.md", "two.md", "p.svg"]);
    }

    #[test]
    fn the_web_the_page_itself_and_code_are_left_out() {
        let text = "[web](https://example.org/x.md) [here](#part) `[code](no.md)`\n```text\n[code](no.md)\n```\n";
        assert_eq!(relative(text), Vec::<String>::new());
    }
}
