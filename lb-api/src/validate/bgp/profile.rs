//! A BFDProfile: MetalLB's ranges, FRR's defaults, and authentication by annotation.

use std::{collections::BTreeMap, time::Duration};

use super::{Findings, Problem, number, unread};
use crate::{
    bgp::{BfdKey, BfdMethod, BfdSettings},
    metallb::{BFDProfile, BFDProfileSpec},
    names::bgp_annotation,
};

/// The methods by the words that the annotation takes.
const METHODS: [(&str, BfdMethod); 5] = [
    ("simple", BfdMethod::SimplePassword),
    ("keyed-md5", BfdMethod::KeyedMd5),
    ("meticulous-keyed-md5", BfdMethod::MeticulousMd5),
    ("keyed-sha1", BfdMethod::KeyedSha1),
    ("meticulous-keyed-sha1", BfdMethod::MeticulousSha1),
];

/// What is wrong with a profile, seen alone.
pub fn bfd_profile(object: &BFDProfile) -> Vec<Problem> {
    bfd_settings(object).1
}

/// What a profile says, if it can be used, and what is wrong with it.
pub fn bfd_settings(object: &BFDProfile) -> (Option<BfdSettings>, Vec<Problem>) {
    let mut found = Findings::default();
    let settings = read(&mut found, &object.spec, object.metadata.annotations.as_ref());
    let known = [bgp_annotation::BFD_AUTHENTICATION, bgp_annotation::BFD_KEY_ID, bgp_annotation::BFD_SECRET];
    found.problems.extend(unread("BFDProfile", object.metadata.annotations.as_ref(), &known));
    found.finish(Some(settings))
}

fn read(found: &mut Findings, spec: &BFDProfileSpec, annotations: Option<&BTreeMap<String, String>>) -> BfdSettings {
    let mut interval = |field: &str, value: Option<i32>, default: i32| {
        let value = ranged(found, field, value, default, 10, 60_000, "milliseconds");
        Duration::from_millis(u64::try_from(value).unwrap_or_default())
    };
    let receive = interval("receiveInterval", spec.receive_interval, 300);
    let transmit = interval("transmitInterval", spec.transmit_interval, 300);
    let echo = interval("echoInterval", spec.echo_interval, 50);
    let mut count = |field: &str, value: Option<i32>, default: i32, low: i32, high: i32| {
        u8::try_from(ranged(found, field, value, default, low, high, "")).unwrap_or_default()
    };
    let multiplier = count("detectMultiplier", spec.detect_multiplier, 3, 2, 255);
    let minimum_ttl = count("minimumTtl", spec.minimum_ttl, 254, 1, 254);
    BfdSettings {
        receive,
        transmit,
        multiplier,
        echo_transmit: spec.echo_mode.unwrap_or(false).then_some(echo),
        echo_receive: echo,
        passive: spec.passive_mode.unwrap_or(false),
        minimum_ttl,
        authentication: annotations.and_then(|annotations| authentication(found, annotations)),
    }
}

fn ranged(found: &mut Findings, field: &str, value: Option<i32>, default: i32, low: i32, high: i32, unit: &str) -> i32 {
    let Some(value) = value else { return default };
    if !(low..=high).contains(&value) {
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        found.wrong(format!("spec.{field}"), format!("{value} is out of range: write {low} to {high}{unit}"));
    }
    value.clamp(low, high)
}

fn authentication(found: &mut Findings, annotations: &BTreeMap<String, String>) -> Option<BfdKey> {
    let at = |name: &str| format!("metadata.annotations[{name}]");
    let id = number(found, bgp_annotation::BFD_KEY_ID, annotations.get(bgp_annotation::BFD_KEY_ID), 0, 255);
    let secret = annotations.get(bgp_annotation::BFD_SECRET).map(|name| name.trim()).filter(|name| !name.is_empty());
    let Some(word) = annotations.get(bgp_annotation::BFD_AUTHENTICATION).map(|word| word.trim()) else {
        for name in [bgp_annotation::BFD_KEY_ID, bgp_annotation::BFD_SECRET] {
            if annotations.contains_key(name) {
                found.wrong(at(name), format!("needs {} beside it", bgp_annotation::BFD_AUTHENTICATION));
            }
        }
        return None;
    };
    let method = METHODS.into_iter().find(|(name, _)| *name == word).map(|(_, method)| method);
    if method.is_none() {
        let words = METHODS.map(|(name, _)| name).join(", ");
        found.wrong(at(bgp_annotation::BFD_AUTHENTICATION), format!("`{word}` is unknown: write one of {words}"));
    }
    if secret.is_none() {
        let message = "is missing: name the Secret that has the key under `password`";
        found.wrong(at(bgp_annotation::BFD_SECRET), message);
    }
    Some(BfdKey { method: method?, id: id.unwrap_or(1), secret: secret?.to_owned() })
}
