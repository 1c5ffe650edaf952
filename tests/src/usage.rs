//! What a process costs: memory and processor time, by `/proc` (proc(5)).

use std::{fs, time::Duration};

use anyhow::Context as _;

/// A process.
#[derive(Debug, Clone, Copy)]
pub struct Usage(u32);

impl Usage {
    /// Of the process with this id.
    pub const fn of(pid: u32) -> Self {
        Self(pid)
    }

    /// Of this process.
    pub fn own() -> Self {
        Self(std::process::id())
    }

    /// Resident memory in KiB (`VmRSS`).
    pub fn resident_kib(self) -> anyhow::Result<u64> {
        self.memory_kib("VmRSS:")
    }

    /// The most resident memory that it had, in KiB (`VmHWM`).
    pub fn most_resident_kib(self) -> anyhow::Result<u64> {
        self.memory_kib("VmHWM:")
    }

    /// Processor time so far, its own and the kernel's for it (`stat`, fields 14 and 15); to a hundredth of a second.
    pub fn cpu(self) -> anyhow::Result<Duration> {
        let stat = self.read("stat")?;
        // The name may have blanks in it.
        let rest = stat.rsplit_once(") ").with_context(|| format!("no name in {stat}"))?.1;
        let ticks = rest.split(' ').skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
        // 100 a second on every machine that Linux runs on today (sysconf(3): _SC_CLK_TCK).
        Ok(Duration::from_millis(ticks * 10))
    }

    fn memory_kib(self, name: &str) -> anyhow::Result<u64> {
        let status = self.read("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
        line.trim().trim_end_matches(" kB").parse().with_context(|| format!("{name} {line}"))
    }

    fn read(self, file: &str) -> anyhow::Result<String> {
        let path = format!("/proc/{}/{file}", self.0);
        fs::read_to_string(&path).with_context(|| format!("read {path}"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn what_this_process_uses_is_seen() -> anyhow::Result<()> {
        let usage = Usage::own();
        let (before, began) = (usage.cpu()?, Instant::now());
        while usage.cpu()? < before + Duration::from_millis(30) {
            assert!(began.elapsed() < Duration::from_secs(20), "no processor time is counted");
        }
        assert!(usage.resident_kib()? > 100 && usage.most_resident_kib()? >= usage.resident_kib()? / 2);
        Ok(())
    }
}
