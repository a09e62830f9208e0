//! The packet generator and the sink of `cargo xtask bench`: pktgen's role, in the kernel.
//!
//! `bench_source` is run by BPF_PROG_TEST_RUN in live-frames mode on the client's interface and sends each frame out of
//! it. The kernel recycles the pages of such a run without restoring their bytes, so every header byte of every frame
//! is written. `bench_sink` counts what arrives at a target and drops it.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod packet;

use aya_ebpf::{
    bindings::xdp_action,
    btf_maps::{Array, PerCpuArray},
    macros::{btf_map, xdp},
    programs::XdpContext,
};
use packet::XdpPacket;
use plink_common::{
    abi::{Be16, Be32, Mac},
    checksum::Sum,
    datapath::Packet,
    wire::{EtherType, Ethernet, IpProtocol, Ipv4, Ports, Udp},
};

/// What the source sends: `[destination MAC, source MAC]` as three words of 16 bits each, then addresses, ports and
/// how many flows there are.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Plan {
    destination_mac: Mac,
    source_mac: Mac,
    source: Be32,
    destination: Be32,
    destination_port: u32,
    first_source_port: u32,
    /// At most 65,536 less the first port.
    flows: u32,
    /// 0: flows in turn, else in random order.
    random: u32,
}

#[btf_map]
static PLAN: Array<Plan, 1> = Array::new();

/// State of the generator: the number of the next frame, on each CPU.
#[btf_map]
static NEXT: PerCpuArray<u64, 1> = PerCpuArray::new();

/// Frames and bytes that the sink saw.
#[btf_map]
static SEEN: PerCpuArray<[u64; 2], 1> = PerCpuArray::new();

#[xdp(frags)]
pub fn bench_source(context: XdpContext) -> u32 {
    match write(&mut XdpPacket::new(&context)) {
        Some(()) => xdp_action::XDP_TX,
        None => xdp_action::XDP_DROP,
    }
}

#[inline(always)]
fn write(packet: &mut XdpPacket<'_>) -> Option<()> {
    let plan = PLAN.get(0)?;
    let next = NEXT.get_ptr_mut(0)?;
    // SAFETY: this CPU's own value.
    let number = unsafe { *next };
    // SAFETY: as above.
    unsafe { *next = number.wrapping_add(1) };
    let flow = match plan.random {
        0 => number as u32 % plan.flows.max(1),
        _ => ((u64::from(scatter(number)) * u64::from(plan.flows)) >> 32) as u32,
    };
    let length = (packet.linear_length() - Ethernet::LEN) as u16;

    *packet.at_mut::<Ethernet>(0)? =
        Ethernet { destination: plan.destination_mac, source: plan.source_mac, ethertype: EtherType::IPV4 };
    let mut ip = Ipv4 {
        version_length: 0x45,
        service: 0,
        total_length: Be16::new(length),
        identification: Be16::new(number as u16),
        fragment: Ipv4::DONT_FRAGMENT,
        time_to_live: 64,
        protocol: IpProtocol::UDP,
        checksum: 0,
        source: plan.source,
        destination: plan.destination,
    };
    ip.checksum = ip.compute_checksum();
    *packet.at_mut::<Ipv4>(Ethernet::LEN)? = ip;

    let ports = Ports {
        source: Be16::new((plan.first_source_port + flow) as u16),
        destination: Be16::new(plan.destination_port as u16),
    };
    let udp_length = Be16::new(length - Ipv4::LEN as u16);
    // The payload is zeros, which add nothing.
    let sum = Sum::ZERO
        .address(plan.source)
        .address(plan.destination)
        .word(Be16::new(IpProtocol::UDP as u16).bits())
        .word(udp_length.bits())
        .word(udp_length.bits())
        .word(ports.source.bits())
        .word(ports.destination.bits());
    *packet.at_mut::<Udp>(Ethernet::LEN + Ipv4::LEN)? = Udp { ports, length: udp_length, checksum: sum.finish() };
    Some(())
}

/// A permutation of 32-bit numbers that looks random (the finaliser of MurmurHash3).
#[inline(always)]
fn scatter(number: u64) -> u32 {
    let value = number as u32;
    let value = (value ^ (value >> 16)).wrapping_mul(0x85eb_ca6b);
    let value = (value ^ (value >> 13)).wrapping_mul(0xc2b2_ae35);
    value ^ (value >> 16)
}

#[xdp(frags)]
pub fn bench_sink(context: XdpContext) -> u32 {
    let packet = XdpPacket::new(&context);
    let is_udp = packet.at::<Ipv4>(Ethernet::LEN).is_some_and(|ip| ip.protocol == IpProtocol::UDP);
    if !is_udp {
        return xdp_action::XDP_PASS;
    }
    if let Some(seen) = SEEN.get_ptr_mut(0) {
        // SAFETY: this CPU's own value.
        unsafe {
            (*seen)[0] += 1;
            (*seen)[1] += packet.linear_length() as u64;
        }
    }
    xdp_action::XDP_DROP
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
