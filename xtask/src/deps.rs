//! Which crate of ours may depend on which: the table of the design as data, compared with `cargo metadata`.

use crate::metadata::Metadata;

/// What a crate may depend on.
#[derive(Debug, Clone, Copy)]
enum May {
    These(&'static [&'static str]),
    Everything,
}

/// A crate that is not here yet may stand in the table; a crate that is here must.
const TABLE: &[(&str, May)] = &[
    ("lb-common", May::These(&[])),
    ("lb-ebpf", May::These(&["lb-common"])),
    ("lb-bfd", May::These(&["lb-common"])),
    ("lb-bgp", May::These(&[])),
    ("lb-api", May::These(&[])),
    ("lb-plan", May::These(&["lb-api"])),
    ("lb-store", May::These(&["lb-api"])),
    ("lb-controller", May::These(&["lb-api", "lb-plan", "lb-store"])),
    ("lb-agent", May::These(&["lb-common", "lb-bfd", "lb-bgp", "lb-api", "lb-plan", "lb-store"])),
    ("lbctl", May::These(&["lb-api", "lb-plan", "lb-store"])),
    ("xtask", May::These(&[])),
    ("lb-tests", May::Everything),
    ("lb-tests-packet", May::Everything),
    ("lb-tests-bgp", May::Everything),
    ("lb-tests-kube", May::Everything),
];

/// Every difference between the table and the workspace, one sentence each. Pure.
pub(crate) fn drift(metadata: &Metadata) -> Vec<String> {
    let mut drift = Vec::new();
    for package in &metadata.packages {
        let Some((_, may)) = TABLE.iter().find(|(name, _)| *name == package.name) else {
            drift.push(format!("{} is not in the table of crates: say what it may depend on", package.name));
            continue;
        };
        // A package may name itself among its test dependencies, to switch features on.
        let ours = package.dependencies.iter().filter(|of| of.path.is_some() && of.name != package.name);
        for dependency in ours {
            let allowed = match may {
                May::Everything => true,
                May::These(these) => these.contains(&dependency.name.as_str()),
            };
            if !allowed {
                drift.push(format!("{} may not depend on {}", package.name, dependency.name));
            }
        }
    }
    drift
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::metadata::{Dependency, Package};

    fn package(name: &str, ours: &[&str]) -> Package {
        let dependency =
            |name: &&str| Dependency { name: (*name).into(), path: Some(PathBuf::from("/herald").join(name)) };
        let mut dependencies: Vec<Dependency> = ours.iter().map(dependency).collect();
        dependencies.push(Dependency { name: "serde".into(), path: None });
        let manifest_path = PathBuf::from("/herald").join(name).join("Cargo.toml");
        Package { name: name.into(), manifest_path, license: None, dependencies, targets: Vec::new() }
    }

    fn drift_of(packages: Vec<Package>) -> Vec<String> {
        drift(&Metadata { packages })
    }

    #[test]
    fn what_the_table_allows_is_no_drift() {
        let packages = vec![
            package("lb-common", &["lb-common"]),
            package("lb-plan", &["lb-api"]),
            package("lb-tests", &["lb-agent", "lb-controller"]),
        ];
        assert_eq!(drift_of(packages), Vec::<String>::new());
    }

    #[test]
    fn a_dependency_upwards_is_named() {
        assert_eq!(drift_of(vec![package("lb-plan", &["lb-api", "lb-store"])]), ["lb-plan may not depend on lb-store"]);
    }

    #[test]
    fn a_crate_that_nobody_placed_is_named() {
        let drift = drift_of(vec![package("lb-misc", &[])]);
        assert_eq!(drift, ["lb-misc is not in the table of crates: say what it may depend on"]);
    }
}
