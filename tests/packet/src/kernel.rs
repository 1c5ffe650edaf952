//! The loaded program: its maps filled like `host::Maps`, run on one frame by `BPF_PROG_TEST_RUN`.

use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap, PerCpuArray, PerCpuValues, RingBuf},
    programs::{SchedClassifier, TestRun, TestRunOptions, Xdp},
};
use lb_common::{
    abi::{BfdSession, BfdWord, Entry, Key4, Key6, Segment, StationKey, VlanKey, name},
    event::{Budget, Event, Kind},
    host::Maps,
    lease::{LATCH, Latch, Renewal, SUPPRESS_UNTIL, TICK_NANOS, verdict},
    outcome,
};

/// The interface that a test run pretends to come from: the loopback of the current namespace.
pub const TEST_IFINDEX: u32 = 1;

/// Longest frame a test run hands back here.
const OUTPUT: usize = 4096;

/// The object, loaded and not attached.
pub struct Kernel {
    /// The object, for those who attach.
    pub ebpf: Ebpf,
}

/// What a test run gave back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The XDP or tc action.
    pub action: u32,
    /// The frame afterwards.
    pub bytes: Vec<u8>,
}

impl Kernel {
    /// Loads every program of `object`: the verifier's judgement.
    pub fn load(object: &Path) -> Result<Self> {
        let bytes = std::fs::read(object).with_context(|| format!("reading {}", object.display()))?;
        let mut loader = EbpfLoader::new();
        // As the agent loads it: silent.
        loader.override_global(aya_log::LEVEL, &0_u8, true);
        let tick = tick_nanos()?;
        loader.override_global(TICK_NANOS, &tick, true);
        let mut ebpf = loader.load(&bytes).context("loading the object")?;
        for program in [name::RESPONDER, name::RENEW] {
            xdp(&mut ebpf, program)?.load().with_context(|| format!("the verifier refuses {program}"))?;
        }
        classifier(&mut ebpf)?.load().with_context(|| format!("the verifier refuses {}", name::CLASSIFIER))?;
        Ok(Self { ebpf })
    }

    /// Puts the tables in place for frames that come in by `ifindex`. Entries of an earlier call stay.
    pub fn fill(&mut self, ifindex: u32, maps: &Maps) -> Result<()> {
        let mut untagged: Array<_, Segment> = Array::try_from(self.map(name::SEGMENTS)?)?;
        if let Some(segment) = maps.segments.get(&(0, 0)) {
            untagged.set(ifindex, segment, 0)?;
        }
        let mut tagged: HashMap<_, VlanKey, Segment> = HashMap::try_from(self.map(name::VLAN_SEGMENTS)?)?;
        for (&(outer, inner), segment) in maps.segments.iter().filter(|(vlans, _)| **vlans != (0, 0)) {
            tagged.insert(VlanKey { ifindex, outer, inner }, segment, 0)?;
        }
        let mut filter: Array<_, u64> = Array::try_from(self.map(name::FILTER)?)?;
        for (&index, word) in &maps.filter {
            filter.set(index, word, 0)?;
        }
        let mut reflector: Array<_, u64> = Array::try_from(self.map(name::REFLECTOR)?)?;
        reflector.set(0, maps.reflector.0, 0)?;
        let mut stations: HashMap<_, StationKey, u32> = HashMap::try_from(self.map(name::NODE_MACS)?)?;
        for (key, station) in &maps.stations {
            stations.insert(key, *station as u32, 0)?;
        }
        self.fill_bfd(maps)?;
        let mut yielded: Array<_, u64> = Array::try_from(self.map(name::YIELDED)?)?;
        for (&slot, generation) in &*maps.yielded.borrow() {
            yielded.set(slot, generation, 0)?;
        }
        let mut vips4: HashMap<_, Key4, Entry> = HashMap::try_from(self.map(name::VIPS_V4)?)?;
        for (&(segment, address), entry) in &maps.vips4 {
            vips4.insert(Key4 { segment, address }, entry, 0)?;
        }
        let mut vips6: HashMap<_, Key6, Entry> = HashMap::try_from(self.map(name::VIPS_V6)?)?;
        for (&(segment, address), entry) in &maps.vips6 {
            vips6.insert(Key6 { segment, address }, entry, 0)?;
        }
        Ok(())
    }

