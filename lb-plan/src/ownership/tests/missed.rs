//! Events that were lost: what was asked for may have been answered, and nothing follows from a silence that was not
//! heard. What is then asked again is asked slowly, so that asking costs no further answers.

use super::*;

const MANY: u16 = 2_000;

fn addresses(ranking: &[String]) -> impl Iterator<Item = Address<'_>> {
    (0..MANY).map(|number| Address {
        address: IpAddr::from([10, 1, number.to_be_bytes()[0], number.to_be_bytes()[1]]),
        phase: Phase::Bound,
        nodes: ranking,
        segments: &[SEGMENT],
        failback: Failback::AtOnce,
        conflict: Conflict::Defend,
    })
}

#[test]
fn address_is_not_taken_on_a_silence_in_which_events_were_lost() {
    let mut node = Node1::ready("a");
    node.session("b", Reading::Up);
    node.rank(1, &["a", "b"]);
    for _ in 0..10 {
        node.pass(ms(50));
        node.input(Input::Missed);
    }
    assert_eq!(node.holding(1), Err(WhyNot::Looking));

    node.sight("b", 1, Says::Answer);
    node.pass(ms(300));

    assert_eq!(node.holding(1), Ok(Why::Failback), "it knows from whom");
}

#[test]
fn silence_in_which_events_were_lost_is_no_silence_of_the_holder() {
    let mut node = Node1::ready("b");
    node.session("a", Reading::Up);
    node.rank(1, &["a", "b"]);
    for _ in 0..200 {
        node.pass(ms(50));
        node.input(Input::Missed);
    }
    assert_eq!(node.holding(1), Err(WhyNot::NodeAbove));

    node.pass(Duration::from_secs(7));

    assert_eq!(node.holding(1), Ok(Why::NobodyAnswered));
}

#[test]
fn all_that_is_held_is_asked_for_again_slowly_and_then_never_more() {
    let mut node = Node1::ready("a");
    let ranking = ["a".to_owned(), "b".to_owned()];
    node.machine.set_addresses(node.now, addresses(&ranking));
    node.session("b", Reading::Up);
    node.pass(Duration::from_secs(20));
    assert_eq!(node.machine.held(), usize::from(MANY));

    node.input(Input::Missed);
    let mut asked = Vec::new();
    for _ in 0..20 {
        asked.push(probes(&node.pass(Duration::from_secs(1))).len());
    }

    assert!(asked.iter().all(|count| *count <= 540), "{asked:?}");
    assert_eq!(asked.iter().sum::<usize>(), usize::from(MANY), "each once: {asked:?}");
    assert!(asked[6..].iter().all(|count| *count == 0), "{asked:?}");
}

/// The storm: each question has an answer that is lost again.
#[test]
fn questions_stay_few_while_their_answers_go_on_being_lost() {
    let mut node = Node1::ready("a");
    let ranking = ["a".to_owned(), "b".to_owned()];
    node.machine.set_addresses(node.now, addresses(&ranking));
    node.session("b", Reading::Up);
    node.pass(Duration::from_secs(20));

    for second in 0..30 {
        let mut asked = 0;
        for _ in 0..10 {
            node.input(Input::Missed);
            asked += probes(&node.pass(ms(100))).len();
        }
        assert!(asked <= 540, "{asked} in second {second}");
    }
}
