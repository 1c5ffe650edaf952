//! Takes away everything that an agent leaves on a node: links, maps, host settings.
//!
//! Goes on after an error and reports all of them. Works without the undo record: then only what can be recognised
//! is undone, and `arp_announce` stays, because nobody knows what it was.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::Ipv6Addr,
    path::Path,
};

use anyhow::{Context, bail};

use crate::{
    args::Places,
    host::{Step, make, restore_arp_announce},
    net::{
        Requests,
        links::{self, Observed},
        sysctl::Sysctls,
    },
    undo::Undo,
    xdp::{attach, pins::Pins},
};

/// Undoes everything under these places.
pub(crate) async fn undo_all(pins: &Pins, places: &Places) -> anyhow::Result<()> {
    let mut errors = detach_all(pins);
    errors.extend(undo_host(&places.run_dir, &Sysctls::at(&places.proc_sys_net)).await);
    // Maps last: a frame that still met the program found its table.
    errors.extend(remove_pins(pins));
    for error in &errors {
        tracing::error!("{error:#}");
    }
    if !errors.is_empty() {
        bail!("{} things could not be undone; see the log", errors.len());
    }
    tracing::info!("everything is undone");
    Ok(())
}

fn detach_all(pins: &Pins) -> Vec<anyhow::Error> {
    match pins.pinned_links() {
        Ok(links) => links.into_iter().flat_map(|index| attach::detach(pins, index)).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => vec![anyhow::Error::new(error).context("read the pinned links")],
    }
}

fn remove_pins(pins: &Pins) -> Vec<anyhow::Error> {
    let mut errors = Vec::new();
    if let Ok(entries) = fs::read_dir(pins.maps()) {
        for entry in entries.flatten() {
            let path = entry.path();
            errors.extend(fs::remove_file(&path).with_context(|| format!("remove {}", path.display())).err());
        }
    }
    for directory in [pins.maps().as_path(), pins.links().as_path(), pins.root()] {
        match fs::remove_dir(directory) {
            // Somebody else's file in it is somebody else's business.
            Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => {
                errors.push(anyhow::Error::new(error).context(format!("remove {}", directory.display())));
            }
            _ => {}
        }
    }
    errors
}

async fn undo_host(run_dir: &Path, sysctls: &Sysctls) -> Vec<anyhow::Error> {
    let mut errors = Vec::new();
    let undo = match Undo::load(run_dir) {
        Ok(undo) => Some(undo),
        Err(error) => {
            errors.push(error.into());
            None
        }
    };
    if undo.as_ref().is_some_and(|undo| undo.record.arp_announce.is_empty()) {
        tracing::info!("no arp_announce is on record: it stays as it is");
    }
    let mut record = undo.as_ref().map(|undo| undo.record.clone()).unwrap_or_default();
    let seen = look().await;
    if let Ok((_, observed)) = &seen {
        record.follow_names(observed.iter().map(|(index, observed)| (*index, observed.link.name.as_str())));
    }
    for (name, before) in &record.arp_announce {
        errors.extend(restore_arp_announce(sysctls, name, *before).err());
    }
    match seen {
        Ok((requests, observed)) => {
            let mut steps = groups_to_leave(&record.groups, &observed);
            steps.extend(record.all_multicast.iter().map(|index| Step::AllMulticast(*index, false)));
            for step in steps {
                errors.extend(make(&requests, &step).await.err());
            }
        }
        Err(error) => errors.push(error),
    }
    if let (Some(undo), true) = (undo, errors.is_empty()) {
        errors.extend(undo.remove().map_err(anyhow::Error::from).err());
    }
    errors
}

async fn look() -> anyhow::Result<(Requests, BTreeMap<u32, Observed>)> {
    let requests = Requests::connect().context("connect to the kernel's routing socket")?;
    let observed = links::dump(&requests).await.context("read links and addresses")?;
    Ok((requests, observed))
}

type Recorded = BTreeMap<u32, BTreeSet<Ipv6Addr>>;

/// The recorded groups, and every solicited-node group that stands as an address with `autojoin`: nobody else adds
/// those.
fn groups_to_leave(recorded: &Recorded, observed: &BTreeMap<u32, Observed>) -> Vec<Step> {
    let mut steps = Vec::new();
    for (index, link) in observed {
        let ours = recorded.get(index);
        let leave = link
            .joined
            .iter()
            .filter(|group| ours.is_some_and(|ours| ours.contains(*group)) || is_solicited_node(**group));
        steps.extend(leave.map(|group| Step::Leave(*index, *group)));
    }
    steps
}

/// ff02::1:ff00:0/104 (RFC 4291 §2.7.1).
fn is_solicited_node(group: Ipv6Addr) -> bool {
    matches!(group.segments(), [0xff02, 0, 0, 0, 0, 1, high, _] if high >> 8 == 0xff)
}
