//! The volumes of a Pod as files of the machine, which its containers see where they say.
//!
//! A host path is the *node's*: nodes of a lab share one machine, so each has a folder of its own that stands for its
//! root, and a folder of its own on bpffs. What the kernel shows by namespace (`/proc`, `/sys`) is the kernel's.
//!
//! Must not: write a file in place. A reader sees the old token or the new one.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Component, Path, PathBuf},
};

use k8s_openapi::api::{
    authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
    core::v1::{
        ConfigMap, DownwardAPIVolumeFile, HostPathVolumeSource, KeyToPath, Pod, Secret, ServiceAccount,
        ServiceAccountTokenProjection, Volume,
    },
};
use kube::{Api, Client, api::PostParams};

use super::{
    Node, Unready,
    env::{Facts, MapKind, field},
};
use crate::init::Source;

/// What projected files can be read by, unless the volume says otherwise.
const MODE: i32 = 0o644;

/// The sources of a Pod's volumes by name.
pub(super) type Volumes = BTreeMap<String, Source>;

/// Makes what is not there yet, and writes what is made of objects anew.
pub(super) async fn prepare(client: &Client, node: &Node, pod: &Pod, facts: &Facts) -> Result<Volumes, Unready> {
    let spec = pod.spec.as_ref().ok_or_else(|| Unready("a Pod without a spec".to_owned()))?;
    let mut sources = Volumes::new();
    for volume in spec.volumes.iter().flatten() {
        let folder = node.pod_dir(pod).join("volumes").join(&volume.name);
        let maker = Maker { client, pod, facts, folder: &folder };
        let source =
            maker.make(node, volume).await.map_err(|error| Unready(format!("volume {}: {error}", volume.name)))?;
        sources.insert(volume.name.clone(), source);
    }
    Ok(sources)
}

/// Writes one volume.
struct Maker<'a> {
    client: &'a Client,
    pod: &'a Pod,
    facts: &'a Facts,
    folder: &'a Path,
}

impl Maker<'_> {
    async fn make(&self, node: &Node, volume: &Volume) -> Result<Source, Unready> {
        if let Some(path) = &volume.host_path {
            return host_path(node, path);
        }
        fs::create_dir_all(self.folder).map_err(|error| unready("create its folder", &error))?;
        if volume.empty_dir.is_some() {
            let open = fs::Permissions::from_mode(0o777);
            fs::set_permissions(self.folder, open).map_err(|error| unready("open it to everybody", &error))?;
        } else if let Some(map) = &volume.config_map {
            let mode = map.default_mode.unwrap_or(MODE);
            self.map(MapKind::ConfigMap, &map.name, map.items.as_deref(), map.optional, mode).await?;
        } else if let Some(secret) = &volume.secret {
            let (name, mode) = (secret.secret_name.as_deref().unwrap_or_default(), secret.default_mode.unwrap_or(MODE));
            self.map(MapKind::Secret, name, secret.items.as_deref(), secret.optional, mode).await?;
        } else if let Some(downward) = &volume.downward_api {
            self.downward(downward.items.as_deref(), downward.default_mode.unwrap_or(MODE))?;
        } else if let Some(projected) = &volume.projected {
            let mode = projected.default_mode.unwrap_or(MODE);
            for source in projected.sources.iter().flatten() {
                if let Some(token) = &source.service_account_token {
                    self.token(token, mode).await?;
                }
                if let Some(map) = &source.config_map {
                    self.map(MapKind::ConfigMap, &map.name, map.items.as_deref(), map.optional, mode).await?;
                }
                if let Some(secret) = &source.secret {
                    self.map(MapKind::Secret, &secret.name, secret.items.as_deref(), secret.optional, mode).await?;
                }
                if let Some(downward) = &source.downward_api {
                    self.downward(downward.items.as_deref(), mode)?;
                }
            }
        }
        Ok(Source::Bind(self.folder.to_owned()))
    }

    async fn map(
        &self,
        kind: MapKind,
        name: &str,
        items: Option<&[KeyToPath]>,
        optional: Option<bool>,
        mode: i32,
    ) -> Result<(), Unready> {
        let Some(data) = read(self.client, self.pod, kind, name, optional == Some(true)).await? else { return Ok(()) };
        let Some(items) = items else {
            return data.iter().try_for_each(|(key, value)| self.write(key, value, mode));
        };
        for item in items {
            match data.get(&item.key) {
                Some(value) => self.write(&item.path, value, item.mode.unwrap_or(mode))?,
                None if optional == Some(true) => {}
                None => return Err(Unready(format!("{kind:?} {name} has no key {}", item.key))),
            }
        }
        Ok(())
    }

    fn downward(&self, items: Option<&[DownwardAPIVolumeFile]>, mode: i32) -> Result<(), Unready> {
        for item in items.into_iter().flatten() {
            let Some(of) = &item.field_ref else {
                return Err(Unready(format!("the runner does not know what {} is from", item.path)));
            };
            self.write(&item.path, field(self.pod, of, self.facts)?.as_bytes(), item.mode.unwrap_or(mode))?;
        }
        Ok(())
    }

    async fn token(&self, source: &ServiceAccountTokenProjection, mode: i32) -> Result<(), Unready> {
        let meta = &self.pod.metadata;
        let account = self.pod.spec.as_ref().and_then(|spec| spec.service_account_name.clone()).unwrap_or_default();
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: source.audience.iter().cloned().collect(),
                expiration_seconds: source.expiration_seconds,
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: meta.name.clone(),
                    uid: meta.uid.clone(),
                }),
            },
            ..TokenRequest::default()
        };
        let accounts: Api<ServiceAccount> =
            Api::namespaced(self.client.clone(), meta.namespace.as_deref().unwrap_or_default());
        let made = accounts.create_token_request(&account, &PostParams::default(), &request).await;
        let made = made.map_err(|error| unready(&format!("a token of {account}"), &error))?;
        let token = made.status.map(|status| status.token).unwrap_or_default();
        self.write(&source.path, token.as_bytes(), mode)
    }

    /// Beside its place, then moved there.
    fn write(&self, path: &str, content: &[u8], mode: i32) -> Result<(), Unready> {
        let file = below(self.folder, Path::new(path));
        let new = file.with_extension("new~");
        let written = || -> std::io::Result<()> {
            fs::create_dir_all(file.parent().unwrap_or(self.folder))?;
            fs::write(&new, content)?;
            fs::set_permissions(&new, fs::Permissions::from_mode(u32::try_from(mode).unwrap_or(0o644)))?;
            fs::rename(&new, &file)
        };
        written().map_err(|error| unready(&format!("write {path}"), &error))
    }
}

