//! Label selectors, as Kubernetes evaluates them.
//!
//! An empty selector matches everything. A requirement that cannot be read matches nothing, and is reported by
//! [`problems`]: a slip of the pen must not widen what a selector narrows.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use crate::validate::Problem;

/// Whether `labels` match.
pub fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let equal = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    equal && selector.match_expressions.iter().flatten().all(|requirement| meets(requirement, labels))
}

/// Whether one of several selectors matches; of none, none does.
pub fn any_matches(selectors: &[LabelSelector], labels: &BTreeMap<String, String>) -> bool {
    selectors.iter().any(|selector| matches(selector, labels))
}

fn meets(requirement: &LabelSelectorRequirement, labels: &BTreeMap<String, String>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let value = labels.get(&requirement.key);
    match requirement.operator.as_str() {
        "In" => value.is_some_and(|value| values.contains(value)),
        "NotIn" => !values.is_empty() && value.is_none_or(|value| !values.contains(value)),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => false,
    }
}

/// What is wrong with a list of selectors. Each may stand once, and each value of an expression once.
pub fn problems(field: &str, selectors: &[LabelSelector]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, selector) in selectors.iter().enumerate() {
        let field = format!("{field}[{index}]");
        if selectors.iter().take(index).any(|earlier| earlier == selector) {
            let message = "duplicate selector: it stands in this list already; each stands once";
            problems.push(Problem { field: field.clone(), message: message.into() });
        }
        problems.extend(problems_of(&field, selector));
    }
    problems
}

/// What is wrong with a selector.
pub fn problems_of(field: &str, selector: &LabelSelector) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, requirement) in selector.match_expressions.iter().flatten().enumerate() {
        let field = |name: &str| format!("{field}.matchExpressions[{index}].{name}");
        let values = requirement.values.as_deref().unwrap_or_default();
        let (operator, key) = (requirement.operator.as_str(), &requirement.key);
        let wrong = match operator {
            "In" | "NotIn" if values.is_empty() => Some(("values", format!("{operator} needs at least one value"))),
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                Some(("values", format!("{operator} takes no values: leave them out")))
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => None,
            other => {
                let message = format!("`{other}` is not an operator: write In, NotIn, Exists or DoesNotExist");
                Some(("operator", message))
            }
        };
        problems.extend(wrong.map(|(name, message)| Problem { field: field(name), message }));
        let mut seen = BTreeSet::new();
        for value in values.iter().filter(|value| !seen.insert(value.as_str())) {
            let message = format!("duplicate value `{value}` for `{key}`: each value stands once");
            problems.push(Problem { field: field("values"), message });
        }
    }
    problems
}

#[cfg(test)]
mod tests;
