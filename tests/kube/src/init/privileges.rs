//! What a container may do: capabilities, user, groups.
//!
//! Invariant: after [`give_up`] the process has no capability beyond the named ones, in no set, and can get none back.
//! Spec: capabilities(7); who may have which by default: what container runtimes give.

use std::io;

use anyhow::{Context as _, ensure};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use serde::{Deserialize, Serialize};

use super::Spec;

/// In the order of their numbers (`linux/capability.h`).
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What a container has without a word about it.
const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// A set of capabilities, one bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Capabilities(u64);

/// A name that no capability has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no capability {0}")]
pub(crate) struct UnknownCapability(String);

impl Capabilities {
    /// What a security context makes of the default: `ALL` first, then the names; what is dropped by name is gone
    /// even when it was added.
    pub(crate) fn of(add: &[String], drop: &[String]) -> Result<Self, UnknownCapability> {
        let is_all = |names: &[String]| names.iter().any(|name| name == "ALL");
        let named = |names: &[String]| {
            names.iter().filter(|name| *name != "ALL").map(|name| bit(name)).collect::<Result<Vec<_>, _>>()
        };
        let mut set = DEFAULT.iter().filter_map(|name| bit(name).ok()).fold(0, |set, bit| set | bit);
        if is_all(add) {
            set = (1 << NAMES.len()) - 1;
        }
        if is_all(drop) {
            set = 0;
        }
        let (add, drop) = (named(add)?, named(drop)?);
        set = add.into_iter().fold(set, |set, bit| set | bit);
        set = drop.into_iter().fold(set, |set, bit| set & !bit);
        Ok(Self(set))
    }

    const fn has(self, number: usize) -> bool {
        self.0 & (1 << number) != 0
    }
}

/// With or without `CAP_` in front.
fn bit(name: &str) -> Result<u64, UnknownCapability> {
    let bare = name.strip_prefix("CAP_").unwrap_or(name);
    let number = NAMES.iter().position(|known| *known == bare);
    number.map(|number| 1 << number).ok_or_else(|| UnknownCapability(name.to_owned()))
}

/// Gives up everything that the container may not have.
pub(super) fn give_up(spec: &Spec) -> anyhow::Result<()> {
    let ours = effective()?;
    let missing: Vec<_> =
        NAMES.iter().enumerate().filter(|(n, _)| spec.capabilities.has(*n) && ours & (1 << n) == 0).collect();
    ensure!(missing.is_empty(), "this machine's root has not all of these capabilities itself: {missing:?}");
    for number in (0..NAMES.len()).filter(|number| !spec.capabilities.has(*number)) {
        // SAFETY: the arguments of this prctl are plain numbers.
        let dropped = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) };
        ensure!(dropped == 0, "drop {:?}: {}", NAMES.get(number), io::Error::last_os_error());
    }
    let groups: Vec<_> = spec.groups.iter().copied().map(Gid::from_raw).collect();
    setgroups(&groups).context("set the groups")?;
    let (user, group) = (Uid::from_raw(spec.user), Gid::from_raw(spec.group));
    setresgid(group, group, group).context("set the group")?;
    setresuid(user, user, user).context("set the user")?;
    // Who is not root has none: an exec would keep only ambient ones, and Kubernetes gives none of these.
    set(if user.is_root() { spec.capabilities.0 } else { 0 })?;
    if spec.no_new_privileges {
        nix::sys::prctl::set_no_new_privs().context("forbid new privileges")?;
    }
    Ok(())
}

/// `struct __user_cap_header_struct`
#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

/// `struct __user_cap_data_struct`
#[repr(C)]
#[derive(Clone, Copy)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// `_LINUX_CAPABILITY_VERSION_3`: sets of 64 bits, as two halves.
const VERSION_3: u32 = 0x2008_0522;

fn set(bits: u64) -> anyhow::Result<()> {
    let header = Header { version: VERSION_3, pid: 0 };
    let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).expect("it is masked to 32 bits");
    let data = [half(bits), half(bits >> 32)].map(|half| Data { effective: half, permitted: half, inheritable: 0 });
    // SAFETY: both structures are as capset(2) has them, and live until it returns.
    let done = unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) };
    ensure!(done == 0, "set the capabilities: {}", io::Error::last_os_error());
    Ok(())
}

/// What this process may do now (proc(5), `CapEff`).
fn effective() -> anyhow::Result<u64> {
    // The container's own /proc shows its own processes only, and this is one.
    let status = std::fs::read_to_string("/proc/self/status").context("read /proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).context("it has no CapEff")?;
    u64::from_str_radix(line.trim(), 16).context("CapEff is no number")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(add: &[&str], drop: &[&str]) -> Result<u64, UnknownCapability> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        Capabilities::of(&owned(add), &owned(drop)).map(|set| set.0)
    }

    #[test]
    fn drop_all_leaves_only_what_is_added() {
        // linux/capability.h: CAP_NET_ADMIN 12, CAP_BPF 39.
        assert_eq!(of(&["NET_ADMIN", "CAP_BPF"], &["ALL"]), Ok(1 << 12 | 1 << 39));
    }

    #[test]
    fn without_a_word_a_container_has_what_runtimes_give() {
        // CapEff of a root container without a security context, as runc shows it.
        assert_eq!(of(&[], &[]), Ok(0xa804_25fb));
    }

    #[test]
    fn an_unknown_name_is_an_error_with_the_name() {
        assert_eq!(
            of(&["NET_ADMINN"], &[]).expect_err("no such name").to_string(),
            "there is no capability NET_ADMINN"
        );
    }
}
