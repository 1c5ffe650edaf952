//! Every map: who writes it, who reads it, its size, and what happens when it is full.

use aya_ebpf::{
    Global,
    bindings::BPF_F_NO_PREALLOC,
    helpers::generated::{bpf_jiffies64, bpf_ktime_get_coarse_ns},
    macros::map,
    maps::{Array, HashMap, PerCpuArray, RingBuf},
    programs::XdpContext,
};
use lb_common::{
    abi::{self, BfdSession, BfdWord, Entry, Key4, Key6, Reflector, Segment, SegmentId, StationKey, VlanKey},
    eth::Vlans,
    event::{Budget, Event, Kind},
    lease::{self, Latch, Millis, Nanos},
    outcome::{self, Outcome, Pass},
    tables::Tables,
};

use crate::lease::compare_and_set;

/// Untagged segments by interface index. Written by the agent.
#[map]
static SEGMENTS: Array<Segment> = Array::with_max_entries(abi::IFINDEX_ARRAY, 0);

/// Tagged segments, and interfaces with a large index. Written by the agent; full: the agent reports the interface.
#[map]
static VLAN_SEGMENTS: HashMap<VlanKey, Segment> = HashMap::with_max_entries(abi::MAX_VLAN_SEGMENTS, BPF_F_NO_PREALLOC);

/// IPv4 addresses. Written by the agent; full: the agent reports the address.
#[map]
static VIPS_V4: HashMap<Key4, Entry> = HashMap::with_max_entries(abi::MAX_ENTRIES, BPF_F_NO_PREALLOC);

/// IPv6 addresses. As above.
#[map]
static VIPS_V6: HashMap<Key6, Entry> = HashMap::with_max_entries(abi::MAX_ENTRIES, BPF_F_NO_PREALLOC);

/// The sender filter. Written by the agent, before the entry it hints at.
#[map]
static FILTER: Array<u64> = Array::with_max_entries(abi::FILTER_WORDS, 0);

/// The latch, the suppress limit, the clock's offset. Written here only: by a trip, and by the renewal.
#[map]
static LEASE: Array<u64> = Array::with_max_entries(lease::WORDS, 0);

/// What the S-BFD reflector says. Written by the agent, as one word.
#[map]
static REFLECTOR: Array<u64> = Array::with_max_entries(1, 0);

/// Hardware addresses of nodes. Written by the agent; full: the agent reports it, and a claim by that node is a stranger's.
#[map]
static NODE_MACS: HashMap<StationKey, u32> = HashMap::with_max_entries(abi::MAX_STATIONS, BPF_F_NO_PREALLOC);

/// By slot, the highest generation that gave way to a claim. Written here; the agent only reads.
#[map]
static YIELDED: Array<u64> = Array::with_max_entries(abi::SLOTS, 0);

/// When a peer last said that it hears this node on a segment. Written here; full: the segment's self-test does not pass.
#[map]
static HEARD: HashMap<SegmentId, u64> = HashMap::with_max_entries(abi::MAX_HEARD, BPF_F_NO_PREALLOC);

/// BFD sessions with routers, by our discriminator. Written by the agent; removed here too, when a router is not Up any more
/// and the agent is away. Full: the agent reports the session, and does not promise to outlast itself.
#[map]
static BFD_SESSIONS: HashMap<[u8; 4], BfdSession> = HashMap::with_max_entries(abi::MAX_BFD, BPF_F_NO_PREALLOC);

/// Moments of BFD sessions, by [`BfdWord::index`]. Each word has one writer.
#[map]
static BFD_MOMENTS: Array<u64> = Array::with_max_entries(abi::BFD_WORDS, 0);

/// What the agent is told. Written here; full: counted as lost in [`BUDGETS`].
#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(abi::EVENT_BYTES, 0);

/// What each CPU spent on each kind of event, and what was lost. Written here.
#[map]
#[expect(clippy::cast_possible_truncation, reason = "a handful of kinds")]
static BUDGETS: PerCpuArray<Budget> = PerCpuArray::with_max_entries(Kind::ALL.len() as u32, 0);

