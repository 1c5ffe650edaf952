//! Durations as Kubernetes writes them (Go's `time.ParseDuration`): `90s`, `1m30s`, `1.5h`, `0`.

use std::time::Duration;

/// Units by their length in nanoseconds, longer names before those that they begin with.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads a duration that is not negative. `None`: it is not one, or longer than Go can say (292 years).
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('+').unwrap_or(text);
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut rest, mut total) = (text, 0_u64);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|&end| end > 0)?;
        let (number, after) = rest.split_at(digits);
        let (unit, length) = UNITS.into_iter().find(|(unit, _)| after.starts_with(unit))?;
        total = total.checked_add(scaled(number, length)?)?;
        rest = after.strip_prefix(unit)?;
    }
    (!text.is_empty() && i64::try_from(total).is_ok()).then(|| Duration::from_nanos(total))
}

/// `number`, which may have a fraction, times `unit`, rounded down.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let (mut part, mut weight) = (0_u64, unit);
    for digit in fraction.bytes() {
        weight /= 10;
        part += u64::from(digit - b'0') * weight;
    }
    whole.checked_mul(unit)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, milliseconds) in [
            ("0", Some(0)),
            ("0s", Some(0)),
            ("90s", Some(90_000)),
            ("1m30s", Some(90_000)),
            ("1.5s", Some(1_500)),
            ("100ms", Some(100)),
            ("2h45m", Some(9_900_000)),
            (".5m", Some(30_000)),
            ("+3s", Some(3_000)),
            ("1h0m0.25s", Some(3_600_250)),
            ("2000us", Some(2)),
            ("2000µs", Some(2)),
            ("", None),
            ("90", None),
            ("s", None),
            (".s", None),
            ("1.2.3s", None),
            ("-3s", None),
            ("3 s", None),
            ("3d", None),
            ("9999999999h", None),
        ] {
            assert_eq!(parse_duration(text), milliseconds.map(Duration::from_millis), "{text}");
        }
    }
}
