//! Programs of the lab and the benches: never shipped, never loaded by the agent.
#![no_std]
#![no_main]

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};

/// Passes everything: what a veth needs at its other end for `XDP_TX`, and the zero of the benches.
#[xdp(frags)]
fn lab_pass(_: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// Drops everything: the sink of the benches.
#[xdp(frags)]
fn lab_drop(_: XdpContext) -> u32 {
    xdp_action::XDP_DROP
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
