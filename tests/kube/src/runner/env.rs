//! A container's environment, and what `$(NAME)` in its command becomes. Pure.
//!
//! What fields there are: the Kubernetes API reference, `EnvVarSource`. What the runner does not know is an error that
//! names it, never an empty value.

use std::{collections::BTreeMap, net::IpAddr};

use k8s_openapi::api::core::v1::{Container, EnvVar, ObjectFieldSelector, Pod};

use super::Unready;

/// What a container's environment is made of besides the Pod itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    pub(super) pod_ips: Vec<IpAddr>,
    pub(super) host_ips: Vec<IpAddr>,
    pub(super) hostname: String,
    /// Host and port of the API server, as the Service `kubernetes` has them.
    pub(super) api_server: (String, u16),
    /// ConfigMaps and Secrets by kind and name, those that the Pod names.
    pub(super) maps: BTreeMap<(MapKind, String), BTreeMap<String, Vec<u8>>>,
}

/// What a key is looked up in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum MapKind {
    ConfigMap,
    Secret,
}

/// The ConfigMaps and Secrets that environments of a Pod name, with whether the Pod can do without.
pub(super) fn wanted(container: &Container) -> Vec<(MapKind, String, bool)> {
    let sources = container.env.iter().flatten().filter_map(|env| env.value_from.as_ref());
    let keys = sources.filter_map(|from| match (&from.config_map_key_ref, &from.secret_key_ref) {
        (Some(map), _) => Some((MapKind::ConfigMap, map.name.clone(), map.optional == Some(true))),
        (_, Some(secret)) => Some((MapKind::Secret, secret.name.clone(), secret.optional == Some(true))),
        (None, None) => None,
    });
    let whole = container.env_from.iter().flatten().filter_map(|from| match (&from.config_map_ref, &from.secret_ref) {
        (Some(map), _) => Some((MapKind::ConfigMap, map.name.clone(), map.optional == Some(true))),
        (_, Some(secret)) => Some((MapKind::Secret, secret.name.clone(), secret.optional == Some(true))),
        (None, None) => None,
    });
    keys.chain(whole).collect()
}

