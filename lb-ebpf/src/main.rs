//! Herald's kernel programs: the responder that answers ARP, NDP, S-BFD and, in the agent's place, BFD; the same for tc; and the
//! renewal of the lease.
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
mod skb;

use aya_ebpf::{
    bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action},
    helpers::generated::bpf_redirect,
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};
use aya_log_ebpf::info;
use lb_common::{outcome::Verdict, respond::respond};

/// Answers ARP requests and neighbour solicitations for the addresses this node holds, reflects S-BFD probes, and stands in
/// for the agent in BFD.
// Inlined into the program's entry: a call costs each frame that passes 7 ns.
#[xdp(frags)]
#[inline(always)]
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

/// The responder where XDP in the driver cannot be had: on tc ingress. What it does not take is the next program's.
#[classifier]
#[inline(always)]
fn lb_classifier(ctx: TcContext) -> i32 {
    let mut packet = skb::Packet::new(&ctx);
    let ifindex = packet.ifindex();
    let outcome = respond(&mut packet, &maps::Maps::at(ifindex));
    if let Some(counter) = maps::count(&outcome) {
        info!(&ctx, "interface {} outcome {}", ifindex, counter);
    }
    match Verdict::of(&outcome) {
        // SAFETY: the helper only notes where the frame goes: out of the interface it came in by.
        #[expect(clippy::cast_possible_truncation, reason = "an action has 32 bits; the helper's type is wider")]
        Verdict::Answer => unsafe { bpf_redirect(ifindex, 0) as i32 },
        Verdict::Drop => TC_ACT_SHOT,
        Verdict::Pass => TC_ACT_UNSPEC,
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
