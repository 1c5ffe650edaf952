//! Elections in virtual time: single steps first, then many processes on one register with lost and late messages.

use proptest::prelude::*;

use super::*;

const LEASE: Duration = Duration::from_secs(15);
const RENEW: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(2);
const MOMENT: Duration = Duration::from_millis(1);

fn timing() -> Timing {
    Timing::new(LEASE, RENEW, RETRY).expect("the defaults fit together")
}

fn record(holder: &str, version: &str) -> Record {
    Record { holder: holder.into(), version: version.into(), lease: Some(LEASE) }
}

fn hold(version: &str) -> Step {
    Step::Ask(Ask::Hold { version: version.into() })
}

/// A standby that has seen a foreign record at `now`.
fn following(now: Instant) -> Election {
    let mut election = Election::new("me", timing(), now);
    assert_eq!(election.next(now), Step::Ask(Ask::Read));
    election.answer(now, now, Answer::Found(record("other", "1")));
    election
}

fn leading(now: Instant) -> Election {
    let mut election = Election::new("me", timing(), now);
    election.answer(now, now, Answer::Missing);
    assert_eq!(election.next(now), Step::Ask(Ask::Create));
    election.answer(now, now, Answer::Written("1".into()));
    assert_eq!(election.term(now), Some(Term { number: 1, until: now + RENEW }));
    election
}

#[test]
fn the_first_process_creates_the_lease_and_leads() {
    let now = Instant::now();
    let mut election = leading(now);
    assert_eq!(election.holder(), "me");
    assert_eq!(election.next(now), Step::Wait(now + RETRY));
    assert_eq!(election.next(now + RETRY), hold("1"));
}

#[test]
fn a_record_that_does_not_change_is_taken_when_its_lease_has_passed_here_and_not_before() {
    let now = Instant::now();
    let mut election = following(now);
    assert_eq!(election.holder(), "other");
    let mut time = now;
    while time + MOMENT < now + LEASE {
        let Step::Wait(until) = election.next(time) else { panic!("asked at {:?}", time - now) };
        assert!(until > time && until <= now + LEASE);
        time = until.min(now + LEASE - MOMENT);
        if election.next(time) == Step::Ask(Ask::Read) {
            election.answer(time, time, Answer::Found(record("other", "1")));
            assert!(!matches!(election.next(time), Step::Ask(_)), "taken after {:?}", time - now);
        }
    }
    let end = now + LEASE;
    assert_eq!(election.next(end), Step::Ask(Ask::Read));
    election.answer(end, end, Answer::Found(record("other", "1")));
    assert_eq!(election.next(end), hold("1"));
    election.answer(end, end, Answer::Written("2".into()));
    assert!(election.term(end).is_some());
}

#[test]
fn every_change_of_the_record_starts_the_wait_anew() {
    let now = Instant::now();
    let mut election = following(now);
    let later = now + LEASE - MOMENT;
    election.answer(later, later, Answer::Found(record("other", "2")));
    let end = now + LEASE;
    election.answer(end, end, Answer::Found(record("other", "2")));
    assert!(matches!(election.next(end), Step::Wait(_)));
}

#[test]
fn a_longer_promise_of_the_holder_is_waited_for() {
    let now = Instant::now();
    let mut election = Election::new("me", timing(), now);
    let promise = Record { lease: Some(2 * LEASE), ..record("other", "1") };
    election.answer(now, now, Answer::Found(promise.clone()));
    let end = now + LEASE;
    election.answer(end, end, Answer::Found(promise));
    assert!(matches!(election.next(end), Step::Wait(_)));
}

#[test]
fn a_record_without_a_holder_is_taken_at_once() {
    let now = Instant::now();
    let mut election = following(now);
    let later = now + RETRY;
    election.answer(later, later, Answer::Found(record("", "2")));
    assert_eq!(election.next(later), hold("2"));
}

#[test]
fn a_deleted_lease_counts_until_its_end_for_whoever_has_seen_it() {
    let now = Instant::now();
    let mut election = following(now);
    election.answer(now + RETRY, now + RETRY, Answer::Missing);
    assert!(matches!(election.next(now + RETRY), Step::Wait(_)));
    let end = now + LEASE;
    election.answer(end, end, Answer::Missing);
    assert_eq!(election.next(end), Step::Ask(Ask::Create));
}

#[test]
fn a_leader_makes_a_deleted_lease_again_within_its_term() {
    let now = Instant::now();
    let mut election = leading(now);
    let later = now + RETRY;
    election.answer(later, later, Answer::Missing);
    assert_eq!(election.next(later), Step::Ask(Ask::Create));
    election.answer(later, later, Answer::Written("7".into()));
    assert_eq!(election.term(later), Some(Term { number: 1, until: later + RENEW }));
}

