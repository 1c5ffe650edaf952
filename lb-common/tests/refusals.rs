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
    let mut packet = Packet { bytes: before.clone(), tailroom: 7 };

    assert_eq!(respond(&mut packet, &golden::maps()), Err(Pass::Resize));
    assert_eq!(packet.bytes, before);
}

/// A frame whose bytes beyond the Ethernet header cannot be copied.
struct Unreadable(Packet);

impl Frame for Unreadable {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn view<const N: usize>(&mut self, offset: usize) -> Option<&mut [u8; N]> {
        self.0.view(offset)
    }

    fn load<const N: usize>(&self, _: usize, _: &mut [[u8; 8]; N], _: usize) -> Option<()> {
        None
    }

    fn store<const N: usize>(&mut self, _: usize, _: &mut [[u8; 8]; N], _: usize) -> Option<()> {
        None
    }

    fn resize(&mut self, _: i32) -> Option<()> {
        None
    }
}

#[test]
fn a_frame_that_cannot_be_read_passes_untouched() {
    let before = input("ns-multicast");
    let mut frame = Unreadable(Packet::new(before.as_slice()));

    assert_eq!(respond(&mut frame, &golden::maps()), Err(Pass::Access));
    assert_eq!(frame.0.bytes, before);
}
