//! Selectors against the table in Kubernetes' documentation of labels.

use super::*;

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn expression(key: &str, operator: &str, values: &[&str]) -> LabelSelector {
    let values = Some(values.iter().map(|value| (*value).to_owned()).collect());
    let requirement = LabelSelectorRequirement { key: key.into(), operator: operator.into(), values };
    LabelSelector { match_expressions: Some(vec![requirement]), ..LabelSelector::default() }
}

#[test]
fn expressions_mean_what_kubernetes_says() {
    let (web, none) = (labels(&[("app", "web")]), labels(&[]));
    for (operator, values, on_web, on_none) in [
        ("In", &["web", "api"][..], true, false),
        ("In", &["api"], false, false),
        ("NotIn", &["web"], false, true),
        ("NotIn", &["api"], true, true),
        ("Exists", &[], true, false),
        ("DoesNotExist", &[], false, true),
        ("Has", &["web"], false, false),
    ] {
        let selector = expression("app", operator, values);
        assert_eq!((matches(&selector, &web), matches(&selector, &none)), (on_web, on_none), "{operator} {values:?}");
    }
}

#[test]
fn an_empty_selector_matches_and_an_empty_list_does_not() {
    assert!(matches(&LabelSelector::default(), &labels(&[])));
    assert!(any_matches(&[LabelSelector::default()], &labels(&[])));
    assert!(!any_matches(&[], &labels(&[("app", "web")])));
}

#[test]
fn labels_and_expressions_must_both_match() {
    let mut selector = expression("tier", "Exists", &[]);
    selector.match_labels = Some(labels(&[("app", "web")]));
    assert!(matches(&selector, &labels(&[("app", "web"), ("tier", "")])));
    assert!(!matches(&selector, &labels(&[("app", "web")])));
    assert!(!matches(&selector, &labels(&[("tier", "")])));
}

#[test]
fn what_is_wrong_is_said_by_field() {
    let list = [
        expression("app", "In", &["web", "web"]),
        expression("app", "In", &["web", "web"]),
        expression("app", "Has", &[]),
        expression("app", "NotIn", &[]),
        expression("app", "Exists", &["web"]),
    ];
    let told: Vec<String> = problems("spec.nodeSelectors", &list).iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "spec.nodeSelectors[0].matchExpressions[0].values: duplicate value `web` for `app`: each value stands once",
            "spec.nodeSelectors[1]: duplicate selector: it stands in this list already; each stands once",
            "spec.nodeSelectors[1].matchExpressions[0].values: duplicate value `web` for `app`: each value stands once",
            "spec.nodeSelectors[2].matchExpressions[0].operator: `Has` is not an operator: write In, NotIn, Exists or DoesNotExist",
            "spec.nodeSelectors[3].matchExpressions[0].values: NotIn needs at least one value",
            "spec.nodeSelectors[4].matchExpressions[0].values: Exists takes no values: leave them out",
        ]
    );
}
