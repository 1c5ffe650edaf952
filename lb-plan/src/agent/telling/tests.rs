//! Who writes what into a VirtualIP's status, and how often.

use lb_api::{VirtualIPSpec, virtual_ip::Claim};

use super::*;

const ADDRESS: &str = "192.0.2.100";

fn at(seconds: u64) -> Moment {
    let wall = 1_700_000_000 + i64::try_from(seconds).expect("small");
    Moment { monotonic: Duration::from_secs(seconds), wall: Timestamp::from_second(wall).expect("a time") }
}

fn holding(since: u64) -> Holding {
    Holding { address: ADDRESS.parse().expect("an address"), why: Why::FirstRanked, since: Duration::from_secs(since) }
}

/// One VirtualIP, and the nodes that write its status.
struct Store {
    object: Arc<VirtualIP>,
    writes: usize,
    dead: Vec<String>,
}

impl Store {
    fn new() -> Self {
        let claim = Claim { namespace: "default".into(), name: "web".into(), ..Claim::default() };
        let spec = VirtualIPSpec {
            address: ADDRESS.into(),
            nodes: ["a", "b", "c"].map(str::to_owned).into(),
            claims: vec![claim],
            ..VirtualIPSpec::default()
        };
        let mut object = VirtualIP::new(ADDRESS, spec);
        object.metadata.uid = Some("one".into());
        Self { object: Arc::new(object), writes: 0, dead: Vec::new() }
    }

    /// A look of a node, and what it writes.
    fn look(&mut self, teller: &mut Teller, now: u64, holdings: &[Holding]) {
        self.see(teller, now, holdings, None);
    }

    /// The same with a stranger about; what people are told: reason and note.
    fn see(
        &mut self,
        teller: &mut Teller,
        now: u64,
        holdings: &[Holding],
        stranger: Option<Mac>,
    ) -> Vec<(String, String)> {
        let strangers = stranger.map(|mac| (ADDRESS.parse().expect("an address"), mac)).into_iter().collect();
        let dead = self.dead.clone();
        let stands_by = |node: &str| !dead.contains(&node.to_owned());
        let scene = Scene { now: at(now), holdings, strangers: &strangers, stands_by: &stands_by };
        let mut told = Vec::new();
        for telling in teller.due(scene, std::iter::once(&Arc::clone(&self.object))) {
            self.object =
                Arc::new(VirtualIP { status: Some(telling.status.clone()), ..VirtualIP::clone(&self.object) });
            self.writes += 1;
            teller.written(at(now).monotonic, &telling);
            let events = telling.events(&teller.node, at(now).wall);
            told.extend(events.into_iter().filter_map(|event| Some((event.reason?, event.note?))));
        }
        told
    }

    fn status(&self) -> VirtualIPStatus {
        self.object.status.clone().unwrap_or_default()
    }

    fn holder(&self) -> Option<&str> {
        self.object.status.as_ref()?.holder.as_deref()
    }
}

fn two() -> (Teller, Teller) {
    (Teller::new("a".into()), Teller::new("b".into()))
}

#[test]
fn two_holders_on_two_segments_write_once_each_and_then_never_again() {
    let (mut store, (mut a, mut b)) = (Store::new(), two());

    for now in 10..20 {
        store.look(&mut a, now, &[holding(1)]);
        store.look(&mut b, now, &[holding(2)]);
    }

    assert_eq!((store.writes, store.holder()), (2, Some("b")));
}

#[test]
fn a_node_that_takes_again_says_so_again() {
    let (mut store, (mut a, mut b)) = (Store::new(), two());
    store.look(&mut a, 10, &[holding(1)]);
    store.look(&mut b, 11, &[holding(11)]);

    // It lost it and took it back between two looks.
    store.look(&mut a, 20, &[holding(15)]);

    assert_eq!((store.writes, store.holder()), (3, Some("a")));
    assert_eq!(store.object.status.as_ref().and_then(|status| status.since.clone()), Some(Time(at(15).wall)));
}

