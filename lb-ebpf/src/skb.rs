//! The frame as tc sees it: a socket buffer, whose outer VLAN tag the kernel took out, and whose bytes need not lie in one
//! piece.

use aya_ebpf::{
    bindings::__sk_buff,
    helpers::generated::{bpf_skb_change_tail, bpf_skb_pull_data},
    programs::TcContext,
};
use lb_common::frame::Frame;

/// No frame that we take is longer; of a longer one the first piece is all we look at.
const LONGEST: u32 = 256;

/// The frame of one program run.
pub(crate) struct Packet {
    skb: *mut __sk_buff,
}

impl Packet {
    /// A short frame is put in one piece first; that almost always costs a comparison.
    #[inline(always)]
    pub(crate) fn new(ctx: &TcContext) -> Self {
        let packet = Self { skb: ctx.skb.skb };
        let length = packet.field(|skb| skb.len);
        if length <= LONGEST && packet.data() + length as usize > packet.data_end() {
            // SAFETY: no view of the packet is lent yet. A refusal leaves it as it is: then it is judged by its first piece.
            unsafe { bpf_skb_pull_data(packet.skb, length) };
        }
        packet
    }

    #[inline(always)]
    pub(crate) fn ifindex(&self) -> u32 {
        self.field(|skb| skb.ifindex)
    }

    #[inline(always)]
    fn data(&self) -> usize {
        self.field(|skb| skb.data) as usize
    }

    #[inline(always)]
    fn data_end(&self) -> usize {
        self.field(|skb| skb.data_end) as usize
    }

    #[inline(always)]
    fn field(&self, of: impl FnOnce(&__sk_buff) -> u32) -> u32 {
        // SAFETY: the context of the run; it outlives it, and its fields are read as the kernel has them now.
        of(unsafe { &*self.skb })
    }
}

impl Frame for Packet {
    #[inline(always)]
    fn len(&self) -> usize {
        self.field(|skb| skb.len) as usize
    }

    #[inline(always)]
    fn stripped_vlan(&self) -> Option<u16> {
        // IEEE 802.1Q 9.6: the identifier is the low 12 bits of the tag.
        (self.field(|skb| skb.vlan_present) != 0).then(|| (self.field(|skb| skb.vlan_tci) & 0x0fff) as u16)
    }

    #[inline(always)]
    fn view<const N: usize>(&mut self, offset: usize) -> Option<&mut [u8; N]> {
        let start = self.data() + offset;
        if start + N > self.data_end() {
            return None;
        }
        // SAFETY: in bounds by the check above; alignment 1, any bytes are valid; `&mut self` keeps the borrow alone.
        Some(unsafe { &mut *(start as *mut [u8; N]) })
    }

    #[inline(always)]
    fn resize(&mut self, delta: i32) -> Option<()> {
        let length = self.field(|skb| skb.len).wrapping_add_signed(delta);
        // SAFETY: no view of the packet survives `&mut self`; the next one reads its pointers anew.
        let error = unsafe { bpf_skb_change_tail(self.skb, length, 0) };
        (error == 0).then_some(())
    }
}
