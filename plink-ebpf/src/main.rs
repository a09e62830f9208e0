//! The kernel programs of plink: entry points, the maps, and the few unsafe lines between them and the packet logic of
//! `plink-common`. No decision is taken here.
#![no_std]
#![no_main]

mod maps;

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};

#[xdp(frags)]
pub fn plink_xdp(_ctx: XdpContext) -> u32 {
    let _ = maps::COUNTERS.get(0);
    xdp_action::XDP_DROP
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
