//! Which address stands in which slot of which Service.
//!
//! In this order, the oldest Service first in each: what is held stays if it may; what a Service shows although no
//! VirtualIP of it exists is adopted; the former owner takes back what it released; requested addresses; the lowest free
//! ones, or one that the Service may share; when the pools are full, the address that was released first.
//!
//! Invariants: an address stands in at most one slot per Service, and in slots of two Services only if they share it; a
//! slot has at most one address. Two VirtualIPs for one slot (two controllers raced) become one: the requested, else the
//! lower, stays. A slot is filled only by a plan that sees it empty: what replaces an address comes in the plan after
//! its release, because a release can be refused and a slot must never have two.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
};

use lb_api::virtual_ip::{Claim, Family};

use super::{
    Snapshot, Why,
    choice::Claimant,
    cluster::{Cluster, PoolId},
    event::Reason,
    inventory::{Inventory, Slot},
    pool::{Cursor, Taken},
    sharing::Terms,
};

mod choose;
mod give;
mod keep;
mod order;
mod share;

/// Where the address of a slot comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A VirtualIP that exists, by its position.
    Has(usize),
    /// A VirtualIP to be created, by its position in [`Allocation::fresh`].
    New(usize),
}

/// What an address is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Home {
    /// This pool.
    Pool(PoolId),
    /// Nothing that its Service may use: it had it before Herald came.
    Adopted,
    /// What its VirtualIP says; it cannot be judged now, so its ranking stays as well.
    Recorded,
}

/// Who has an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hold {
    pub(super) claims: Vec<Claim>,
    /// The Services of those claims that could be judged. The first decides ranking and interfaces; without one these
    /// stay as they are.
    pub(super) holders: Vec<Holder>,
    pub(super) home: Home,
    pub(super) why: Why,
}

/// A Service that has an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) service: usize,
    pub(super) slot: Slot,
    /// The position of its claim.
    claim: usize,
}

/// What becomes of a VirtualIP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// It stays as it is.
    Untouched,
    /// It is bound.
    Bound(Hold),
    /// It is released.
    Released(Why),
}

/// A VirtualIP to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fresh {
    pub(super) address: IpAddr,
    pub(super) hold: Hold,
}

/// The result.
#[derive(Debug)]
pub(super) struct Allocation {
    /// By VirtualIP.
    pub(super) fates: Vec<Fate>,
    pub(super) fresh: Vec<Fresh>,
    /// By Service.
    pub(super) slots: Vec<BTreeMap<Slot, Place>>,
    /// Addresses that Services lose because they may not keep them: the Service, the address, and what to tell.
    pub(super) losses: Vec<(usize, IpAddr, String)>,
    /// Services that share an address with one that they could not share it with today.
    pub(super) misfits: Vec<(usize, IpAddr, String)>,
    /// Whether it depends on what a plan of a part does not look at.
    pub(super) is_unsure: bool,
}

/// Fills the slots of all bound Services.
pub(super) fn allocate<'a>(
    snapshot: &Snapshot,
    cluster: &'a Cluster<'a>,
    claimants: &mut [Claimant<'_>],
    inventory: &'a Inventory<'a>,
) -> Allocation {
    order::settle(claimants, inventory);
    let terms = |claimant: &Claimant<'_>| Terms::of(claimant.service, claimant.request.sharing_key.as_deref());
    let mut ledger = Ledger {
        inventory,
        cluster,
        terms: claimants.iter().map(terms).collect(),
        taken: taken(snapshot, cluster, inventory),
        fates: vec![Fate::Untouched; inventory.vips.len()],
        fresh: Vec::new(),
        slots: vec![BTreeMap::new(); claimants.len()],
        vacated: HashSet::new(),
        losses: Vec::new(),
        cursors: HashMap::new(),
        released: None,
        looked_at: HashMap::new(),
        shared: share::Register::default(),
        is_unsure: false,
    };
    // Without any pool nothing is known: they may be on their way.
    if !cluster.pools.is_empty() {
        ledger.keep(snapshot, claimants);
        ledger.register();
        ledger.adopt(claimants);
        // What is shown and not adopted is not for others: traffic may go there.
        ledger
            .taken
            .add_shown(claimants.iter().filter(|claimant| claimant.is_load_balancer()).flat_map(Claimant::shown));
        ledger.take_back(claimants);
        ledger.give_requested(claimants);
        ledger.give_lowest(claimants);
    }
    let misfits = ledger.misfits(claimants);
    Allocation {
        fates: ledger.fates,
        fresh: ledger.fresh,
        slots: ledger.slots,
        losses: ledger.losses,
        misfits,
        is_unsure: ledger.is_unsure,
    }
}

