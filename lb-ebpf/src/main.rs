//! Herald's XDP programs: the responder that answers ARP, NDP and S-BFD, and the renewal of the lease.
//!
//! Must not: hold packet logic. What a frame means is decided in `lb-common`, which the host tests run too; here are
//! the bounds checks, the map look-ups, and one match from outcome to verdict.
//!
//! Loaded by `lb-agent`; maps and programs are named in `lb_common::abi`.
#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![expect(internal_features, reason = "compare-and-set: `AtomicU64` does not link for the BPF target")]

mod lease;
mod maps;
mod packet;

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};
use aya_log_ebpf::info;
use lb_common::{outcome::Verdict, respond::respond};

/// Answers ARP requests and neighbour solicitations for the addresses this node holds, and reflects S-BFD probes.
#[xdp(frags)]
fn lb_responder(ctx: XdpContext) -> u32 {
    let outcome = respond(&mut packet::Packet::new(&ctx), &maps::Maps::of(&ctx));
    if let Some(counter) = maps::count(&outcome) {
        // Off unless the agent loads the program with `--ebpf-log frames`; the verifier then removes it.
        info!(&ctx, "interface {} outcome {}", ctx.ingress_ifindex(), counter);
    }
    match Verdict::of(&outcome) {
        Verdict::Answer => xdp_action::XDP_TX,
        Verdict::Drop => xdp_action::XDP_DROP,
        Verdict::Pass => xdp_action::XDP_PASS,
    }
}

/// Renews the lease: run by the agent as a test run, never attached.
#[xdp]
fn lb_renew(ctx: XdpContext) -> u32 {
    lease::renew(&mut packet::Packet::new(&ctx))
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

// GPL-only helpers (the coarse clock among them) ask for it: of its two licences the object takes this one.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
