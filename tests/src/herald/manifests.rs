//! A folder of manifests as a user and Herald's programs share it.
//!
//! What a user would write is written as an editor does (a new file that replaces the old one). What Herald writes is
//! under `.herald`, and is only read here, by the paths of the store's documented layout.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use lb_api::{VirtualIP, virtual_ip::name_of};
use serde::de::DeserializeOwned;

/// The folder.
#[derive(Debug, Clone)]
pub struct Manifests {
    dir: PathBuf,
}

impl Manifests {
    /// A new, empty folder.
    pub fn new(dir: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
        Ok(Self { dir })
    }

    /// A new folder with a copy of every manifest in `from`.
    pub fn copy_of(from: &Path, dir: PathBuf) -> anyhow::Result<Self> {
        let manifests = Self::new(dir)?;
        for entry in fs::read_dir(from).with_context(|| format!("list {}", from.display()))? {
            let path = entry?.path();
            let Some(name) = path.file_name().filter(|_| path.extension().is_some_and(|end| end == "yaml")) else {
                continue;
            };
            fs::copy(&path, manifests.dir.join(name)).with_context(|| format!("copy {}", path.display()))?;
        }
        Ok(manifests)
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes a user's file, all of it at once.
    pub fn write(&self, file: &str, text: &str) -> anyhow::Result<()> {
        replace(&self.dir.join(file), text)
    }

    /// Removes a user's file.
    pub fn remove(&self, file: &str) -> anyhow::Result<()> {
        fs::remove_file(self.dir.join(file)).with_context(|| format!("remove {file}"))
    }

    /// Puts a VirtualIP where the controller would put it, for tests of an agent alone.
    pub fn put_virtual_ip(&self, vip: &VirtualIP) -> anyhow::Result<()> {
        let address = vip.spec.address.parse().context("the address of a VirtualIP")?;
        let dir = self.dir.join(".herald/objects/virtualips/_");
        fs::create_dir_all(&dir)?;
        // JSON is YAML.
        replace(&dir.join(format!("{}.yaml", name_of(address))), &serde_json::to_string_pretty(vip)?)
    }

    /// What is stored of an object's status by the controller, if anything.
    pub fn controller_status<T: DeserializeOwned>(&self, plural: &str, namespace: &str, name: &str) -> Option<T> {
        self.read(&format!("status/{plural}/{namespace}/{name}.yaml"))
    }

    /// What the agent of a node stored of an object's status, if anything.
    pub fn agent_status<T: DeserializeOwned>(&self, node: &str, plural: &str, name: &str) -> Option<T> {
        self.read(&format!("status.{node}/{plural}/_/{name}.yaml"))
    }

    /// Every VirtualIP that the controller stored, without its status.
    pub fn virtual_ips(&self) -> anyhow::Result<Vec<VirtualIP>> {
        let dir = self.dir.join(".herald/objects/virtualips/_");
        let Ok(entries) = fs::read_dir(&dir) else { return Ok(Vec::new()) };
        let mut vips = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "yaml") {
                let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
                vips.push(serde_saphyr::from_str(&text).with_context(|| format!("read {}", path.display()))?);
            }
        }
        Ok(vips)
    }

    fn read<T: DeserializeOwned>(&self, path: &str) -> Option<T> {
        serde_saphyr::from_str(&fs::read_to_string(self.dir.join(".herald").join(path)).ok()?).ok()
    }
}

fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    // A name that is no manifest's, so that a reader never sees half of it.
    let temporary = path.with_extension("new");
    fs::write(&temporary, text).with_context(|| format!("write {}", temporary.display()))?;
    fs::rename(&temporary, path).with_context(|| format!("write {}", path.display()))
}