/// The allocation in the making.
struct Ledger<'a> {
    inventory: &'a Inventory<'a>,
    cluster: &'a Cluster<'a>,
    /// By Service.
    terms: Vec<Terms>,
    /// Every address that must not be created. After adoption also what Services show.
    taken: Taken<'a>,
    fates: Vec<Fate>,
    fresh: Vec<Fresh>,
    slots: Vec<BTreeMap<Slot, Place>>,
    /// Slots that this plan empties.
    vacated: HashSet<(usize, Slot)>,
    losses: Vec<(usize, IpAddr, String)>,
    cursors: HashMap<(PoolId, Family), Cursor>,
    /// The addresses in quarantine, the one that waits longest first; made when a pool is full.
    released: Option<Vec<usize>>,
    /// How many of these need not be looked at again for a pool and family.
    looked_at: HashMap<(PoolId, Family), usize>,
    shared: share::Register,
    is_unsure: bool,
}

impl Hold {
    fn new(service: usize, claimant: &Claimant<'_>, slot: Slot, home: Home, why: Why) -> Self {
        let mut hold = Self { claims: Vec::new(), holders: Vec::new(), home, why };
        hold.add(service, claimant, slot);
        hold
    }

    fn add(&mut self, service: usize, claimant: &Claimant<'_>, slot: Slot) {
        self.holders.push(Holder { service, slot, claim: self.claims.len() });
        self.claims.push(claimant.claim(slot));
    }

    /// Takes a Service out. Whether anybody is left.
    fn remove(&mut self, service: usize) -> bool {
        if let Some(position) = self.holders.iter().position(|holder| holder.service == service) {
            let gone = self.holders.remove(position).claim;
            self.claims.remove(gone);
            for holder in self.holders.iter_mut().filter(|holder| holder.claim > gone) {
                holder.claim -= 1;
            }
        }
        if let [only] = self.claims.as_mut_slice() {
            only.sharing = None;
        }
        !self.claims.is_empty()
    }

    /// The Service that decides ranking and interfaces, and the slot.
    pub(super) fn owner(&self) -> Option<(usize, Slot)> {
        self.holders.first().map(|holder| (holder.service, holder.slot))
    }
}

