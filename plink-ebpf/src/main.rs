//! The kernel programs of plink: entry points, the maps, and the few unsafe lines between them and the packet logic of
//! `plink-common`. No decision is taken here.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod maps;
mod packet;
mod tables;

use aya_ebpf::{bindings::xdp_action, helpers::bpf_ktime_get_coarse_ns, macros::xdp, programs::XdpContext};
use packet::XdpPacket;
use plink_common::{
    abi::TICK_SHIFT,
    datapath::{Action, process},
};
use tables::KernelTables;

#[xdp(frags)]
pub fn plink_xdp(context: XdpContext) -> u32 {
    // SAFETY: the helper has no arguments. The coarse clock costs less than half of the exact one.
    let now = (unsafe { bpf_ktime_get_coarse_ns() } >> TICK_SHIFT) as u32;
    let ingress = context.ingress_ifindex() as u32;
    let outcome = process(&mut XdpPacket::new(&context), &mut KernelTables, ingress, now);
    count(outcome.counter);
    match outcome.action {
        Action::Drop => xdp_action::XDP_DROP,
        // Not XDP_TX: on a veth its flush wakes the peer only if an XDP program runs there (`veth_xdp_flush`), and an
        // instance's side has none. A redirect wakes whoever has NAPI, which GRO starts there.
        Action::Transmit => redirect(ingress),
        Action::Redirect(port) => redirect(port),
    }
}

#[inline(always)]
fn redirect(port: u32) -> u32 {
    maps::DEVICES.redirect(port, 0).unwrap_or(xdp_action::XDP_ABORTED)
}

#[inline(always)]
fn count(slot: u32) {
    if let Some(counter) = maps::COUNTERS.get_ptr_mut(slot) {
        // SAFETY: this CPU's own value.
        unsafe { *counter += 1 };
    }
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The kernel grants the helpers that plink uses only to programs under a GPL-compatible licence.
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
