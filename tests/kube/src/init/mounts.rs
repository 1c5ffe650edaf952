//! The root file system of a container: an empty one in memory, the image's files, `/proc`, `/sys`, `/dev`, and the
//! Pod's volumes; then the machine's own is let go of.
//!
//! Must not: leave a way back. After [`enter_root`] nothing of the machine is reachable but what was mounted.
//!
//! What is read-only and what is hidden of `/proc` and `/sys` is what container runtimes do by default: a container
//! that is not privileged cannot write `/proc/sys`, whatever its capabilities are.

use std::{
    fs::{self, File},
    os::unix::fs::symlink,
    path::{Component, Path, PathBuf},
};

use anyhow::Context as _;
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    unistd::pivot_root,
};

use super::{Mount, Source, Spec};

/// The machine's programs and libraries, for images that are no static program.
const LIBRARIES: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives"];
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Folders that every image has.
const FOLDERS: [&str; 9] = ["dev", "etc", "proc", "run", "sys", "tmp", "var", "var/run", "var/tmp"];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
const HIDDEN: [&str; 9] = [
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
/// Where the machine's root is while it is being let go of.
const OLD: &str = ".machine";

/// Builds the root file system and enters it.
pub(super) fn enter_root(spec: &Spec) -> anyhow::Result<()> {
    // What is mounted from here on is nobody else's business.
    mount_at(None, Path::new("/"), None, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None)?;
    let root = spec.root.as_path();
    mount_at(Some("tmpfs"), root, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some("mode=755"))?;
    for folder in FOLDERS {
        fs::create_dir_all(root.join(folder)).with_context(|| format!("create /{folder}"))?;
    }
    for folder in ["tmp", "var/tmp"] {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(root.join(folder), fs::Permissions::from_mode(0o1777)).context("open /tmp to everybody")?;
    }
    names(spec).context("write /etc")?;
    if spec.libraries {
        libraries(root)?;
    }
    let plain = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount_at(Some("proc"), &root.join("proc"), Some("proc"), plain, None)?;
    // In two steps: the flag of a first mount would stick to the file system, which others of the namespace share.
    mount_at(Some("sysfs"), &root.join("sys"), Some("sysfs"), plain, None)?;
    read_only(&root.join("sys"))?;
    devices(&root.join("dev"))?;
    for path in READ_ONLY {
        read_only_if_there(&inside(root, Path::new(path)))?;
    }
    for path in HIDDEN {
        hide(&inside(root, Path::new(path)))?;
    }
    // A mount below another one comes after it.
    let mut mounts: Vec<_> = spec.mounts.iter().collect();
    mounts.sort_by_key(|mount| mount.at.components().count());
    for mount in mounts {
        one(root, mount).with_context(|| format!("mount {}", mount.at.display()))?;
    }
    let old = root.join(OLD);
    fs::create_dir(&old).context("create the place of the old root")?;
    pivot_root(root, &old).context("change the root")?;
    std::env::set_current_dir("/").context("enter the new root")?;
    let old = Path::new("/").join(OLD);
    umount2(&old, MntFlags::MNT_DETACH).context("let go of the old root")?;
    fs::remove_dir(&old).context("remove the place of the old root")?;
    if spec.read_only_root { read_only(Path::new("/")) } else { Ok(()) }
}

/// What kubelet and the image's base layer write.
fn names(spec: &Spec) -> std::io::Result<()> {
    let etc = spec.root.join("etc");
    fs::write(etc.join("hostname"), format!("{}\n", spec.hostname))?;
    fs::write(etc.join("hosts"), "127.0.0.1 localhost\n::1 localhost\n")?;
    fs::write(etc.join("passwd"), "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")?;
    fs::write(etc.join("group"), "root:x:0:\nnogroup:x:65534:\n")
}

/// Where the machine has a link, the container gets the link.
fn libraries(root: &Path) -> anyhow::Result<()> {
    for path in LIBRARIES.map(Path::new) {
        let at = inside(root, path);
        match fs::symlink_metadata(path) {
            Ok(found) if found.is_symlink() => symlink(fs::read_link(path)?, &at).context("link")?,
            Ok(_) => bind(path, &at, true).with_context(|| format!("mount {}", path.display()))?,
            // Not every machine has each.
            Err(_) => {}
        }
    }
    Ok(())
}

fn devices(dev: &Path) -> anyhow::Result<()> {
    mount_at(Some("tmpfs"), dev, Some("tmpfs"), MsFlags::MS_NOSUID, Some("mode=755"))?;
    for name in DEVICES {
        bind(&Path::new("/dev").join(name), &dev.join(name), false).with_context(|| format!("mount /dev/{name}"))?;
    }
    for (link, to) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        symlink(to, dev.join(link)).with_context(|| format!("link /dev/{link}"))?;
    }
    let shm = dev.join("shm");
    fs::create_dir(&shm).context("create /dev/shm")?;
    mount_at(Some("tmpfs"), &shm, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some("mode=1777"))
}