    /// Puts the BFD sessions and their moments in place.
    pub fn fill_bfd(&mut self, maps: &Maps) -> Result<()> {
        let mut sessions: HashMap<_, [u8; 4], BfdSession> = HashMap::try_from(self.map(name::BFD_SESSIONS)?)?;
        for (key, session) in &maps.bfd {
            sessions.insert(key, session, 0)?;
        }
        let mut moments: Array<_, u64> = Array::try_from(self.map(name::BFD_MOMENTS)?)?;
        for session in maps.bfd.values() {
            for word in [BfdWord::Until, BfdWord::Heard, BfdWord::Answered] {
                let index = word.index(session.slot);
                moments.set(index, maps.bfd_moments.borrow().get(&index).copied().unwrap_or_default(), 0)?;
            }
        }
        Ok(())
    }

    /// Whether the program knows a BFD session.
    pub fn has_bfd(&mut self, discriminator: u32) -> Result<bool> {
        let sessions: HashMap<_, [u8; 4], BfdSession> = HashMap::try_from(self.map(name::BFD_SESSIONS)?)?;
        match sessions.get(&discriminator.to_be_bytes(), 0) {
            Ok(_) => Ok(true),
            Err(aya::maps::MapError::KeyNotFound) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// A moment of the BFD session in a slot, in nanoseconds.
    pub fn bfd_moment(&mut self, slot: u32, word: BfdWord) -> Result<u64> {
        let moments: Array<_, u64> = Array::try_from(self.map(name::BFD_MOMENTS)?)?;
        Ok(moments.get(&word.index(slot), 0)?)
    }

    /// Puts back what the program wrote: the yields of the slots under `slots`, BFD sessions, the budgets, the events.
    pub fn restore(&mut self, maps: &Maps, slots: u32) -> Result<()> {
        self.fill_bfd(maps)?;
        let mut yielded: Array<_, u64> = Array::try_from(self.map(name::YIELDED)?)?;
        for slot in 0..slots {
            yielded.set(slot, maps.yielded.borrow().get(&slot).copied().unwrap_or_default(), 0)?;
        }
        let cpus = aya::util::nr_cpus().map_err(|(what, error)| anyhow!("{what}: {error}"))?;
        let mut budgets: PerCpuArray<_, Budget> = PerCpuArray::try_from(self.map(name::BUDGETS)?)?;
        for kind in Kind::ALL {
            budgets.set(kind as u32, PerCpuValues::try_from(vec![Budget::default(); cpus])?, 0)?;
        }
        self.events().map(drop)
    }

    /// The events since the last call.
    pub fn events(&mut self) -> Result<Vec<Event>> {
        let mut ring = RingBuf::try_from(self.map(name::EVENTS)?)?;
        let mut events = Vec::new();
        while let Some(item) = ring.next() {
            ensure!(item.len() == size_of::<Event>(), "an event of {} bytes", item.len());
            // SAFETY: as many bytes as an `Event` has, and any bytes are one: `repr(C)`, integers only.
            events.push(unsafe { item.as_ptr().cast::<Event>().read_unaligned() });
        }
        Ok(events)
    }

    /// Events of a kind that were not sent, over all CPUs.
    pub fn lost(&mut self, kind: Kind) -> Result<u64> {
        let budgets: PerCpuArray<_, Budget> = PerCpuArray::try_from(self.map(name::BUDGETS)?)?;
        Ok(budgets.get(&(kind as u32), 0)?.iter().map(|budget| budget.lost).sum())
    }

    /// When a peer last said on a segment that it hears this node.
    pub fn heard(&mut self, segment: u32) -> Result<Option<u64>> {
        let heard: HashMap<_, u32, u64> = HashMap::try_from(self.map(name::HEARD)?)?;
        match heard.get(&segment, 0) {
            Ok(at) => Ok(Some(at)),
            Err(aya::maps::MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The latch as it stands in the map.
    pub fn latch(&mut self) -> Result<Latch> {
        let words: Array<_, u64> = Array::try_from(self.map(name::LEASE)?)?;
        Ok(Latch(words.get(&LATCH, 0)?))
    }

    /// Until when suppress entries count.
    pub fn suppress_until(&mut self) -> Result<u64> {
        let words: Array<_, u64> = Array::try_from(self.map(name::LEASE)?)?;
        Ok(words.get(&SUPPRESS_UNTIL, 0)?)
    }

    /// Runs the renewal program; one of [`verdict`].
    pub fn renew(&mut self, renewal: &Renewal) -> Result<u32> {
        let mut frame = Vec::with_capacity(size_of::<Renewal>());
        for word in [renewal.expected, renewal.wanted, renewal.suppress_until] {
            frame.extend_from_slice(&word.to_ne_bytes());
        }
        self.renew_with(&frame)
    }

    /// Runs the renewal program on any frame of at least 14 bytes.
    pub fn renew_with(&mut self, frame: &[u8]) -> Result<u32> {
        let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::default() };
        let result = xdp(&mut self.ebpf, name::RENEW)?.test_run(options).context("running the renewal")?;
        Ok(result.return_value)
    }

    /// Takes the lease in `epoch` for an hour, whatever stood there.
    pub fn take_lease(&mut self, epoch: u16) -> Result<()> {
        let hour_hence = monotonic_millis()? + 3_600_000;
        let expected = self.latch()?.0;
        let wanted = Latch::new(epoch, hour_hence).0;
        let taken = self.renew(&Renewal { expected, wanted, suppress_until: hour_hence })?;
        ensure!(taken == verdict::RENEWED, "the lease was not taken: {taken}");
        Ok(())
    }

    /// Runs the responder on one frame of at least 14 bytes.
    pub fn run(&mut self, frame: &[u8]) -> Result<Run> {
        let mut output = vec![0; OUTPUT];
        let options = TestRunOptions { data_in: Some(frame), data_out: Some(&mut output), ..TestRunOptions::default() };
        let result = xdp(&mut self.ebpf, name::RESPONDER)?.test_run(options).context("running the responder")?;
        output.truncate(result.data_size_out as usize);
        Ok(Run { action: result.return_value, bytes: output })
    }

    /// Runs the responder of tc on one frame of at least 14 bytes, which keeps its tags.
    pub fn run_tc(&mut self, frame: &[u8]) -> Result<Run> {
        let mut output = vec![0; OUTPUT];
        let options = TestRunOptions { data_in: Some(frame), data_out: Some(&mut output), ..TestRunOptions::default() };
        let result = classifier(&mut self.ebpf)?.test_run(options).context("running the responder of tc")?;
        output.truncate(result.data_size_out as usize);
        Ok(Run { action: result.return_value, bytes: output })
    }

    /// Runs the responder `times` times on a frame that it leaves as it is: at once, on one CPU.
    pub fn flood(&mut self, frame: &[u8], times: u32) -> Result<()> {
        let options = TestRunOptions { data_in: Some(frame), repeat: times, ..TestRunOptions::default() };
        xdp(&mut self.ebpf, name::RESPONDER)?.test_run(options).context("running the responder")?;
        Ok(())
    }

    /// The counters, summed over the CPUs.
    pub fn counters(&mut self) -> Result<Vec<u64>> {
        let counters: PerCpuArray<_, u64> = PerCpuArray::try_from(self.map(name::OUTCOMES)?)?;
        (0..outcome::COUNTERS).map(|index| Ok(counters.get(&index, 0)?.iter().sum())).collect()
    }

    fn map(&mut self, name: &str) -> Result<&mut aya::maps::Map> {
        self.ebpf.map_mut(name).with_context(|| format!("the object has no map {name}"))
    }
}

/// The program `name` of `ebpf` as XDP.
pub fn xdp<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    let program = ebpf.program_mut(name).with_context(|| format!("the object has no program {name}"))?;
    Ok(program.try_into()?)
}

/// The responder of tc.
pub fn classifier(ebpf: &mut Ebpf) -> Result<&mut SchedClassifier> {
    let name = name::CLASSIFIER;
    let program = ebpf.program_mut(name).with_context(|| format!("the object has no program {name}"))?;
    Ok(program.try_into()?)
}

/// The length of a kernel tick: the resolution of the coarse clock.
fn tick_nanos() -> Result<u64> {
    let tick = nix::time::clock_getres(nix::time::ClockId::CLOCK_MONOTONIC_COARSE)?;
    Ok(u64::try_from(tick.tv_nsec())?)
}

/// The clock that the lease goes by.
pub fn monotonic_millis() -> Result<u64> {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)?;
    Ok(u64::try_from(now.tv_sec())? * 1000 + u64::try_from(now.tv_nsec())? / 1_000_000)
}
