//! Offloads, through the ethtool ioctl: netlink's ethtool family has no Rust client that sets features.

use std::{ffi::c_void, io, os::fd::AsRawFd};

use anyhow::{Context as _, Result, ensure};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

const SIOCETHTOOL: libc::c_ulong = 0x8946;

/// A feature that can be read and set.
#[derive(Clone, Copy)]
pub(super) struct Feature {
    name: &'static str,
    get: u32,
    set: u32,
}

/// Transmit checksum offload. Off on every instance side: XDP sees packets before the checksum is filled in, and a
/// redirect makes the partial one permanent.
pub(super) const TX_CHECKSUM: Feature = Feature { name: "tx-checksumming", get: 0x16, set: 0x17 };

/// Generic receive offload. On for every instance side: it starts NAPI there, without which a redirected frame
/// vanishes (`veth_xdp_xmit`).
pub(super) const GRO: Feature = Feature { name: "generic-receive-offload", get: 0x2b, set: 0x2c };

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// The part of `struct ifreq` that SIOCETHTOOL reads, padded to the whole structure's size.
#[repr(C)]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    data: *mut c_void,
    rest: [u64; 2],
}

/// The offloads that decide whether redirected frames arrive whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Offloads {
    /// Transmit checksums are left to the device.
    pub tx_checksum: bool,
    /// Generic receive offload.
    pub gro: bool,
}

/// Reads the offloads of an interface of the current namespace.
pub fn offloads(interface: &str) -> Result<Offloads> {
    let is_on = |feature: Feature| Ok::<_, anyhow::Error>(call(interface, feature.get, 0)? != 0);
    Ok(Offloads { tx_checksum: is_on(TX_CHECKSUM)?, gro: is_on(GRO)? })
}

/// Brings a feature of an interface of the current namespace into the wanted state. Whether it had to be changed.
pub(super) fn ensure_feature(interface: &str, feature: Feature, on: bool) -> Result<bool> {
    let wanted = u32::from(on);
    let context = || format!("{} of {interface}", feature.name);
    if call(interface, feature.get, 0).with_context(context)? == wanted {
        return Ok(false);
    }
    call(interface, feature.set, wanted).with_context(context)?;
    let now = call(interface, feature.get, 0).with_context(context)?;
    ensure!(now == wanted, "{} of {interface} stays {}", feature.name, if on { "off" } else { "on" });
    Ok(true)
}

fn call(interface: &str, command: u32, data: u32) -> Result<u32> {
    ensure!(interface.len() < libc::IFNAMSIZ, "the interface name {interface} is longer than 15 characters");
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let mut value = Value { command, data };
    let mut name = [0; libc::IFNAMSIZ];
    name[..interface.len()].copy_from_slice(interface.as_bytes());
    let mut request = Request { name, data: (&raw mut value).cast(), rest: [0; 2] };
    // SAFETY: the request has the layout and the size of `struct ifreq`, its pointer is to a live `ethtool_value`, and
    // these commands write nothing but that value.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL as _, &raw mut request) };
    if result < 0 {
        return Err(io::Error::last_os_error().into());
    }
    Ok(value.data)
}