impl Ledger<'_> {
    fn set(&mut self, service: usize, slot: Slot, place: Place) {
        if let Some(slots) = self.slots.get_mut(service) {
            slots.insert(slot, place);
        }
    }

    fn place(&self, service: usize, slot: Slot) -> Option<Place> {
        self.slots.get(service).and_then(|slots| slots.get(&slot)).copied()
    }

    /// Who has the address of a place.
    fn hold(&self, place: Place) -> Option<&Hold> {
        match place {
            Place::Has(position) => match self.fates.get(position)? {
                Fate::Bound(hold) => Some(hold),
                Fate::Untouched | Fate::Released(_) => None,
            },
            Place::New(position) => self.fresh.get(position).map(|fresh| &fresh.hold),
        }
    }

    fn hold_mut(&mut self, place: Place) -> Option<&mut Hold> {
        match place {
            Place::Has(position) => match self.fates.get_mut(position)? {
                Fate::Bound(hold) => Some(hold),
                Fate::Untouched | Fate::Released(_) => None,
            },
            Place::New(position) => self.fresh.get_mut(position).map(|fresh| &mut fresh.hold),
        }
    }

    fn address(&self, place: Place) -> Option<IpAddr> {
        match place {
            Place::Has(position) => self.inventory.vips.get(position).map(|vip| vip.address),
            Place::New(position) => self.fresh.get(position).map(|fresh| fresh.address),
        }
    }

    /// Gives a released VirtualIP to a slot.
    fn bind(&mut self, position: usize, (service, claimant): (usize, &Claimant<'_>), slot: Slot, home: Home, why: Why) {
        let hold = Hold::new(service, claimant, slot, home, why);
        if let Some(fate) = self.fates.get_mut(position) {
            *fate = Fate::Bound(hold);
        }
        self.set(service, slot, Place::Has(position));
        self.register_one(service, Place::Has(position));
    }

    /// Gives an address that has no VirtualIP to a slot.
    fn make(&mut self, address: IpAddr, (service, claimant): (usize, &Claimant<'_>), slot: Slot, home: Home, why: Why) {
        self.taken.insert(address);
        let hold = Hold::new(service, claimant, slot, home, why);
        self.fresh.push(Fresh { address, hold });
        let place = Place::New(self.fresh.len() - 1);
        self.set(service, slot, place);
        self.register_one(service, place);
    }

    /// A VirtualIP in quarantine that nobody has got in this plan.
    fn is_available(&self, position: usize) -> bool {
        self.inventory.vips.get(position).is_some_and(|vip| !vip.is_bound())
            && self.fates.get(position) == Some(&Fate::Untouched)
    }

    fn is_filled(&self, service: usize, slot: Slot) -> bool {
        self.place(service, slot).is_some() || self.vacated.contains(&(service, slot))
    }

    /// What an address is from if this Service gets it.
    fn home(&self, claimant: &Claimant<'_>, address: IpAddr) -> Option<Home> {
        let pools = self.cluster.pools.iter().enumerate();
        let mut fitting = pools.filter(|(id, pool)| pool.has(address) && claimant.may_use(pool, *id));
        fitting.next().map(|(id, _)| Home::Pool(id))
    }
}

impl Claimant<'_> {
    /// The claim by which this Service holds the address of a slot.
    pub(super) fn claim(&self, slot: Slot) -> Claim {
        Claim {
            namespace: self.namespace.to_owned(),
            name: self.name.to_owned(),
            uid: self.uid.to_owned(),
            index: slot.index,
            family: slot.family,
            sharing: None,
        }
    }

    /// The address that the user asked for in a slot.
    fn requested(&self, slot: Slot) -> Option<IpAddr> {
        let index = usize::try_from(slot.index).ok()?;
        match slot.family {
            Family::IPv4 => self.request.ipv4.get(index).map(|&address| address.into()),
            Family::IPv6 => self.request.ipv6.get(index).map(|&address| address.into()),
        }
    }

    /// The slot that the user asked for this address in, if there is such a slot.
    fn slot_of_request(&self, address: IpAddr) -> Option<Slot> {
        let index = match address {
            IpAddr::V4(v4) => self.request.ipv4.iter().position(|&asked| asked == v4),
            IpAddr::V6(v6) => self.request.ipv6.iter().position(|&asked| asked == v6),
        };
        let slot = Slot { index: u32::try_from(index?).ok()?, family: Family::of(address) };
        self.wish.contains(slot).then_some(slot)
    }

    fn refuse(&mut self, address: IpAddr, why: &str) {
        let field = self.request.field.clone();
        self.complain(Reason::AllocationFailed, field, format!("{address} cannot be given: {why}"));
    }
}

/// Every address that has a VirtualIP, may have one, or was refused a moment ago.
fn taken<'a>(snapshot: &Snapshot, cluster: &Cluster<'a>, inventory: &Inventory<'_>) -> Taken<'a> {
    let doubtful = snapshot.doubts.virtual_ips.cluster_scoped().filter_map(address_of);
    let listed = inventory.vips.iter().map(|vip| vip.address);
    Taken::beside(cluster.rest, listed.chain(snapshot.refused.iter().copied()).chain(doubtful))
}

/// The inverse of [`lb_api::virtual_ip::name_of`].
fn address_of(name: &str) -> Option<IpAddr> {
    name.parse().ok().or_else(|| name.replace('-', ":").parse().ok())
}
