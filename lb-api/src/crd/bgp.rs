//! What the definitions of BGP's kinds say beyond what their types can: limits, defaults, required fields, rules.
//!
//! Nothing is nullable here, as nothing is in the originals: a rule about a duration must not meet a null.

use serde_json::{Map, Value, json};

use super::nothing_required;

const SPEC: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";

/// Sets attributes of fields of the spec.
fn set(tree: &mut Value, fields: &[(&str, Value)]) {
    for (field, attributes) in fields {
        let schema = tree.pointer_mut(&format!("{SPEC}/properties/{field}")).and_then(Value::as_object_mut);
        let schema = schema.expect("the type has the field");
        let Value::Object(attributes) = attributes else { continue };
        schema.extend(attributes.clone());
    }
}

/// Removes what the derive says of optional fields.
fn strict(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            // A field of that name would have a schema, not a truth value.
            if fields.get("nullable").is_some_and(Value::is_boolean) {
                fields.remove("nullable");
            }
            fields.values_mut().for_each(strict);
        }
        Value::Array(items) => items.iter_mut().for_each(strict),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn require(tree: &mut Value, fields: &[&str]) {
    let spec = tree.pointer_mut(SPEC).and_then(Value::as_object_mut).expect("every kind has a spec");
    spec.insert("required".into(), json!(fields));
}

/// MetalLB: both versions; nothing converts.
pub(super) fn peer(tree: &mut Value, older: Value) {
    nothing_required(tree);
    require(tree, &["myASN"]);
    let whole = json!([
        {
            "rule": "duration(self).getSeconds() >= 1 && duration(self).getSeconds() <= 65535",
            "message": "connect time should be between 1 seconds to 65535",
        },
        {
            "rule": "duration(self).getMilliseconds() % 1000 == 0",
            "message": "connect time should contain a whole number of seconds",
        },
    ]);
    let immutable =
        json!([{ "rule": "self == oldSelf", "message": "EnableGracefulRestart cannot be changed after creation" }]);
    set(
        tree,
        &[
            ("localASN", json!({ "minimum": 1 })),
            ("dynamicASN", json!({ "enum": ["internal", "external"] })),
            ("peerPort", json!({ "minimum": 1, "maximum": 16384, "default": 179 })),
            ("connectTime", json!({ "x-kubernetes-validations": whole })),
            ("enableGracefulRestart", json!({ "x-kubernetes-validations": immutable })),
            ("disableMP", json!({ "default": false })),
            ("dualStackAddressFamily", json!({ "default": false })),
        ],
    );
    without_defaults(tree, &["myASN"]);
    let mut older = older;
    set(&mut older, &[("peerPort", json!({ "maximum": 16384 }))]);
    without_defaults(
        &mut older,
        &[
            "sourceAddress",
            "peerPort",
            "holdTime",
            "keepaliveTime",
            "routerID",
            "nodeSelectors",
            "password",
            "bfdProfile",
            "ebgpMultiHop",
        ],
    );
    let values = "/properties/nodeSelectors/items/properties/matchExpressions/items";
    if let Some(Value::Object(expression)) = older.pointer_mut(&format!("{SPEC}{values}")) {
        expression.insert("required".into(), json!(["key", "operator", "values"]));
        expression["properties"]["values"]["minItems"] = json!(1);
    }
    nothing_required(&mut older);
    let version = older.pointer_mut("/spec/versions/0").map(Value::take);
    let mut version = version.expect("a definition has a version");
    version["storage"] = json!(false);
    version["deprecated"] = json!(true);
    version["deprecationWarning"] = json!("v1beta1 is deprecated, please use v1beta2");
    if let Some(versions) = tree.pointer_mut("/spec/versions").and_then(Value::as_array_mut) {
        versions.insert(0, version);
    }
    strict(tree);
}

/// What an empty value means needs no default in what users read back.
fn without_defaults(tree: &mut Value, fields: &[&str]) {
    for field in fields {
        if let Some(Value::Object(schema)) = tree.pointer_mut(&format!("{SPEC}/properties/{field}")) {
            schema.remove("default");
        }
    }
}

