//! What lets agents read the Secrets that BGP needs, and no others: a Role and a RoleBinding in each namespace of one.
//!
//! Pure. RBAC can name objects in `get`, `watch` and `list` of one object by its name (Kubernetes: Using RBAC
//! Authorization, "Referring to resources").

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::{
    api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::Resource;
use lb_api::names::BGP_SECRETS;

use super::SecretName;

const GROUP: &str = "rbac.authorization.k8s.io";

/// The ServiceAccount that reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// One write.
#[derive(Debug, Clone, PartialEq)]
pub enum Grant {
    /// A Role that allows nothing yet: with rules, a create would need rights on every Role there may ever be.
    CreateRole(Role),
    /// The Role as it should be.
    UpdateRole(Role),
    /// The binding.
    CreateBinding(RoleBinding),
    /// The binding as it should be.
    UpdateBinding(RoleBinding),
}

/// The writes that make the Roles allow exactly `needed`. What is created empty is filled at the next look.
pub fn grants(
    needed: &BTreeSet<SecretName>,
    roles: &[Arc<Role>],
    bindings: &[Arc<RoleBinding>],
    reader: &Account,
) -> Vec<Grant> {
    let mut by_namespace: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for secret in needed {
        by_namespace.entry(&secret.namespace).or_default().insert(&secret.name);
    }
    let mut grants = Vec::new();
    for (namespace, names) in &by_namespace {
        match in_namespace(bindings, namespace) {
            None => grants.push(Grant::CreateBinding(binding(namespace, reader))),
            Some(known) if known.subjects != binding(namespace, reader).subjects => {
                grants.push(Grant::UpdateBinding(RoleBinding {
                    subjects: binding(namespace, reader).subjects,
                    ..RoleBinding::clone(known)
                }));
            }
            Some(_) => {}
        }
        match in_namespace(roles, namespace) {
            None => grants.push(Grant::CreateRole(Role { metadata: metadata(namespace), ..Role::default() })),
            Some(role) => grants.extend(filled(role, Some(rule(names)))),
        }
    }
    let others =
        roles.iter().filter(|role| !by_namespace.contains_key(role.metadata.namespace.as_deref().unwrap_or("")));
    grants.extend(others.filter(|role| is_ours(&role.metadata)).filter_map(|role| filled(role, None)));
    // Bindings and Roles of one name are in pairs, and who is bound before the Role allows something is bound in time.
    grants
}

/// The Role with this rule or none, if it differs.
fn filled(role: &Role, rule: Option<PolicyRule>) -> Option<Grant> {
    let rules: Vec<PolicyRule> = rule.into_iter().collect();
    let same = role.rules.as_deref().unwrap_or_default() == rules;
    (!same).then(|| Grant::UpdateRole(Role { rules: Some(rules), ..role.clone() }))
}

fn rule(names: &BTreeSet<&str>) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![String::new()]),
        resources: Some(vec!["secrets".into()]),
        resource_names: Some(names.iter().map(|name| (*name).to_owned()).collect()),
        verbs: vec!["get".into(), "watch".into()],
        ..PolicyRule::default()
    }
}

fn binding(namespace: &str, reader: &Account) -> RoleBinding {
    RoleBinding {
        metadata: metadata(namespace),
        role_ref: RoleRef { api_group: GROUP.into(), kind: "Role".into(), name: BGP_SECRETS.into() },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".into(),
            name: reader.name.clone(),
            namespace: Some(reader.namespace.clone()),
            ..Subject::default()
        }]),
    }
}

fn metadata(namespace: &str) -> ObjectMeta {
    ObjectMeta { name: Some(BGP_SECRETS.into()), namespace: Some(namespace.to_owned()), ..ObjectMeta::default() }
}

fn is_ours(metadata: &ObjectMeta) -> bool {
    metadata.name.as_deref() == Some(BGP_SECRETS)
}

