//! Splitting, and where a fault is said to be.

use k8s_openapi::api::core::v1::Service;
use proptest::prelude::*;

use super::*;

fn decode(text: &str) -> Result<Service, Fault> {
    let document = split(text)[0];
    document.value().and_then(|value| document.decode(value))
}

#[test]
fn documents_are_split_at_markers_and_know_their_first_line() {
    let text = "# head\n---\na: 1\n---\n# nothing\n--- # third\nb: |\n  ---\n  x\n...\nc: 3";
    let lines: Vec<_> = split(text).iter().map(|document| (document.line, document.text)).collect();
    assert_eq!(lines, [(2, "---\na: 1\n"), (6, "--- # third\nb: |\n  ---\n  x\n"), (11, "c: 3")]);
}

#[test]
fn a_wrong_type_is_told_by_field_and_line_of_the_file() {
    let text = "---\napiVersion: v1\nkind: Service\nspec:\n  ports:\n  - name: a\n    port: eighty\n";
    let fault = decode(text).expect_err("not a number");
    assert_eq!((fault.line, fault.field.as_str()), (7, "spec.ports[0].port"));
    assert!(!fault.message.contains("line"), "{}", fault.message);
}

#[test]
fn a_number_where_a_text_belongs_needs_quotes() {
    let text = "apiVersion: v1\nkind: Service\nmetadata:\n  annotations:\n    lb.herald.dev/ip-count: 3\n";
    let fault = decode(text).expect_err("not a text");
    assert_eq!((fault.line, fault.field.as_str()), (5, "metadata.annotations[lb.herald.dev/ip-count]"));
    assert!(fault.message.contains("quoted"), "{}", fault.message);
}

#[test]
fn bad_yaml_is_told_by_line() {
    let fault = decode("a: 1\nb: [\n").expect_err("unclosed");
    assert_eq!((fault.line, fault.field.as_str()), (2, ""));
}

#[test]
fn a_missing_field_is_told_at_what_is_around_it() {
    let text = "spec:\n  ports:\n  - name: a\n  nodes: [x,\n    y]\n";
    assert_eq!(line_of(text, "spec.ports[0].port"), 3);
    assert_eq!(line_of(text, "spec.nodes[1]"), 5);
    assert_eq!(line_of(text, "spec.node"), 1);
    assert_eq!(line_of(text, "status"), 1);
}

#[test]
fn json_is_read_as_it_is() {
    let service = decode("{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"a\"}}").expect("good");
    assert_eq!(service.metadata.name.as_deref(), Some("a"));
}

proptest! {
    #[test]
    fn splitting_loses_no_content(text in "([a-c]: 1\n|---\n|\\.\\.\\.\n|# x\n|\u{feff}| \n|--- d\n){0,12}") {
        let kept: usize = split(&text).iter().map(|document| document.text.matches(": 1").count()).sum();
        prop_assert_eq!(kept, text.matches(": 1").count());
        for document in split(&text) {
            let at = text.strip_prefix('\u{feff}').unwrap_or(&text).lines().nth(document.line as usize - 1);
            prop_assert_eq!(at, document.text.lines().next());
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>(), field in any::<String>()) {
        for document in split(&text) {
            let read: Result<Service, Fault> = document.value().and_then(|value| document.decode(value));
            if let Err(fault) = read {
                prop_assert!(fault.line >= document.line);
            }
            document.fault_at(&field, String::new());
        }
    }
}
