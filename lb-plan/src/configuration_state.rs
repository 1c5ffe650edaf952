//! MetalLB's `ConfigurationState`: whether one component can use what users configured (metallb.md section 1.9).
//!
//! The controller judges pools, each speaker what is for its node. Unlike MetalLB's, an object is written only when the
//! judgement changes, and its time moves only with it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time};
use lb_api::{
    ConfigurationState,
    metallb::{ConfigurationResult, ConfigurationStateSpec, ConfigurationStateStatus},
};

/// `metav1.Condition` takes no longer message, in octets here.
const MAX_MESSAGE: usize = 32_768;

/// The object without a status, which is the next write: a create drops it.
pub(crate) fn new(namespace: &str, name: &str, labels: &[(&str, &str)]) -> ConfigurationState {
    let labels = labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned()));
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
        labels: Some(labels.collect::<BTreeMap<_, _>>()),
        ..ObjectMeta::default()
    };
    ConfigurationState { metadata, spec: ConfigurationStateSpec {}, status: None }
}

/// The object as it should be; `None` if it says so already. `condition` is the type of the one condition that is ours,
/// `summary` what is wrong, one problem a line.
pub(crate) fn judged(
    known: &ConfigurationState,
    condition: &str,
    summary: &str,
    now: Timestamp,
) -> Option<ConfigurationState> {
    let wanted = judgement(known.status.as_ref(), condition, summary, now);
    (known.status.as_ref() != Some(&wanted))
        .then(|| ConfigurationState { status: Some(wanted), ..ConfigurationState::clone(known) })
}

fn judgement(
    before: Option<&ConfigurationStateStatus>,
    type_: &str,
    summary: &str,
    now: Timestamp,
) -> ConfigurationStateStatus {
    let summary = cut(summary);
    let valid = summary.is_empty();
    let status = if valid { "True" } else { "False" };
    let conditions = before.map(|before| before.conditions.clone()).unwrap_or_default();
    let previous = conditions.iter().find(|condition| condition.type_ == type_ && condition.status == status);
    let condition = Condition {
        type_: type_.to_owned(),
        status: status.into(),
        reason: if valid { "Reconciled" } else { "ConfigurationError" }.into(),
        message: summary.clone(),
        last_transition_time: previous.map_or(Time(now), |previous| previous.last_transition_time.clone()),
        observed_generation: None,
    };
    let others = conditions.into_iter().filter(|condition| condition.type_ != type_);
    ConfigurationStateStatus {
        result: Some(if valid { ConfigurationResult::Valid } else { ConfigurationResult::Invalid }),
        error_summary: summary,
        conditions: std::iter::once(condition).chain(others).collect(),
    }
}

/// An API server refuses a longer one, and with it everything that is said.
fn cut(summary: &str) -> String {
    if summary.len() <= MAX_MESSAGE {
        return summary.to_owned();
    }
    const END: &str = "\n...";
    format!("{}{END}", summary.get(..summary.floor_char_boundary(MAX_MESSAGE - END.len())).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_that_no_condition_takes_is_cut() {
        let known = new("metallb-system", "controller", &[]);
        for summary in ["x".repeat(MAX_MESSAGE), "ä".repeat(MAX_MESSAGE)] {
            let state =
                judged(&known, "poolReconcilerValid", &summary, Timestamp::UNIX_EPOCH).expect("it says nothing yet");
            let status = state.status.expect("it is judged");
            assert!(status.conditions[0].message.len() <= MAX_MESSAGE);
            assert_eq!(status.error_summary.ends_with("\n..."), summary.len() > MAX_MESSAGE);
        }
    }

    /// Whoever else has a condition there keeps it.
    #[test]
    fn others_conditions_stay() {
        let at = |seconds| Timestamp::from_second(seconds).expect("in range");
        let first = judged(&new("n", "a", &[]), "ours", "", at(1)).expect("new");
        let both = judged(&first, "theirs", "", at(2)).expect("another condition");
        let wrong = judged(&both, "ours", "x", at(3)).expect("it is wrong now");
        let types = |state: &ConfigurationState| -> Vec<(String, i64)> {
            let conditions = state.status.iter().flat_map(|status| &status.conditions);
            conditions.map(|one| (one.type_.clone(), one.last_transition_time.0.as_second())).collect()
        };
        assert_eq!(types(&wrong), [("ours".to_owned(), 3), ("theirs".to_owned(), 2)]);
        assert_eq!(judged(&wrong, "ours", "x", at(9)), None, "the same again is no write");
    }
}