#[test]
fn the_term_ends_after_the_sending_of_the_last_renewal_and_not_after_its_answer() {
    let now = Instant::now();
    let mut election = leading(now);
    let (sent, came) = (now + RETRY, now + RETRY * 2);
    election.answer(sent, came, Answer::Written("2".into()));
    assert_eq!(election.term(came).map(|term| term.until), Some(sent + RENEW));
}

#[test]
fn a_leader_that_cannot_renew_stops_by_itself_and_says_when() {
    let now = Instant::now();
    let mut election = leading(now);
    let mut time = now;
    let end = now + RENEW;
    while time < end {
        time = match election.next(time) {
            Step::Wait(until) => until,
            Step::Ask(_) => {
                election.answer(time, time + MOMENT, Answer::Failed);
                time + MOMENT
            }
            Step::Done => panic!("was not released"),
        };
    }
    assert_eq!(time, end, "woken when the term ends");
    assert!(election.term(end).is_none());
    assert_eq!(election.next(end), Step::Ask(Ask::Read));
}

#[test]
fn a_leader_that_sees_another_holder_stops_at_once() {
    let now = Instant::now();
    let mut election = leading(now);
    let later = now + RETRY;
    election.answer(later, later, Answer::Conflict);
    assert!(election.term(later).is_some(), "somebody may have put a label on it");
    assert_eq!(election.next(later), Step::Ask(Ask::Read));
    election.answer(later, later, Answer::Found(record("other", "9")));
    assert!(election.term(later).is_none());
}

#[test]
fn a_renewal_whose_answer_was_lost_costs_no_term() {
    let now = Instant::now();
    let mut election = leading(now);
    let mut time = now + RETRY;
    election.answer(time, time, Answer::Failed);
    time += RETRY;
    assert_eq!(election.next(time), Step::Ask(Ask::Read));
    election.answer(time, time, Answer::Found(record("me", "2")));
    assert_eq!(election.next(time), hold("2"));
    election.answer(time, time, Answer::Written("3".into()));
    assert_eq!(election.term(time), Some(Term { number: 1, until: time + RENEW }));
}

#[test]
fn a_released_leader_gives_the_lease_back_and_never_leads_again() {
    let now = Instant::now();
    let mut election = leading(now);
    assert_eq!(election.release(), Some("1".into()));
    assert!(election.term(now).is_none());
    election.answer(now, now, Answer::Written("2".into()));
    assert_eq!((election.next(now), election.term(now), election.release()), (Step::Done, None, None));
}

#[test]
fn a_standby_has_nothing_to_give_back() {
    assert_eq!(following(Instant::now()).release(), None);
}

#[test]
fn times_that_would_make_two_leaders_are_refused() {
    let secs = Duration::from_secs;
    assert!(matches!(Timing::new(secs(15), secs(15), secs(2)), Err(TimingError::Renew { .. })));
    assert!(matches!(Timing::new(secs(15), secs(10), secs(6)), Err(TimingError::Retry { .. })));
    assert!(matches!(Timing::new(secs(15), secs(10), secs(0)), Err(TimingError::Zero)));
    assert!(matches!(Timing::new(Duration::from_millis(15_500), secs(10), secs(2)), Err(TimingError::Seconds(_))));
    assert!(matches!(Timing::new(secs(0), secs(0), secs(0)), Err(TimingError::Seconds(_))));
}

/// What happens to a request.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// Reaches the register and is answered; how long each way takes.
    Answered(u16, u16),
    /// Reaches the register after so long; the answer is lost.
    Unanswered(u16),
    /// Is lost.
    Lost,
}

/// What happens to a process at a turn.
#[derive(Debug, Clone, Copy)]
enum Luck {
    Runs(Fate),
    /// Is killed and comes back under another name.
    Killed,
    /// Is told to end, and comes back.
    Told,
    /// Does not run for so many milliseconds.
    Sleeps(u16),
}

fn luck() -> impl Strategy<Value = Luck> {
    let fate = prop_oneof![
        12 => (0..50_u16, 0..50_u16).prop_map(|(to, back)| Fate::Answered(to, back)),
        2 => (0..4_000_u16, 0..4_000_u16).prop_map(|(to, back)| Fate::Answered(to, back)),
        2 => (0..20_000_u16).prop_map(Fate::Unanswered),
        4 => Just(Fate::Lost),
    ];
    prop_oneof![
        20 => fate.prop_map(Luck::Runs),
        1 => Just(Luck::Killed),
        1 => Just(Luck::Told),
        2 => (0..30_000_u16).prop_map(Luck::Sleeps),
    ]
}

/// The Lease: a register with compare-and-set.
#[derive(Debug, Default)]
struct Register {
    version: u64,
    record: Option<String>,
    /// Writes on their way: when they arrive, whose they are, on which version.
    late: Vec<(Instant, String, Option<u64>)>,
}

impl Register {
    fn arrive(&mut self, now: Instant) {
        self.late.sort_by_key(|(at, ..)| *at);
        while self.late.first().is_some_and(|(at, ..)| *at <= now) {
            let (_, holder, judged) = self.late.remove(0);
            drop(self.write(holder, judged));
        }
    }

