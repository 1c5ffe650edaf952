//! The frame as packet pointers: the bounds checks, and the only `unsafe` on the packet's path.

use aya_ebpf::{helpers::generated::bpf_xdp_adjust_tail, programs::XdpContext};
use lb_common::frame::Frame;

/// The frame of one program run.
pub(crate) struct Packet<'a> {
    ctx: &'a XdpContext,
}

impl<'a> Packet<'a> {
    #[inline(always)]
    pub(crate) fn new(ctx: &'a XdpContext) -> Self {
        Self { ctx }
    }
}

impl Frame for Packet<'_> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.ctx.data_end() - self.ctx.data()
    }

    #[inline(always)]
    fn view<const N: usize>(&mut self, offset: usize) -> Option<&mut [u8; N]> {
        let start = self.ctx.data() + offset;
        if start + N > self.ctx.data_end() {
            return None;
        }
        // SAFETY: in bounds by the check above; alignment 1, any bytes are valid; `&mut self` keeps the borrow alone.
        Some(unsafe { &mut *(start as *mut [u8; N]) })
    }

    #[inline(always)]
    fn resize(&mut self, delta: i32) -> Option<()> {
        // SAFETY: no view of the packet survives `&mut self`; the next one reads its pointers anew.
        let error = unsafe { bpf_xdp_adjust_tail(self.ctx.ctx, delta) };
        (error == 0).then_some(())
    }
}
