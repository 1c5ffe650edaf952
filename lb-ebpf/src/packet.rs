//! The frame as packet pointers: the bounds checks, and the only `unsafe` on the packet's path.

use aya_ebpf::{
    bindings::xdp_md,
    helpers::generated::{bpf_xdp_adjust_tail, bpf_xdp_get_buff_len, bpf_xdp_load_bytes, bpf_xdp_store_bytes},
    programs::XdpContext,
};
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

    #[inline(always)]
    fn md(&self) -> *mut xdp_md {
        self.ctx.ctx
    }
}

impl Frame for Packet<'_> {
    #[inline(always)]
    fn len(&self) -> usize {
        // SAFETY: the context is the one the kernel passed in.
        unsafe { bpf_xdp_get_buff_len(self.md()) as usize }
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
    fn load<const N: usize>(&self, offset: usize, into: &mut [[u8; 8]; N], len: usize) -> Option<()> {
        if len == 0 || len > N * 8 {
            return None;
        }
        // SAFETY: `into` holds at least `len` bytes; the helper checks the frame's side.
        let error = unsafe { bpf_xdp_load_bytes(self.md(), offset as u32, into.as_mut_ptr().cast(), len as u32) };
        (error == 0).then_some(())
    }

    #[inline(always)]
    fn store<const N: usize>(&mut self, offset: usize, from: &mut [[u8; 8]; N], len: usize) -> Option<()> {
        if len == 0 || len > N * 8 {
            return None;
        }
        // SAFETY: `from` holds at least `len` bytes; the helper checks the frame's side.
        let error = unsafe { bpf_xdp_store_bytes(self.md(), offset as u32, from.as_mut_ptr().cast(), len as u32) };
        (error == 0).then_some(())
    }

    #[inline(always)]
    fn resize(&mut self, delta: i32) -> Option<()> {
        // SAFETY: no view of the packet survives `&mut self`; the next one reads its pointers anew.
        let error = unsafe { bpf_xdp_adjust_tail(self.md(), delta) };
        (error == 0).then_some(())
    }
}
