//! How many frames each interface has received, from `/proc/net/dev`: a counter that moves is somebody who is there.

use std::{collections::BTreeMap, fs, io};

/// Frames received so far, by the interface's name, in this process's network namespace.
pub(crate) fn frames() -> io::Result<BTreeMap<String, u64>> {
    Ok(parse(&fs::read_to_string("/proc/self/net/dev")?))
}

/// Two lines of headings, then `name: bytes packets errs …` (`net/core/net-procfs.c` of Linux).
fn parse(text: &str) -> BTreeMap<String, u64> {
    let line = |line: &str| {
        let (name, counters) = line.split_once(':')?;
        Some((name.trim().to_owned(), counters.split_whitespace().nth(1)?.parse().ok()?))
    };
    text.lines().skip(2).filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_the_second_counter_of_a_line() {
        let text = "Inter-|   Receive                                                |  Transmit\n \
                    face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop\n    \
                    lo:  128004    1216    0    0    0     0          0         0   128004    1216    0    0\n  \
                    eth0.5:     900       7    0    0    0     0          0         3        0       0    0    0\n";

        assert_eq!(parse(text), [("lo".to_owned(), 1216), ("eth0.5".to_owned(), 7)].into());
    }

    #[test]
    fn this_process_has_a_loopback_interface() {
        assert!(frames().expect("the kernel's counters").contains_key("lo"));
    }
}
