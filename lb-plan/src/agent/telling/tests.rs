//! Who writes what into a VirtualIP's status, and how often.

use lb_api::VirtualIPSpec;

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
}

impl Store {
    fn new() -> Self {
        let mut object = VirtualIP::new(ADDRESS, VirtualIPSpec { address: ADDRESS.into(), ..VirtualIPSpec::default() });
        object.metadata.uid = Some("one".into());
        Self { object: Arc::new(object), writes: 0 }
    }

    /// A look of a node, and what it writes.
    fn look(&mut self, teller: &mut Teller, now: u64, holdings: &[Holding]) {
        for telling in teller.due(at(now), holdings, std::iter::once(&Arc::clone(&self.object))) {
            self.object =
                Arc::new(VirtualIP { status: Some(telling.status.clone()), ..VirtualIP::clone(&self.object) });
            self.writes += 1;
            teller.written(&telling);
        }
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
    let refused = a.due(at(10), &[holding(1)], std::iter::once(&store.object));
    assert_eq!(refused.len(), 1);
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