/// MetalLB: lengths, and no Service selectors with aggregation.
pub(super) fn advertisement(tree: &mut Value) {
    nothing_required(tree);
    strict(tree);
    set(
        tree,
        &[
            ("aggregationLength", json!({ "minimum": 1, "default": 32 })),
            ("aggregationLengthV6", json!({ "default": 128 })),
            ("localPref", json!({ "format": "int32" })),
        ],
    );
    let rule = "!has(self.serviceSelectors) || self.serviceSelectors.size() == 0 || \
        ((!has(self.aggregationLength) || self.aggregationLength == 32) && \
        (!has(self.aggregationLengthV6) || self.aggregationLengthV6 == 128))";
    let message = "serviceSelectors and aggregationLength are mutually exclusive, can only be used together with \
        default aggregationLength (32) and aggregationLengthV6 (128)";
    tree.pointer_mut(SPEC).expect("every kind has a spec")["x-kubernetes-validations"] =
        json!([{ "rule": rule, "message": message }]);
}

/// MetalLB: limits.
pub(super) fn profile(tree: &mut Value) {
    nothing_required(tree);
    strict(tree);
    let interval = json!({ "minimum": 10, "maximum": 60000 });
    set(
        tree,
        &[
            ("receiveInterval", interval.clone()),
            ("transmitInterval", interval.clone()),
            ("echoInterval", interval),
            ("detectMultiplier", json!({ "minimum": 2, "maximum": 255 })),
            ("minimumTtl", json!({ "minimum": 1, "maximum": 254 })),
        ],
    );
}

/// Deckhouse: what a peer needs, and its limits.
pub(super) fn deckhouse_peer(tree: &mut Value) {
    super::deckhouse(tree);
    strict(tree);
    require(tree, &["peerAddress", "peerASN", "myASN"]);
    set(
        tree,
        &[
            ("peerAddress", json!({ "format": "ipv4" })),
            ("peerPort", json!({ "minimum": 1 })),
            ("peerASN", json!({ "minimum": 1 })),
            ("myASN", json!({ "minimum": 1 })),
            ("routerID", json!({ "format": "ipv4" })),
            ("holdTime", json!({ "pattern": "^([0-9]+(ms|s|m|h))+$" })),
        ],
    );
    let address = r"^((([0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])\.){3}([0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])|([0-9a-fA-F:.]+))$";
    let source = tree.pointer_mut(&format!("{SPEC}/properties/sourceAddresses/items/properties/address"));
    source.expect("the type has the field")["pattern"] = json!(address);
    without_defaults(tree, &["peerAddress", "peerASN", "myASN"]);
}

/// Deckhouse: IPv4 only.
pub(super) fn deckhouse_pool(tree: &mut Value) {
    super::deckhouse(tree);
    strict(tree);
    require(tree, &["addresses"]);
    let entry = json!([
        { "pattern": r"^([0-9]{1,3}\.){3}[0-9]{1,3}(\/(3[0-2]|[1-2][0-9]|[0-9]))$" },
        { "pattern": r"^([0-9]{1,3}\.){3}[0-9]{1,3}-([0-9]{1,3}\.){3}[0-9]{1,3}$" },
    ]);
    set(tree, &[("addresses", json!({ "minItems": 1, "items": { "type": "string", "oneOf": entry } }))]);
}

/// Deckhouse: one mode, and limits.
pub(super) fn deckhouse_configuration(tree: &mut Value) {
    super::deckhouse(tree);
    strict(tree);
    require(tree, &["mode"]);
    set(tree, &[("mode", json!({ "enum": ["BGP"] }))]);
    without_defaults(tree, &["mode"]);
    let bgp = format!("{SPEC}/properties/advertisements/items/properties/bgp/properties");
    let limits: Map<String, Value> = Map::from_iter([
        ("localPref".to_owned(), json!({ "minimum": 0, "maximum": u32::MAX })),
        ("aggregationLength".to_owned(), json!({ "minimum": 0, "maximum": 128 })),
    ]);
    let fields = tree.pointer_mut(&bgp).expect("the type has the field");
    for (field, limit) in limits {
        let (Some(schema), Value::Object(limit)) = (fields[&field].as_object_mut(), limit) else { continue };
        schema.extend(limit);
    }
    fields["communities"]["items"]["pattern"] = json!("^([0-9]+:[0-9]+|no-export|no-advertise|local-as|none)$");
}