fn one(root: &Path, mount: &Mount) -> anyhow::Result<()> {
    let at = inside(root, &mount.at);
    match &mount.source {
        Source::Bind(source) => bind(source, &at, mount.read_only),
        Source::Sysfs(below) => {
            // Mounted whole beside the root, then the part of it that is wanted.
            let whole = root.join("run/.sysfs");
            fs::create_dir_all(&whole).context("create a place for sysfs")?;
            mount_at(Some("sysfs"), &whole, Some("sysfs"), MsFlags::MS_NOSUID, None)?;
            bind(&whole.join(below), &at, mount.read_only)?;
            umount2(&whole, MntFlags::MNT_DETACH).context("let go of the whole sysfs")?;
            fs::remove_dir(&whole).context("remove the place of sysfs")
        }
    }
}

/// Mounts a file or folder, with all that is mounted below it, at a place that is made if need be.
fn bind(source: &Path, at: &Path, is_read_only: bool) -> anyhow::Result<()> {
    let found = fs::metadata(source).with_context(|| format!("look at {}", source.display()))?;
    if found.is_dir() {
        fs::create_dir_all(at).with_context(|| format!("create {}", at.display()))?;
    } else if !at.exists() {
        fs::create_dir_all(at.parent().unwrap_or(at)).with_context(|| format!("create the folder of {at:?}"))?;
        File::create(at).with_context(|| format!("create {}", at.display()))?;
    }
    mount_at(Some(&source.to_string_lossy()), at, None, MsFlags::MS_BIND | MsFlags::MS_REC, None)?;
    if is_read_only { read_only(at) } else { Ok(()) }
}

/// The kernel takes the flag only from a second call.
fn read_only(at: &Path) -> anyhow::Result<()> {
    mount_at(None, at, None, MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY, None)
}

fn read_only_if_there(at: &Path) -> anyhow::Result<()> {
    if !at.exists() {
        return Ok(());
    }
    mount_at(Some(&at.to_string_lossy()), at, None, MsFlags::MS_BIND | MsFlags::MS_REC, None)?;
    read_only(at)
}

/// A file reads as empty, a folder has nothing in it.
fn hide(at: &Path) -> anyhow::Result<()> {
    match fs::metadata(at) {
        Ok(found) if found.is_dir() => mount_at(Some("tmpfs"), at, Some("tmpfs"), MsFlags::MS_RDONLY, None),
        Ok(_) => mount_at(Some("/dev/null"), at, None, MsFlags::MS_BIND, None),
        Err(_) => Ok(()),
    }
}

/// A path of the container as the machine sees it; `..` leads nowhere.
fn inside(root: &Path, path: &Path) -> PathBuf {
    let parts = path.components().filter(|part| matches!(part, Component::Normal(_)));
    root.join(parts.collect::<PathBuf>())
}

fn mount_at(
    source: Option<&str>,
    at: &Path,
    kind: Option<&str>,
    flags: MsFlags,
    options: Option<&str>,
) -> anyhow::Result<()> {
    mount(source, at, kind, flags, options).with_context(|| format!("mount {} ({flags:?})", at.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_a_container_stays_in_it() {
        let root = Path::new("/lab/root");
        assert_eq!(inside(root, Path::new("/etc/../../../sys")), Path::new("/lab/root/etc/sys"));
    }
}
