//! An AdmissionReview in, an AdmissionReview out. Pure. `admission.k8s.io/v1`.

use lb_plan::controller::{
    Snapshot,
    admission::{Change, Subject, Verdict, judge},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// The API server shows at most 256 bytes of a warning, and 4096 of all.
const WARNING: usize = 250;

/// What became of a question; the label of the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Allowed,
    Warned,
    Refused,
    /// It was allowed without being judged.
    Unread,
}

impl Outcome {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Warned => "warned",
            Self::Refused => "refused",
            Self::Unread => "unread",
        }
    }
}

#[derive(Deserialize)]
struct Review {
    request: Request,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    uid: String,
    kind: Kind,
    operation: String,
    #[serde(default)]
    object: Value,
    #[serde(default)]
    old_object: Value,
}

#[derive(Deserialize)]
struct Kind {
    group: String,
    kind: String,
}

/// The answer to the text of a question. Without a snapshot nothing can be judged.
pub(super) fn answer(body: &[u8], snapshot: Option<&Snapshot>) -> (Value, Outcome) {
    let request = match serde_json::from_slice::<Review>(body) {
        Ok(review) => review.request,
        Err(error) => return (allow("", vec![format!("not judged: {error}")]), Outcome::Unread),
    };
    let Some(snapshot) = snapshot else {
        let text = "not judged: the controller has not read all objects yet; it tells what is wrong as an Event";
        return (allow(&request.uid, vec![text.into()]), Outcome::Unread);
    };
    let change = match change(&request) {
        Ok(Some(change)) => change,
        Ok(None) => return (allow(&request.uid, Vec::new()), Outcome::Allowed),
        // The schema accepts what these types do not: one more reason to say so.
        Err(error) => return (allow(&request.uid, vec![format!("cannot be used: {error}")]), Outcome::Unread),
    };
    let Verdict { refused, warnings } = judge(snapshot, &change);
    if refused.is_empty() {
        let outcome = if warnings.is_empty() { Outcome::Allowed } else { Outcome::Warned };
        return (allow(&request.uid, warnings), outcome);
    }
    let mut answer = allow(&request.uid, warnings);
    answer["response"]["allowed"] = json!(false);
    answer["response"]["status"] = json!({ "code": 422, "reason": "Invalid", "message": refused.join("; ") });
    (answer, Outcome::Refused)
}

/// `None`: nothing to judge.
fn change(request: &Request) -> serde_json::Result<Option<Change>> {
    let is_put = match request.operation.as_str() {
        "CREATE" | "UPDATE" => true,
        "DELETE" => false,
        _ => return Ok(None),
    };
    let tree = if is_put { &request.object } else { &request.old_object };
    // What is being deleted and only loses a finalizer is nobody's pool any more.
    if is_put && !tree["metadata"]["deletionTimestamp"].is_null() {
        return Ok(None);
    }
    let subject = match (request.kind.group.as_str(), request.kind.kind.as_str()) {
        ("metallb.io", "IPAddressPool") => Subject::Pool(decode(tree)?),
        ("metallb.io", "L2Advertisement") => Subject::Advertisement(decode(tree)?),
        ("metallb.io", "Community") => Subject::Community(decode(tree)?),
        ("metallb.io", "BGPPeer") => Subject::Peer(decode(tree)?),
        ("metallb.io", "BGPAdvertisement") => Subject::BgpAdvertisement(decode(tree)?),
        ("metallb.io", "BFDProfile") => Subject::Profile(decode(tree)?),
        ("network.deckhouse.io", "MetalLoadBalancerPool") => Subject::DeckhousePool(decode(tree)?),
        ("network.deckhouse.io", "MetalLoadBalancerClass") => Subject::Class(decode(tree)?),
        _ => return Ok(None),
    };
    Ok(Some(if is_put { Change::Put(subject) } else { Change::Delete(subject) }))
}