/// The content of a ConfigMap or Secret; `None` when it is missing and may be.
pub(super) async fn read(
    client: &Client,
    pod: &Pod,
    kind: MapKind,
    name: &str,
    optional: bool,
) -> Result<Option<BTreeMap<String, Vec<u8>>>, Unready> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let found = match kind {
        MapKind::ConfigMap => {
            let found = Api::<ConfigMap>::namespaced(client.clone(), namespace).get_opt(name).await;
            found.map(|found| {
                found.map(|map| {
                    let text = map.data.into_iter().flatten().map(|(key, value)| (key, value.into_bytes()));
                    text.chain(map.binary_data.into_iter().flatten().map(|(key, value)| (key, value.0))).collect()
                })
            })
        }
        MapKind::Secret => {
            let found = Api::<Secret>::namespaced(client.clone(), namespace).get_opt(name).await;
            found.map(|found| {
                found.map(|secret| secret.data.into_iter().flatten().map(|(key, value)| (key, value.0)).collect())
            })
        }
    };
    match found {
        Ok(None) if !optional => Err(Unready(format!("{kind:?} {name} not found"))),
        Ok(found) => Ok(found),
        Err(error) => Err(unready(&format!("{kind:?} {name}"), &error)),
    }
}

/// Where a path of a node is on this machine.
fn host_path(node: &Node, volume: &HostPathVolumeSource) -> Result<Source, Unready> {
    let path = Path::new(&volume.path);
    let place = place(node, path);
    let Source::Bind(at) = &place else { return Ok(place) };
    let make = |made: std::io::Result<()>| made.map_err(|error| unready(&format!("create {}", path.display()), &error));
    match volume.type_.as_deref().unwrap_or_default() {
        // Without a type nothing is checked, and runtimes make a folder where nothing is.
        "" | "DirectoryOrCreate" if !at.exists() => make(fs::create_dir_all(at))?,
        "FileOrCreate" if !at.exists() => {
            make(fs::create_dir_all(at.parent().unwrap_or(at)))?;
            make(fs::File::create(at).map(drop))?;
        }
        "Directory" if !at.is_dir() => return Err(Unready(format!("hostPath {} is no directory", path.display()))),
        "File" if !at.is_file() => return Err(Unready(format!("hostPath {} is no file", path.display()))),
        _ => {}
    }
    Ok(place)
}

fn place(node: &Node, path: &Path) -> Source {
    if let Ok(rest) = path.strip_prefix("/sys/fs/bpf") {
        return Source::Bind(below(&node.bpffs, rest));
    }
    if let Ok(rest) = path.strip_prefix("/sys") {
        return Source::Sysfs(below(Path::new(""), rest));
    }
    if path.starts_with("/proc") {
        return Source::Bind(below(Path::new("/"), path));
    }
    Source::Bind(below(&node.host_dir(), path))
}

/// `..` leads nowhere.
fn below(folder: &Path, path: &Path) -> PathBuf {
    folder.join(path.components().filter(|part| matches!(part, Component::Normal(_))).collect::<PathBuf>())
}

fn unready(what: &str, error: &dyn std::error::Error) -> Unready {
    Unready(format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_path_is_the_nodes_own_but_what_the_kernel_shows() {
        let node = Node::for_tests();
        let bind = |path: &str| Source::Bind(PathBuf::from(path));
        assert_eq!(place(&node, Path::new("/run/herald")), bind("/lab/nodes/node-1/host/run/herald"));
        assert_eq!(place(&node, Path::new("/run/../../x")), bind("/lab/nodes/node-1/host/run/x"));
        assert_eq!(place(&node, Path::new("/sys/fs/bpf/herald")), bind("/bpf/node-1/herald"));
        assert_eq!(place(&node, Path::new("/sys/class/net")), Source::Sysfs("class/net".into()));
        assert_eq!(place(&node, Path::new("/proc/sys/net")), bind("/proc/sys/net"));
    }
}
