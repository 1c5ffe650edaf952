//! The JSON merge patch (RFC 7386) that makes one tree into another. Pure.
//!
//! Only what differs is sent, so that fields which this version of Herald does not know stay as they are.

use serde_json::{Map, Value};

/// What has to be merged into `old` to make it `new`; `None` if they are equal.
pub(crate) fn difference(old: &Value, new: &Value) -> Option<Value> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let fields = members(old, new);
            (!fields.is_empty()).then_some(Value::Object(fields))
        }
        (old, new) => (old != new).then(|| new.clone()),
    }
}

fn members(old: &Map<String, Value>, new: &Map<String, Value>) -> Map<String, Value> {
    let gone = old.keys().filter(|name| !new.contains_key(*name)).map(|name| (name.clone(), Value::Null));
    let changed = new.iter().filter_map(|(name, value)| match old.get(name) {
        Some(before) => difference(before, value).map(|patch| (name.clone(), patch)),
        None => Some((name.clone(), value.clone())),
    });
    gone.chain(changed).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// RFC 7386 section 2, MergePatch(Target, Patch).
    fn merge(target: Value, patch: &Value) -> Value {
        let Value::Object(patch) = patch else { return patch.clone() };
        let mut fields = match target {
            Value::Object(fields) => fields,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
        };
        for (name, value) in patch {
            let before = fields.remove(name).unwrap_or_default();
            if !value.is_null() {
                fields.insert(name.clone(), merge(before, value));
            }
        }
        Value::Object(fields)
    }

    /// Trees without nulls, which a merge patch cannot set and Kubernetes does not keep.
    fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<bool>().prop_map(Value::from), (0..3_i64).prop_map(Value::from)];
        let node = leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
                prop::collection::btree_map("[a-c]", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        });
        prop::collection::btree_map("[a-c]", node, 0..4).prop_map(|map| Value::Object(map.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn merging_the_difference_gives_the_new_tree(old in tree(), new in tree()) {
            let merged = match difference(&old, &new) {
                Some(patch) => merge(old, &patch),
                None => old,
            };
            prop_assert_eq!(merged, new);
        }

        #[test]
        fn equal_trees_have_no_difference(tree in tree()) {
            prop_assert_eq!(difference(&tree, &tree), None);
        }
    }

    #[test]
    fn a_field_that_goes_is_null_and_a_list_is_replaced_whole() {
        let old = json!({ "holder": "a", "why": "FirstRanked", "conditions": [1, 2] });
        let new = json!({ "why": "FirstRanked", "conditions": [2] });

        assert_eq!(difference(&old, &new), Some(json!({ "holder": null, "conditions": [2] })));
    }
}
