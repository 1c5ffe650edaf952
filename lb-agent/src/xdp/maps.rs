//! The maps as typed handles.

use anyhow::{Context, anyhow};
use aya::{
    Ebpf,
    maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, RingBuf},
};
use lb_common::{
    abi::{Entry, Key4, Key6, Segment, SegmentId, VlanKey, name},
    event::Budget,
};

use super::{events::Events, stations::Stations};

/// The maps that the owner reads and writes. The counters are opened from their pin, by the metrics.
pub(crate) struct Maps {
    pub(crate) segments: Array<MapData, Segment>,
    pub(crate) vlan_segments: HashMap<MapData, VlanKey, Segment>,
    pub(crate) v4: HashMap<MapData, Key4, Entry>,
    pub(crate) v6: HashMap<MapData, Key6, Entry>,
    pub(crate) filter: Array<MapData, u64>,
    pub(crate) lease: Array<MapData, u64>,
    pub(crate) reflector: Array<MapData, u64>,
    pub(crate) yielded: Array<MapData, u64>,
    pub(crate) heard: HashMap<MapData, SegmentId, u64>,
}

/// Opens the reader of what the program tells.
pub(crate) fn events(ebpf: &mut Ebpf) -> anyhow::Result<Events> {
    let ring: RingBuf<MapData> = take(ebpf, name::EVENTS)?;
    let budgets: PerCpuArray<MapData, Budget> = take(ebpf, name::BUDGETS)?;
    Events::open(ring, budgets)
}

/// Takes up the nodes' hardware addresses.
pub(crate) fn stations(ebpf: &mut Ebpf) -> anyhow::Result<Stations> {
    Stations::read(take(ebpf, name::NODE_MACS)?)
}

impl Maps {
    /// Takes the maps out of a loaded object.
    pub(crate) fn take(ebpf: &mut Ebpf) -> anyhow::Result<Self> {
        Ok(Self {
            segments: take(ebpf, name::SEGMENTS)?,
            vlan_segments: take(ebpf, name::VLAN_SEGMENTS)?,
            v4: take(ebpf, name::VIPS_V4)?,
            v6: take(ebpf, name::VIPS_V6)?,
            filter: take(ebpf, name::FILTER)?,
            lease: take(ebpf, name::LEASE)?,
            reflector: take(ebpf, name::REFLECTOR)?,
            yielded: take(ebpf, name::YIELDED)?,
            heard: take(ebpf, name::HEARD)?,
        })
    }
}

fn take<T: TryFrom<Map, Error = MapError>>(ebpf: &mut Ebpf, name: &str) -> anyhow::Result<T> {
    let map = ebpf.take_map(name).ok_or_else(|| anyhow!("the object has no map {name}"))?;
    T::try_from(map).with_context(|| format!("map {name} is of another type"))
}