    fn write(&mut self, holder: String, judged: Option<u64>) -> Answer {
        let present = self.record.is_some().then_some(self.version);
        if present != judged {
            return if judged.is_some() && present.is_none() { Answer::Missing } else { Answer::Conflict };
        }
        self.version += 1;
        self.record = Some(holder);
        Answer::Written(self.version.to_string())
    }

    fn read(&self) -> Answer {
        match &self.record {
            Some(holder) => Answer::Found(record(holder, &self.version.to_string())),
            None => Answer::Missing,
        }
    }
}

struct Process {
    election: Election,
    /// Does nothing before.
    busy: Instant,
    /// A request: when sent, and what comes back when.
    waits: Option<(Instant, Answer)>,
    lives: u32,
}

struct World {
    register: Register,
    processes: Vec<Process>,
    now: Instant,
}

impl World {
    fn turn(&mut self, who: usize, luck: Luck) {
        let now = self.now;
        let Some(process) = self.processes.get_mut(who) else { return };
        if now < process.busy {
            return;
        }
        if let Some((sent, answer)) = process.waits.take() {
            process.election.answer(sent, now, answer);
        }
        let fate = match luck {
            Luck::Runs(fate) => fate,
            Luck::Sleeps(ms) => {
                process.busy = now + Duration::from_millis(ms.into());
                return;
            }
            Luck::Told | Luck::Killed => {
                let given_back = if matches!(luck, Luck::Told) { process.election.release() } else { None };
                process.lives += 1;
                let name = format!("{who}.{}", process.lives);
                process.election = Election::new(name, timing(), now);
                if let Some(version) = given_back.and_then(|version| version.parse().ok()) {
                    drop(self.register.write(String::new(), Some(version)));
                }
                return;
            }
        };
        let Step::Ask(ask) = process.election.next(now) else { return };
        let ms = |ms: u16| Duration::from_millis(ms.into());
        let judged = match &ask {
            Ask::Hold { version } => version.parse().ok(),
            Ask::Read | Ask::Create => None,
        };
        let me = process.election.me().to_owned();
        let (answer, takes) = match fate {
            // An answer that takes longer than one is patient is none; the write happens all the same.
            Fate::Answered(to, back) if ms(to) + ms(back) <= timing().patience() && to < 50 => {
                let answer = if ask == Ask::Read { self.register.read() } else { self.register.write(me, judged) };
                (answer, ms(to) + ms(back))
            }
            Fate::Answered(to, _) | Fate::Unanswered(to) => {
                if ask != Ask::Read {
                    self.register.late.push((now + ms(to), me, judged));
                }
                (Answer::Failed, timing().patience())
            }
            Fate::Lost => (Answer::Failed, timing().patience()),
        };
        process.busy = now + takes;
        process.waits = Some((now, answer));
    }

    fn leaders(&self) -> usize {
        self.processes.iter().filter(|process| process.election.term(self.now).is_some()).count()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn never_two_lead_whatever_is_lost_late_killed_or_asleep(
        turns in prop::collection::vec((0..3_usize, luck(), 1..2_000_u64), 50..400),
    ) {
        let now = Instant::now();
        let process = |n: usize| Process {
            election: Election::new(format!("{n}.0"), timing(), now),
            busy: now,
            waits: None,
            lives: 0,
        };
        let mut world = World { register: Register::default(), processes: (0..3).map(process).collect(), now };
        for (who, luck, step) in turns {
            world.turn(who, luck);
            prop_assert!(world.leaders() <= 1);
            // In small steps: two terms could overlap between two turns.
            for _ in 0..4 {
                world.now += Duration::from_millis(step) / 4;
                world.register.arrive(world.now);
                prop_assert!(world.leaders() <= 1);
            }
        }
    }

    #[test]
    fn when_messages_get_through_again_somebody_leads_within_two_leases(
        turns in prop::collection::vec((0..3_usize, luck(), 1..2_000_u64), 0..100),
    ) {
        let now = Instant::now();
        let process = |n: usize| Process {
            election: Election::new(format!("{n}.0"), timing(), now),
            busy: now,
            waits: None,
            lives: 0,
        };
        let mut world = World { register: Register::default(), processes: (0..3).map(process).collect(), now };
        for (who, luck, step) in turns {
            world.turn(who, luck);
            world.now += Duration::from_millis(step);
            world.register.arrive(world.now);
        }
        // Whatever is on its way arrives, and whoever sleeps wakes up.
        world.now += Duration::from_secs(31);
        world.register.arrive(world.now);
        let end = world.now + LEASE * 2;
        while world.now < end && world.leaders() == 0 {
            for who in 0..3 {
                world.turn(who, Luck::Runs(Fate::Answered(5, 5)));
            }
            world.now += Duration::from_millis(20);
        }
        prop_assert_eq!(world.leaders(), 1);
    }
}