#[test]
fn who_is_left_alone_with_an_address_says_so_although_it_told_before() {
    let (mut store, (mut a, mut b)) = (Store::new(), two());
    store.look(&mut a, 10, &[holding(1)]);
    store.look(&mut b, 11, &[holding(2)]);

    store.look(&mut b, 12, &[]);
    assert_eq!(store.holder(), None);
    store.look(&mut a, 13, &[holding(1)]);

    assert_eq!((store.writes, store.holder()), (4, Some("a")));
}

#[test]
fn only_the_own_name_is_taken_away() {
    let (mut store, (mut a, mut b)) = (Store::new(), two());
    store.look(&mut a, 10, &[holding(1)]);

    store.look(&mut b, 11, &[]);
    assert_eq!((store.writes, store.holder()), (1, Some("a")));

    store.look(&mut a, 12, &[]);
    assert_eq!((store.writes, store.holder()), (2, None));
}

#[test]
fn a_new_object_of_the_same_name_is_told_anew() {
    let (mut store, (mut a, mut b)) = (Store::new(), two());
    store.look(&mut a, 10, &[holding(1)]);
    store.look(&mut b, 11, &[holding(2)]);
    let mut again = VirtualIP::clone(&store.object);
    again.metadata.uid = Some("two".into());
    store.object = Arc::new(again);

    store.look(&mut a, 12, &[holding(1)]);

    assert_eq!(store.holder(), Some("a"));
}

#[test]
fn what_was_not_written_is_due_again_and_what_an_earlier_process_wrote_is_not() {
    let (mut store, (mut a, _)) = (Store::new(), two());
    let nobody = BTreeMap::new();
    let scene = Scene { now: at(10), holdings: &[holding(1)], strangers: &nobody, stands_by: &|_| true };
    assert_eq!(a.due(scene, std::iter::once(&store.object)).len(), 1);
    store.look(&mut a, 11, &[holding(1)]);
    assert_eq!(store.writes, 1);

    let mut successor = Teller::new("a".into());
    store.look(&mut successor, 12, &[Holding { why: Why::TakenUp, ..holding(12) }]);

    assert_eq!(store.writes, 1);
}

#[test]
fn of_an_address_that_is_held_on_two_segments_the_latest_take_counts() {
    let (mut store, (mut a, mut b)) = (Store::new(), two());
    store.look(&mut a, 10, &[holding(5)]);
    store.look(&mut b, 11, &[holding(6)]);
    // Let go on the segment where it was taken last: no transition to the address.
    store.look(&mut a, 12, &[holding(3)]);
    assert_eq!((store.writes, store.holder()), (2, Some("b")));
    // Taken on one more.
    store.look(&mut a, 14, &[holding(13)]);

    assert_eq!((store.writes, store.holder()), (3, Some("a")));
}

#[test]
fn a_move_is_told_once_by_who_took_and_a_look_that_finds_nothing_new_tells_nothing() {
    let (mut store, (mut a, mut b)) = (Store::new(), two());
    let assigned =
        |node: &str| ("nodeAssigned".to_owned(), format!("announcing from node \"{node}\" with protocol \"layer2\""));

    assert_eq!(store.see(&mut a, 10, &[holding(1)], None), [assigned("a")]);
    store.look(&mut b, 11, &[]);
    let taken = Holding { why: Why::Silent, ..holding(12) };
    let moved = ("Moved".to_owned(), format!("{ADDRESS} moved from a to b: Silent"));
    assert_eq!(store.see(&mut b, 12, &[taken], None), [assigned("b"), moved]);
    assert_eq!(store.see(&mut b, 13, &[taken], None), []);
    assert_eq!(store.see(&mut a, 14, &[], None), []);
    // A successor finds what its predecessor told.
    let mut successor = Teller::new("b".into());
    assert_eq!(store.see(&mut successor, 20, &[Holding { why: Why::TakenUp, ..holding(20) }], None), []);
}

#[test]
fn from_whom_it_was_taken_is_told_although_that_one_has_taken_its_name_away() {
    let (mut store, (mut a, mut b)) = (Store::new(), two());
    store.look(&mut a, 10, &[holding(1)]);
    store.look(&mut b, 11, &[]);
    store.look(&mut a, 12, &[]);

    let told = store.see(&mut b, 13, &[Holding { why: Why::AdminDown, ..holding(12) }], None);

    assert_eq!(told[1], ("Moved".to_owned(), format!("{ADDRESS} moved from a to b: AdminDown")));
}

