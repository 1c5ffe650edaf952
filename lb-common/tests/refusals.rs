//! What happens when the driver will not change the length of a frame, or the kernel will not give its bytes.

use lb_common::{
    frame::Frame,
    host::{Packet, golden},
    outcome::Pass,
    respond::respond,
};

fn input(name: &str) -> Vec<u8> {
    golden::table().into_iter().find(|golden| golden.name == name).expect("a golden frame").input
}

#[test]
fn a_frame_that_cannot_grow_passes_untouched() {
    let before = input("ns-dad");
    let mut packet = Packet { tailroom: 7, ..Packet::new(before.as_slice()) };

    assert_eq!(respond(&mut packet, &golden::maps()), Err(Pass::Resize));
    assert_eq!(packet.bytes, before);
}

/// A frame that changes its length and then lends nothing any more.
struct Lost {
    packet: Packet,
    resized: bool,
}

impl Frame for Lost {
    fn len(&self) -> usize {
        self.packet.len()
    }

    fn view<const N: usize>(&mut self, offset: usize) -> Option<&mut [u8; N]> {
        if self.resized { None } else { self.packet.view(offset) }
    }

    fn resize(&mut self, delta: i32) -> Option<()> {
        self.resized = true;
        self.packet.resize(delta)
    }
}

#[test]
fn a_frame_that_is_not_lent_again_after_it_grew_passes() {
    let mut frame = Lost { packet: Packet::new(input("ns-dad")), resized: false };

    assert_eq!(respond(&mut frame, &golden::maps()), Err(Pass::Access));
}
