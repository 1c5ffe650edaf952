//! Any bytes as BFD packets, one after the other, with pauses: judged without panic by parser, session and initiator;
//! what is read is written again as it was, and whatever a session sends, it can read.
#![no_main]

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use lb_bfd::{
    auth::{Key, Keys, Method},
    initiator::{self, Initiator},
    session::{Config, Session, addressee},
};
use lb_common::bfd::Packet;
use libfuzzer_sys::fuzz_target;

const LOCAL: NonZeroU32 = NonZeroU32::MIN;
const METHODS: [Method; 5] =
    [Method::SimplePassword, Method::KeyedMd5, Method::MeticulousMd5, Method::KeyedSha1, Method::MeticulousSha1];

fuzz_target!(|input: &[u8]| {
    let Some((&choice, mut rest)) = input.split_first() else { return };
    let mut config = Config::new(LOCAL, choice.into());
    config.authentication = METHODS
        .get(usize::from(choice % 8))
        .map(|method| Keys::new(*method, vec![Key { id: 1, secret: vec![b'k'] }]).expect("one byte fits"));
    let mut now = Instant::now();
    let mut session = Session::new(config, now);
    let mut initiator = Initiator::new(initiator::Config::new(LOCAL, NonZeroU32::MAX, 1), now);
    while let Some((&[length, pause], after)) = rest.split_first_chunk() {
        let (packet, after) = after.split_at(usize::from(length).min(after.len()));
        rest = after;
        now += Duration::from_millis(u64::from(pause) * 10);
        read(packet);
        // Refusals are what is expected of most bytes.
        let _refused = session.handle_packet(now, 255, packet).err();
        let _refused = initiator.handle_packet(now, 255, packet).err();
        session.handle_timeout(now);
        initiator.handle_timeout(now);
        for _ in 0..3 {
            if let Some(sent) = session.poll_transmit(now) {
                Packet::parse(&sent).expect("what a session sends is a packet");
            }
        }
        assert!(session.poll_transmit(now).is_none(), "it never ends");
        assert!(session.poll_timeout().is_none_or(|at| at > now));
        initiator.poll_transmit(now);
    }
});

fn read(bytes: &[u8]) {
    let Ok(control) = Packet::parse(bytes) else { return };
    assert!(addressee(bytes).is_ok());
    if control.authentication.is_none() && control.bytes.len() == 24 {
        assert_eq!(&control.packet.to_bytes()[..], control.bytes);
    }
}