/// One counter for each way out. Written here, summed over the CPUs by the agent.
#[map]
static OUTCOMES: PerCpuArray<u64> = PerCpuArray::with_max_entries(outcome::COUNTERS, 0);

/// How often a note of a yield is tried when other CPUs note one in the same slot in between.
const NOTE_ATTEMPTS: u32 = 4;

/// The maps as seen from the interface that a frame came in by.
pub(crate) struct Maps {
    ifindex: u32,
}

impl Maps {
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the kernel's index has 32 bits; aya widens it")]
    pub(crate) fn of(ctx: &XdpContext) -> Self {
        Self { ifindex: ctx.ingress_ifindex() as u32 }
    }

    #[inline(always)]
    pub(crate) fn at(ifindex: u32) -> Self {
        Self { ifindex }
    }
}

impl Tables for Maps {
    #[inline(always)]
    fn segment(&self, vlans: Vlans) -> Option<Segment> {
        let untagged = vlans.outer == 0 && vlans.inner == 0;
        let segment = if untagged && self.ifindex < abi::IFINDEX_ARRAY {
            *SEGMENTS.get(self.ifindex)?
        } else {
            let key = VlanKey { ifindex: self.ifindex, outer: vlans.outer, inner: vlans.inner };
            // SAFETY: the value is copied at once; a concurrent update can at worst mix two segments of one
            // interface for one frame.
            unsafe { *VLAN_SEGMENTS.get(key)? }
        };
        (segment.id != 0).then_some(segment)
    }

    #[inline(always)]
    fn filter_word(&self, index: u32) -> u64 {
        FILTER.get(index).copied().unwrap_or_default()
    }

    #[inline(always)]
    fn entry4(&self, key: &Key4) -> Option<Entry> {
        // SAFETY: the value is copied at once; the agent replaces entries whole, by a new element.
        unsafe { VIPS_V4.get(key).copied() }
    }

    #[inline(always)]
    fn entry6(&self, key: &Key6) -> Option<Entry> {
        // SAFETY: as above.
        unsafe { VIPS_V6.get(key).copied() }
    }

    #[inline(always)]
    fn station(&self, key: &StationKey) -> Option<u32> {
        // SAFETY: the value is copied at once; the agent replaces it whole.
        unsafe { NODE_MACS.get(key).copied() }
    }

    #[inline(always)]
    fn yielded(&self, slot: u32) -> u64 {
        YIELDED.get_ptr_mut(slot).map_or(u64::MAX, read)
    }

    #[inline(always)]
    fn note_yield(&self, slot: u32, generation: u32) -> bool {
        let Some(noted) = YIELDED.get_ptr_mut(slot) else { return false };
        let generation = u64::from(generation);
        // Another CPU may note at the same time; the highest generation stands in the end.
        for _ in 0..NOTE_ATTEMPTS {
            let found = read(noted);
            if found >= generation {
                return false;
            }
            if compare_and_set(noted, found, generation) {
                return true;
            }
        }
        false
    }

    #[inline(always)]
    fn emit(&self, event: &Event) {
        let Some(budget) = BUDGETS.get_ptr_mut(u32::from(event.kind)) else { return };
        // SAFETY: the element is this CPU's own, and the program is not preempted by itself.
        let budget = unsafe { &mut *budget };
        if !budget.take(event.at) {
            return;
        }
        match EVENTS.reserve::<Event>(0) {
            Some(mut room) => {
                room.write(Event { ifindex: self.ifindex, ..*event });
                room.submit(0);
            }
            None => budget.lost = budget.lost.wrapping_add(1),
        }
    }

    #[inline(always)]
    fn note_heard(&self, segment: SegmentId) {
        let now = now();
        match HEARD.get_ptr_mut(segment) {
            // SAFETY: the element lives as long as the program runs; an aligned word is written whole.
            Some(heard) => unsafe { heard.write_volatile(now) },
            // Full: the agent does not see the segment's self-test pass, and says so.
            None => drop(HEARD.insert(segment, now, 0)),
        }
    }

