//! Any text in the annotations of a Service: read without panic, and never fewer than one address.
#![no_main]

use std::collections::BTreeMap;

use lb_api::{names::annotation, service};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|values: [&str; 3]| {
    let [count, addresses, key] = values;
    let annotations: BTreeMap<String, String> = [
        (annotation::DECKHOUSE_IP_COUNT, count),
        (annotation::DECKHOUSE_IPS, addresses),
        (annotation::DECKHOUSE_SHARED_IP_KEY, key),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let request = service::read(&annotations);
    assert!(!matches!(request.count, service::Count::Number(0)));
});