fn in_namespace<'a, K: Resource>(listed: &'a [Arc<K>], namespace: &str) -> Option<&'a Arc<K>> {
    listed.iter().find(|object| is_ours(object.meta()) && object.meta().namespace.as_deref() == Some(namespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader() -> Account {
        Account { namespace: "herald-system".into(), name: "herald-agent".into() }
    }

    fn secrets(names: &[&str]) -> BTreeSet<SecretName> {
        let split = |name: &&str| {
            let (namespace, name) = name.split_once('/').expect("test data");
            SecretName::new(namespace, name)
        };
        names.iter().map(split).collect()
    }

    /// Writes until nothing is left, as the controller does.
    fn settle(needed: &BTreeSet<SecretName>, roles: &mut Vec<Arc<Role>>, bindings: &mut Vec<Arc<RoleBinding>>) {
        for _ in 0..3 {
            for grant in grants(needed, roles, bindings, &reader()) {
                match grant {
                    Grant::CreateRole(role) => {
                        assert_eq!(role.rules, None, "an empty one is created");
                        roles.push(Arc::new(role));
                    }
                    Grant::UpdateRole(role) => {
                        roles.retain(|known| known.metadata.namespace != role.metadata.namespace);
                        roles.push(Arc::new(role));
                    }
                    Grant::CreateBinding(binding) => bindings.push(Arc::new(binding)),
                    Grant::UpdateBinding(binding) => {
                        bindings.retain(|known| known.metadata.namespace != binding.metadata.namespace);
                        bindings.push(Arc::new(binding));
                    }
                }
            }
        }
        assert_eq!(grants(needed, roles, bindings, &reader()), [], "it is settled");
    }

    fn allowed(roles: &[Arc<Role>]) -> Vec<(String, Vec<String>)> {
        let of = |role: &Arc<Role>| {
            let rules = role.rules.clone().unwrap_or_default();
            let names = rules.iter().flat_map(|rule| rule.resource_names.clone().unwrap_or_default()).collect();
            (role.metadata.namespace.clone().unwrap_or_default(), names)
        };
        let mut all: Vec<_> = roles.iter().map(of).collect();
        all.sort();
        all
    }

    #[test]
    fn what_is_named_may_be_read_and_what_is_named_no_more_may_not() {
        let (mut roles, mut bindings) = (Vec::new(), Vec::new());
        settle(&secrets(&["metallb-system/a", "metallb-system/b", "d8/c"]), &mut roles, &mut bindings);
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(allowed(&roles), [("d8".into(), names(&["c"])), ("metallb-system".into(), names(&["a", "b"]))]);
        assert_eq!(bindings.len(), 2);
        for role in &roles {
            let rules = role.rules.clone().unwrap_or_default();
            assert_eq!(rules.len(), 1);
            assert_eq!(rules[0].verbs, ["get", "watch"]);
        }

        settle(&secrets(&["metallb-system/b"]), &mut roles, &mut bindings);
        assert_eq!(allowed(&roles), [("d8".into(), names(&[])), ("metallb-system".into(), names(&["b"]))]);
        // A rule without names would allow every Secret: there is none.
        let of_d8 = roles.iter().find(|role| role.metadata.namespace.as_deref() == Some("d8"));
        assert_eq!(of_d8.and_then(|role| role.rules.clone()), Some(Vec::new()));
    }

    #[test]
    fn a_role_that_somebody_widened_or_bound_to_others_is_put_right() {
        let needed = secrets(&["metallb-system/a"]);
        let (mut roles, mut bindings) = (Vec::new(), Vec::new());
        settle(&needed, &mut roles, &mut bindings);
        let mut wide = Role::clone(&roles[0]);
        wide.rules.iter_mut().flatten().for_each(|rule| rule.resource_names = None);
        roles = vec![Arc::new(wide)];
        let mut others = RoleBinding::clone(&bindings[0]);
        others.subjects.iter_mut().flatten().for_each(|subject| subject.name = "somebody".into());
        bindings = vec![Arc::new(others)];
        settle(&needed, &mut roles, &mut bindings);
        assert_eq!(allowed(&roles), [("metallb-system".into(), vec!["a".into()])]);
        assert_eq!(bindings[0].subjects.as_deref().map(|subjects| subjects[0].name.as_str()), Some("herald-agent"));
    }

    #[test]
    fn without_a_password_nothing_is_written() {
        assert_eq!(grants(&BTreeSet::new(), &[], &[], &reader()), []);
    }
}
