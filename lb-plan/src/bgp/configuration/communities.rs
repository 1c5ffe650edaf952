//! Names for communities, of all Community objects together.

use std::{collections::BTreeMap, sync::Arc};

use lb_api::{
    Community,
    validate::{self, CommunityValue, parse_community},
};

use super::Problem;

/// What names stand for.
pub(in crate::bgp) type Aliases = BTreeMap<String, CommunityValue>;

/// All names; of a name that stands twice the first, in the order of the objects' names.
pub(in crate::bgp) fn read(objects: &[Arc<Community>]) -> (Aliases, Vec<Problem>) {
    let (mut aliases, mut problems) = (Aliases::new(), Vec::new());
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for object in objects {
        let owner = object.metadata.name.as_deref().unwrap_or_default();
        let told = |field: String, message: String| Problem {
            kind: "Community",
            name: owner.to_owned(),
            field,
            message,
            may_pass: false,
        };
        problems.extend(validate::community(object).into_iter().map(|problem| told(problem.field, problem.message)));
        for (index, alias) in object.spec.communities.iter().enumerate() {
            let (Ok(value), false) = (parse_community(&alias.value), alias.name.trim().is_empty()) else { continue };
            match owners.get(alias.name.as_str()) {
                Some(first) if *first != owner => {
                    let message = format!("duplicate name `{}`: Community `{first}` has it, and is used", alias.name);
                    problems.push(told(format!("spec.communities[{index}].name"), message));
                }
                // Told by the validation of the object.
                Some(_) => {}
                None => {
                    owners.insert(&alias.name, owner);
                    aliases.insert(alias.name.clone(), value);
                }
            }
        }
    }
    (aliases, problems)
}
