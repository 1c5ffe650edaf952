//! Patterns over interface names.

use std::{convert::Infallible, fmt, str::FromStr};

/// What is left alone unless the operator says otherwise: MetalLB's list, and Cilium's own devices.
const DEFAULT: &str = "docker*,cbr*,dummy*,virbr*,lxcbr*,veth*,lo,cali*,tunl*,flannel*,kube-ipvs*,cni*,nodelocaldns*,lxc*,\
                       cilium_*";

/// Interface names, each with any number of `*` for any characters: `docker*,veth*,lo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePatterns(Vec<String>);

impl NamePatterns {
    /// Whether any pattern covers the whole of `name`.
    pub fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| covers(pattern.as_bytes(), name.as_bytes()))
    }
}

impl Default for NamePatterns {
    fn default() -> Self {
        Self::parse(DEFAULT)
    }
}

impl NamePatterns {
    fn parse(text: &str) -> Self {
        Self(text.split(',').map(str::trim).filter(|pattern| !pattern.is_empty()).map(str::to_owned).collect())
    }
}

impl FromStr for NamePatterns {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::parse(text))
    }
}

impl fmt::Display for NamePatterns {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0.join(","))
    }
}

fn covers(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=name.len()).any(|at| name.get(at..).is_some_and(|tail| covers(rest, tail))),
        ([first, rest @ ..], [head, tail @ ..]) => first == head && covers(rest, tail),
        ([_, ..], []) | ([], [_, ..]) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_leaves_out_what_metallb_leaves_out_and_nothing_like_it() {
        let exclude = NamePatterns::default();

        for name in ["lo", "docker0", "veth1a2b", "cali123", "kube-ipvs0", "cni0", "lxc_health", "cilium_host"] {
            assert!(exclude.matches(name), "{name}");
        }
        for name in ["eth0", "lo1", "bond0", "eno1.100", "br0", "mydocker", "wlo1"] {
            assert!(!exclude.matches(name), "{name}");
        }
    }

    #[test]
    fn a_star_stands_for_any_characters_anywhere() {
        let patterns: NamePatterns = " eth*.1 , *x* ,".parse().expect("cannot fail");

        assert!(patterns.matches("eth0.1") && patterns.matches("axb") && patterns.matches("x"));
        assert!(!patterns.matches("eth0.10") && !patterns.matches(""));
    }
}
