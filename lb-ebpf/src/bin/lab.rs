//! Programs of the lab and the benches: never shipped, never loaded by the agent.
//!
//! The benches' method: `bench_run` is what a test run repeats. On every pass it puts the template frame back, drains
//! the store buffer and tail-calls the subject, unmodified. The same with `lab_pass` as subject is the zero.
#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![expect(internal_features, reason = "a locked add: `AtomicU64` does not link for the BPF target")]

use core::intrinsics::{AtomicOrdering, atomic_xadd};

use aya_ebpf::{
    bindings::xdp_action,
    helpers::generated::bpf_xdp_store_bytes,
    macros::{map, xdp},
    maps::{Array, HashMap, PerCpuArray, ProgramArray},
    programs::XdpContext,
};

/// The longest template.
const TEMPLATE: usize = 96;

/// The frame under test and its length.
#[repr(C)]
#[derive(Clone, Copy)]
struct Template {
    bytes: [u8; TEMPLATE],
    length: u64,
}

/// One template. Written by the bench.
#[map]
static TEMPLATES: Array<Template> = Array::with_max_entries(1, 0);

/// The subject. Written by the bench.
#[map]
static SUBJECT: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// What the locked add writes.
#[map]
static DRAIN: Array<u64> = Array::with_max_entries(1, 0);

/// Frames that came back to the generator.
#[map]
static RECEIVED: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// The addresses of the reference responder.
#[map]
static ADDRESSES: HashMap<[u8; 4], [u8; 6]> = HashMap::with_max_entries(65_536, 0);

/// Passes everything: what a veth needs at its other end for `XDP_TX`, and the zero of the benches.
#[xdp(frags)]
fn lab_pass(_: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// One pass of a bench.
#[xdp(frags)]
fn bench_run(ctx: XdpContext) -> u32 {
    if restore(&ctx).is_none() {
        return xdp_action::XDP_ABORTED;
    }
    // SAFETY: the subject is a program of the same kind; a missing one falls through.
    unsafe { SUBJECT.tail_call(&ctx, 0) };
    xdp_action::XDP_ABORTED
}

/// The generator of live frames: the template, out of the interface.
#[xdp(frags)]
fn bench_send(ctx: XdpContext) -> u32 {
    if restore(&ctx).is_none() {
        return xdp_action::XDP_ABORTED;
    }
    xdp_action::XDP_TX
}

/// The sink of live frames: counts the replies (ARP opcode 2), drops everything.
#[xdp(frags)]
fn bench_sink(mut ctx: XdpContext) -> u32 {
    let Some(frame) = head(&mut ctx) else { return xdp_action::XDP_DROP };
    if frame[21] == 2
        && let Some(counter) = RECEIVED.get_ptr_mut(0)
    {
        // SAFETY: the element is this CPU's own.
        unsafe { *counter += 1 };
    }
    xdp_action::XDP_DROP
}

/// Reference: reads the EtherType, passes.
#[xdp(frags)]
fn reference_parse(mut ctx: XdpContext) -> u32 {
    let Some(frame) = head(&mut ctx) else { return xdp_action::XDP_DROP };
    if [frame[12], frame[13]] == [0x08, 0x06] { xdp_action::XDP_DROP } else { xdp_action::XDP_PASS }
}

/// Reference: the least that answers ARP for a set of addresses. One look-up; no segment, no lease, no counter.
#[xdp(frags)]
fn reference_arp(mut ctx: XdpContext) -> u32 {
    let Some(frame) = head(&mut ctx) else { return xdp_action::XDP_PASS };
    if [frame[12], frame[13]] != [0x08, 0x06] || [frame[20], frame[21]] != [0, 1] {
        return xdp_action::XDP_PASS;
    }
    let target = [frame[38], frame[39], frame[40], frame[41]];
    // SAFETY: the value is copied at once and never changes.
    let Some(mac) = (unsafe { ADDRESSES.get(target).copied() }) else { return xdp_action::XDP_PASS };
    let mut at = 0;
    while at < 6 {
        let sender = frame[22 + at];
        frame[at] = sender;
        frame[32 + at] = sender;
        frame[6 + at] = mac[at];
        frame[22 + at] = mac[at];
        at += 1;
    }
    let mut at = 0;
    while at < 4 {
        frame[38 + at] = frame[28 + at];
        frame[28 + at] = target[at];
        at += 1;
    }
    frame[21] = 2;
    xdp_action::XDP_TX
}

/// Puts the template over the frame and waits for the stores to be done.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "at most the length of the template")]
fn restore(ctx: &XdpContext) -> Option<()> {
    let template = TEMPLATES.get_ptr_mut(0)?;
    // SAFETY: an element of the map.
    let length = unsafe { (*template).length };
    if length == 0 || length > TEMPLATE as u64 {
        return None;
    }
    // SAFETY: the template holds `length` bytes; the helper checks the frame's side.
    let error = unsafe { bpf_xdp_store_bytes(ctx.ctx, 0, (&raw mut (*template).bytes).cast(), length as u32) };
    if error != 0 {
        return None;
    }
    let drain = DRAIN.get_ptr_mut(0)?;
    // SAFETY: an aligned element of the map.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::SeqCst }>(drain, 1) };
    Some(())
}

/// The first 42 bytes.
#[inline(always)]
fn head(ctx: &mut XdpContext) -> Option<&mut [u8; 42]> {
    let start = ctx.data();
    if start + 42 > ctx.data_end() {
        return None;
    }
    // SAFETY: in bounds by the check above, and the only borrow of the frame in each of the programs.
    Some(unsafe { &mut *(start as *mut [u8; 42]) })
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