    #[inline(always)]
    fn bfd_session(&self, discriminator: [u8; 4]) -> Option<&BfdSession> {
        // SAFETY: the agent replaces sessions whole, by a new element; the old one stays as long as the program runs.
        unsafe { BFD_SESSIONS.get(discriminator) }
    }

    #[inline(always)]
    fn forget_bfd_session(&self, discriminator: [u8; 4]) {
        // An error means that it is gone already.
        _ = BFD_SESSIONS.remove(discriminator);
    }

    #[inline(always)]
    fn bfd_moment(&self, slot: u32, word: BfdWord) -> Nanos {
        BFD_MOMENTS.get_ptr_mut(word.index(slot)).map_or(Nanos::MAX, read)
    }

    #[inline(always)]
    fn note_bfd_moment(&self, slot: u32, word: BfdWord, moment: Nanos) {
        let Some(noted) = BFD_MOMENTS.get_ptr_mut(word.index(slot)) else { return };
        // SAFETY: the element lives as long as the program runs; an aligned word is written whole.
        unsafe { noted.write_volatile(moment) }
    }

    #[inline(always)]
    fn reflector(&self) -> Reflector {
        Reflector(REFLECTOR.get_ptr_mut(0).map_or(0, read))
    }

    #[inline(always)]
    fn latch(&self) -> Latch {
        Latch(word(lease::LATCH).map_or(0, read))
    }

    #[inline(always)]
    fn trip(&self, found: Latch) {
        if let Some(latch) = word(lease::LATCH) {
            compare_and_set(latch, found.0, found.tripped().0);
        }
    }

    #[inline(always)]
    fn suppress_until(&self) -> Millis {
        word(lease::SUPPRESS_UNTIL).map_or(0, read)
    }

    #[inline(always)]
    fn now(&self) -> Nanos {
        now()
    }
}

/// Set at load time, see [`lease::TICK_NANOS`].
#[unsafe(no_mangle)]
static TICK_NANOS: Global<u64> = Global::new(0);

/// The monotonic clock, as of the last tick.
#[inline(always)]
pub(crate) fn now() -> Nanos {
    if TICK_NANOS.load() == 0 {
        return coarse();
    }
    ticked().wrapping_add(word(lease::TICK_OFFSET).map_or(0, read))
}

/// What [`now`] must add to the ticks, to be written by the renewal.
#[inline(always)]
pub(crate) fn tick_offset() -> Nanos {
    coarse().wrapping_sub(ticked())
}

/// Ticks since some moment, in nanoseconds.
#[inline(always)]
fn ticked() -> Nanos {
    // SAFETY: the helper has no arguments and no failure.
    unsafe { bpf_jiffies64() }.wrapping_mul(TICK_NANOS.load())
}

#[inline(always)]
fn coarse() -> Nanos {
    // SAFETY: the helper has no arguments and no failure.
    unsafe { bpf_ktime_get_coarse_ns() }
}

/// A word of the lease map.
#[inline(always)]
pub(crate) fn word(index: u32) -> Option<*mut u64> {
    LEASE.get_ptr_mut(index)
}

/// Reads a word that another CPU may write.
#[inline(always)]
pub(crate) fn read(word: *mut u64) -> u64 {
    // SAFETY: `word` points to an element of a map, which lives as long as the program; an aligned word is read whole.
    unsafe { word.read_volatile() }
}

/// Counts an outcome; its counter. What is foreign is not counted: its path has no look-up.
#[inline(always)]
pub(crate) fn count(outcome: &Outcome) -> Option<u32> {
    let index = match outcome {
        Ok(done) => done.counter(),
        Err(Pass::Foreign) => return None,
        Err(pass) => pass.counter(),
    };
    if let Some(counter) = OUTCOMES.get_ptr_mut(index) {
        // SAFETY: the element is this CPU's own, and the program is not preempted by itself.
        unsafe { *counter = (*counter).wrapping_add(1) };
    }
    Some(index)
}