/// The environment of a container.
pub(super) fn environment(
    pod: &Pod,
    container: &Container,
    facts: &Facts,
) -> Result<BTreeMap<String, String>, Unready> {
    let (host, port) = (&facts.api_server.0, facts.api_server.1.to_string());
    let mut env = BTreeMap::from(
        [
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("HOSTNAME", &facts.hostname),
            ("KUBERNETES_SERVICE_HOST", host),
            ("KUBERNETES_SERVICE_PORT", &port),
            ("KUBERNETES_SERVICE_PORT_HTTPS", &port),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    for from in container.env_from.iter().flatten() {
        let prefix = from.prefix.as_deref().unwrap_or_default();
        let of = [
            from.config_map_ref.as_ref().map(|map| (MapKind::ConfigMap, map.name.clone())),
            from.secret_ref.as_ref().map(|secret| (MapKind::Secret, secret.name.clone())),
        ];
        for (key, value) in of.into_iter().flatten().filter_map(|of| facts.maps.get(&of)).flatten() {
            env.insert(format!("{prefix}{key}"), String::from_utf8_lossy(value).into_owned());
        }
    }
    for variable in container.env.iter().flatten() {
        if let Some(value) = value(pod, variable, facts)? {
            // Earlier variables may stand in later ones.
            let value = expand(&value, &env);
            env.insert(variable.name.clone(), value);
        }
    }
    Ok(env)
}

fn value(pod: &Pod, variable: &EnvVar, facts: &Facts) -> Result<Option<String>, Unready> {
    let Some(from) = &variable.value_from else { return Ok(Some(variable.value.clone().unwrap_or_default())) };
    if let Some(field) = &from.field_ref {
        return self::field(pod, field, facts).map(Some);
    }
    let key = match (&from.config_map_key_ref, &from.secret_key_ref) {
        (Some(map), _) => (MapKind::ConfigMap, &map.name, &map.key, map.optional),
        (_, Some(secret)) => (MapKind::Secret, &secret.name, &secret.key, secret.optional),
        (None, None) => return Err(Unready(format!("the runner does not know where {} is from", variable.name))),
    };
    let (kind, name, key, optional) = key;
    match facts.maps.get(&(kind, name.clone())).and_then(|map| map.get(key)) {
        Some(value) => Ok(Some(String::from_utf8_lossy(value).into_owned())),
        None if optional == Some(true) => Ok(None),
        None => Err(Unready(format!("couldn't find key {key} in {kind:?} {name}"))),
    }
}

/// The downward API: a field of the Pod by its path.
pub(super) fn field(pod: &Pod, field: &ObjectFieldSelector, facts: &Facts) -> Result<String, Unready> {
    let (meta, spec) = (&pod.metadata, pod.spec.as_ref());
    let first = |ips: &[IpAddr]| ips.first().map(ToString::to_string).unwrap_or_default();
    let all = |ips: &[IpAddr]| ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let value = match field.field_path.as_str() {
        "metadata.name" => meta.name.clone().unwrap_or_default(),
        "metadata.namespace" => meta.namespace.clone().unwrap_or_default(),
        "metadata.uid" => meta.uid.clone().unwrap_or_default(),
        "metadata.labels" => lines(meta.labels.as_ref()),
        "metadata.annotations" => lines(meta.annotations.as_ref()),
        "spec.nodeName" => spec.and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
        "spec.serviceAccountName" => spec.and_then(|spec| spec.service_account_name.clone()).unwrap_or_default(),
        "status.podIP" => first(&facts.pod_ips),
        "status.podIPs" => all(&facts.pod_ips),
        "status.hostIP" => first(&facts.host_ips),
        "status.hostIPs" => all(&facts.host_ips),
        path => {
            let of = |map: Option<&BTreeMap<String, String>>, key: &str| map.and_then(|map| map.get(key).cloned());
            let key = |start: &str| path.strip_prefix(start)?.strip_suffix("']");
            match (key("metadata.labels['"), key("metadata.annotations['")) {
                (Some(label), _) => of(meta.labels.as_ref(), label).unwrap_or_default(),
                (_, Some(annotation)) => of(meta.annotations.as_ref(), annotation).unwrap_or_default(),
                (None, None) => return Err(Unready(format!("the runner does not know the field {path}"))),
            }
        }
    };
    Ok(value)
}

/// As the downward API writes a map into a file.
fn lines(map: Option<&BTreeMap<String, String>>) -> String {
    map.into_iter().flatten().map(|(key, value)| format!("{key}={value:?}\n")).collect()
}

/// Replaces `$(NAME)` by the variable; an unknown one stays as it is, and `$$` is one `$`.
pub(super) fn expand(text: &str, env: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out += before;
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = after.strip_prefix('(').and_then(|inside| inside.split_once(')')) {
            match env.get(name) {
                Some(value) => out += value,
                None => out += &format!("$({name})"),
            }
            rest = after;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Pod {
        serde_json::from_value(serde_json::json!({
            "metadata": { "name": "page-1", "namespace": "web", "labels": { "app": "page" } },
            "spec": { "nodeName": "node-2", "containers": [] },
        }))
        .expect("it is a Pod")
    }

    fn env_of(env: serde_json::Value) -> Result<BTreeMap<String, String>, Unready> {
        let container = serde_json::json!({ "name": "c", "env": env });
        let container: Container = serde_json::from_value(container).expect("it is a container");
        let facts = Facts {
            pod_ips: vec!["10.244.2.7".parse().expect("an address"), "fd00::7".parse().expect("an address")],
            ..Facts::default()
        };
        environment(&pod(), &container, &facts)
    }

    #[test]
    fn a_variable_takes_a_field_and_may_use_an_earlier_one() {
        let env = env_of(serde_json::json!([
            { "name": "NODE", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } },
            { "name": "APP", "valueFrom": { "fieldRef": { "fieldPath": "metadata.labels['app']" } } },
            { "name": "IPS", "valueFrom": { "fieldRef": { "fieldPath": "status.podIPs" } } },
            { "name": "URL", "value": "http://$(NODE)/$(NOBODY)/$$(APP)" },
        ]))
        .expect("all of it is known");
        assert_eq!((env["NODE"].as_str(), env["APP"].as_str()), ("node-2", "page"));
        assert_eq!(
            (env["IPS"].as_str(), env["URL"].as_str()),
            ("10.244.2.7,fd00::7", "http://node-2/$(NOBODY)/$(APP)")
        );
    }

    #[test]
    fn an_unknown_field_is_an_error_with_its_path() {
        let env = env_of(serde_json::json!([{ "name": "X", "valueFrom": { "fieldRef": { "fieldPath": "spec.x" } } }]));
        assert_eq!(env.expect_err("no such field").0, "the runner does not know the field spec.x");
    }

    #[test]
    fn a_missing_key_is_an_error_unless_it_is_optional() {
        let key = |optional| serde_json::json!({ "name": "m", "key": "k", "optional": optional });
        let env =
            |optional| env_of(serde_json::json!([{ "name": "X", "valueFrom": { "secretKeyRef": key(optional) } }]));
        assert_eq!(env(false).expect_err("it is missing").0, "couldn't find key k in Secret m");
        assert!(!env(true).expect("it is optional").contains_key("X"));
    }
}