fn decode<K: DeserializeOwned>(tree: &Value) -> serde_json::Result<Box<K>> {
    K::deserialize(tree).map(Box::new)
}

fn allow(uid: &str, warnings: Vec<String>) -> Value {
    let short = |mut text: String| {
        if text.len() > WARNING {
            text.truncate(text.floor_char_boundary(WARNING - 3));
            text.push_str("...");
        }
        text
    };
    let warnings: Vec<String> = warnings.into_iter().map(short).collect();
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": { "uid": uid, "allowed": true, "warnings": warnings },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(operation: &str, object: Value, old: Value) -> Vec<u8> {
        let review = json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "7",
                "kind": { "group": "metallb.io", "version": "v1beta1", "kind": "IPAddressPool" },
                "operation": operation,
                "object": object,
                "oldObject": old,
            },
        });
        review.to_string().into_bytes()
    }

    fn pool(addresses: &[&str]) -> Value {
        json!({
            "apiVersion": "metallb.io/v1beta1",
            "kind": "IPAddressPool",
            "metadata": { "name": "pool", "namespace": "metallb-system" },
            "spec": { "addresses": addresses },
        })
    }

    fn ask(body: &[u8]) -> (Value, Outcome) {
        answer(body, Some(&Snapshot::default()))
    }

    #[test]
    fn a_good_pool_is_allowed_under_the_uid_of_the_question() {
        let (answer, outcome) = ask(&question("CREATE", pool(&["192.0.2.0/24"]), Value::Null));
        assert_eq!(answer["response"], json!({ "uid": "7", "allowed": true, "warnings": [] }));
        assert_eq!(outcome, Outcome::Allowed);
    }

    #[test]
    fn a_bad_pool_is_refused_with_the_field_and_what_would_be_right() {
        let (answer, outcome) = ask(&question("UPDATE", pool(&["192.0.2.9-192.0.2.1"]), Value::Null));
        assert_eq!(answer["response"]["allowed"], false);
        let message = "spec.addresses[0]: `192.0.2.9-192.0.2.1` is reversed: write `192.0.2.1-192.0.2.9`";
        assert_eq!(answer["response"]["status"]["message"], message);
        assert_eq!(outcome, Outcome::Refused);
    }

    #[test]
    fn a_deletion_is_judged_by_what_is_deleted() {
        let (answer, outcome) = ask(&question("DELETE", Value::Null, pool(&["192.0.2.0/24"])));
        assert_eq!((answer["response"]["allowed"].as_bool(), outcome), (Some(true), Outcome::Allowed));
    }

    #[test]
    fn what_loses_its_last_finalizer_is_not_judged() {
        let mut object = pool(&["nonsense"]);
        object["metadata"]["deletionTimestamp"] = json!("2026-11-24T00:00:00Z");
        assert_eq!(ask(&question("UPDATE", object, Value::Null)).1, Outcome::Allowed);
    }

    #[test]
    fn what_cannot_be_read_is_allowed_and_said() {
        for body in [b"nonsense".to_vec(), question("CREATE", json!({ "spec": 7 }), Value::Null)] {
            let (answer, outcome) = ask(&body);
            assert_eq!((answer["response"]["allowed"].as_bool(), outcome), (Some(true), Outcome::Unread));
            assert!(answer["response"]["warnings"][0].is_string(), "{answer}");
        }
        let (answer, outcome) = answer(&question("CREATE", pool(&["nonsense"]), Value::Null), None);
        assert_eq!((answer["response"]["allowed"].as_bool(), outcome), (Some(true), Outcome::Unread));
    }

    #[test]
    fn a_long_warning_is_cut_before_the_api_server_cuts_it() {
        let answer = allow("7", vec!["ä".repeat(300)]);
        let text = answer["response"]["warnings"][0].as_str().expect("a text");
        assert!(text.len() <= WARNING && text.ends_with("..."), "{text}");
    }
}