#[test]
fn the_standby_is_the_next_that_lives_and_is_told_once_it_stays_so() {
    let (mut store, (mut a, _)) = (Store::new(), two());
    store.look(&mut a, 10, &[holding(1)]);
    assert_eq!(store.status().standby.as_deref(), Some("b"));

    store.dead = vec!["b".into()];
    store.look(&mut a, 20, &[holding(1)]);
    assert_eq!((store.writes, a.waits()), (1, true));
    // It was away for a moment.
    store.dead.clear();
    store.look(&mut a, 22, &[holding(1)]);
    store.dead = vec!["b".into()];
    store.look(&mut a, 24, &[holding(1)]);
    store.look(&mut a, 28, &[holding(1)]);
    assert_eq!(store.writes, 1);
    store.look(&mut a, 29, &[holding(1)]);
    assert_eq!((store.writes, store.status().standby.as_deref()), (2, Some("c")));

    store.look(&mut a, 60, &[holding(1)]);
    assert_eq!((store.writes, a.waits()), (2, false));
    store.look(&mut a, 61, &[]);
    assert_eq!(store.status().standby, None);
}

#[test]
fn a_stranger_is_a_condition_with_its_mac_until_it_is_not_heard() {
    let (mut store, (mut a, _)) = (Store::new(), two());
    let mac = [2, 0, 0, 0, 0, 0x0a];
    store.look(&mut a, 10, &[holding(1)]);

    let told = store.see(&mut a, 20, &[holding(1)], Some(mac));

    let note = format!("02:00:00:00:00:0a uses {ADDRESS} too and is no node; seen by a");
    assert_eq!(told, [("Stranger".to_owned(), note.clone()), ("Stranger".to_owned(), note)]);
    let condition = store.status().conditions.remove(0);
    let words = (condition.type_.as_str(), condition.status.as_str(), condition.reason.as_str());
    assert_eq!(words, ("Stranger", "True", "AddressInUse"));
    assert!(condition.message.starts_with("02:00:00:00:00:0a"), "{}", condition.message);
    assert_eq!(store.see(&mut a, 30, &[holding(1)], Some(mac)), []);
    // Another one in turn: no more than once a minute.
    assert_eq!(store.see(&mut a, 31, &[holding(1)], Some([2, 0, 0, 0, 0, 0x0b])), []);
    assert_eq!(store.writes, 2);

    assert_eq!(store.see(&mut a, 95, &[holding(1)], None), []);
    assert_eq!((store.status().conditions[0].status.as_str(), store.writes), ("False", 3));
    store.look(&mut a, 200, &[holding(1)]);
    assert_eq!((store.writes, a.waits()), (3, false));
}

#[test]
fn a_stranger_that_an_earlier_process_saw_stays_until_this_one_had_time_to_hear_it() {
    let (mut store, (mut a, _)) = (Store::new(), two());
    store.look(&mut a, 10, &[holding(1)]);
    store.see(&mut a, 20, &[holding(1)], Some([2, 0, 0, 0, 0, 0x0a]));
    let mut successor = Teller::new("a".into());

    store.look(&mut successor, 30, &[holding(30)]);
    store.look(&mut successor, 89, &[holding(30)]);
    assert_eq!(store.status().conditions[0].status, "True");
    store.look(&mut successor, 91, &[holding(30)]);
    assert_eq!(store.status().conditions[0].status, "False");
}

#[test]
fn who_takes_an_address_with_a_stranger_does_not_say_at_once_that_it_is_gone() {
    let (mut store, (mut a, mut b)) = (Store::new(), two());
    store.look(&mut b, 0, &[]);
    store.look(&mut a, 10, &[holding(1)]);
    store.see(&mut a, 80, &[holding(1)], Some([2, 0, 0, 0, 0, 0x0a]));

    store.look(&mut b, 90, &[holding(85)]);
    store.look(&mut b, 91, &[holding(85)]);
    assert_eq!((store.holder(), store.status().conditions[0].status.as_str()), (Some("b"), "True"));
    store.look(&mut b, 146, &[holding(85)]);
    assert_eq!(store.status().conditions[0].status, "False");
}
