//! The maps as typed handles.

use anyhow::{Context, anyhow};
use aya::{
    Ebpf,
    maps::{Array, HashMap, Map, MapData, MapError},
};
use lb_common::abi::{Entry, Key4, Key6, Segment, VlanKey, name};

/// The maps that the owner reads and writes. The counters are opened from their pin, by the metrics.
pub(crate) struct Maps {
    pub(crate) segments: Array<MapData, Segment>,
    pub(crate) vlan_segments: HashMap<MapData, VlanKey, Segment>,
    pub(crate) v4: HashMap<MapData, Key4, Entry>,
    pub(crate) v6: HashMap<MapData, Key6, Entry>,
    pub(crate) filter: Array<MapData, u64>,
    pub(crate) lease: Array<MapData, u64>,
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
        })
    }
}

fn take<T: TryFrom<Map, Error = MapError>>(ebpf: &mut Ebpf, name: &str) -> anyhow::Result<T> {
    let map = ebpf.take_map(name).ok_or_else(|| anyhow!("the object has no map {name}"))?;
    T::try_from(map).with_context(|| format!("map {name} is of another type"))
}
