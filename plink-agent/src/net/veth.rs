//! The two ends of a network interface: the hub side, with an index that we choose, and the instance side.

use std::{
    net::Ipv4Addr,
    os::fd::{AsRawFd as _, BorrowedFd},
};

use anyhow::{Context as _, Result, ensure};
use ipnet::Ipv4Net;
use netlink_packet_route::link::{InfoData, InfoKind, InfoVeth};
use rtnetlink::{LinkMessageBuilder, LinkUnspec, LinkVeth};

use super::{
    Link, Netlink,
    ethtool::{GRO, TX_CHECKSUM, ensure_feature},
};

/// MTU of the hub sides: above every instance's, so that a packet that is too long for its way out reaches the program,
/// which tells its sender. (A veth drops what its peer's MTU does not allow, and says nothing.)
pub const HUB_MTU: u32 = 9216;

/// An instance's interface as it has to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InterfacePlan {
    /// Its port slot: the hub side's index.
    pub index: u32,
    /// The hub side's name.
    pub hub_name: String,
    /// The instance side's name.
    pub name: String,
    /// The instance side's MAC address.
    pub mac: [u8; 6],
    /// The instance side's address, with the subnet's prefix length.
    pub address: Ipv4Net,
    /// The subnet's router.
    pub router: Ipv4Addr,
    /// The VPC's CIDR.
    pub vpc: Ipv4Net,
    /// The MTU of both sides.
    pub mtu: u32,
}

/// Whose namespace the instance side is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Made by the agent: everything in it is ours to configure.
    Created,
    /// Someone else's: nothing but our interface is touched, and a default route that is there stays.
    Attached,
}

/// What became of the instance side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shape {
    /// It was as it has to be.
    Right,
    /// It is now, after these were set.
    Repaired(Vec<&'static str>),
    /// It is not there.
    Missing,
}

/// Makes the pair. Runs in the hub.
pub fn create_pair(hub: &Netlink, plan: &InterfacePlan, instance: BorrowedFd<'_>) -> Result<()> {
    let peer = LinkMessageBuilder::<LinkUnspec>::new().name(plan.name.clone()).address(plan.mac.to_vec());
    // Not `up`: the kernel answers ENOTCONN.
    let peer = peer.mtu(plan.mtu).setns_by_fd(instance.as_raw_fd()).build();
    let pair = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth).name(plan.hub_name.clone());
    let pair = pair.index(plan.index).mtu(HUB_MTU).set_info_data(InfoData::Veth(InfoVeth::Peer(peer))).build();
    hub.add_link(pair).with_context(|| format!("cannot make the veth pair {}", plan.hub_name))?;
    hub.set_up(plan.index)
}

/// Brings the hub side into shape. Runs in the hub.
pub fn ensure_hub_side(hub: &Netlink, link: &Link) -> Result<()> {
    if link.mtu != HUB_MTU {
        hub.set_link(LinkUnspec::new_with_index(link.index).mtu(HUB_MTU).build()).context("cannot set the MTU")?;
    }
    if link.up { Ok(()) } else { hub.set_up(link.index) }
}

/// Brings the instance side into shape. Runs in the instance's namespace.
pub fn ensure_interface(instance: &Netlink, plan: &InterfacePlan, place: Place) -> Result<Shape> {
    let Some(link) = instance.link(&plan.name)? else { return Ok(Shape::Missing) };
    ensure!(
        link.peer == Some(plan.index),
        "the namespace has another interface {}; remove it, or attach the instance under another name",
        plan.name
    );
    let mut repaired = Vec::new();
    if place == Place::Created {
        let loopback = instance.link("lo")?.context("there is no loopback interface")?;
        if !loopback.up {
            instance.set_up(loopback.index)?;
            repaired.push("loopback");
        }
    }
    if link.mac != plan.mac {
        let mac = LinkUnspec::new_with_index(link.index).address(plan.mac.to_vec()).build();
        instance.set_link(mac).context("cannot set the MAC address")?;
        repaired.push("MAC address");
    }
    // Before it is up: no packet leaves with a partial checksum.
    if ensure_feature(&plan.name, TX_CHECKSUM, false)? {
        repaired.push("transmit checksum offload");
    }
    let gro_changed = ensure_feature(&plan.name, GRO, true)?;
    if gro_changed {
        repaired.push("GRO");
    }
    if link.mtu != plan.mtu {
        instance
            .set_link(LinkUnspec::new_with_index(link.index).mtu(plan.mtu).build())
            .context("cannot set the MTU")?;
        repaired.push("MTU");
    }
    if ensure_address(instance, &link, plan)? {
        repaired.push("address");
    }
    if !link.up {
        instance.set_up(link.index)?;
        repaired.push("link state");
    }
    if gro_changed || !link.up {
        // Once more, now that it is up: only then does the kernel mark the hub side as one that frames can be
        // redirected to (NETDEV_XDP_ACT_NDO_XMIT, set by `veth_set_features` of a running peer). Without the mark a
        // redirect fails, and all that shows is `rx_queue_N_drops` of the port that the frame entered at.
        ensure_feature(&plan.name, GRO, false)?;
        ensure_feature(&plan.name, GRO, true)?;
    }
    if ensure_route(instance, &link, plan, place)? {
        repaired.push("route");
    }
    Ok(if repaired.is_empty() { Shape::Right } else { Shape::Repaired(repaired) })
}

fn ensure_address(instance: &Netlink, link: &Link, plan: &InterfacePlan) -> Result<bool> {
    let wanted = (plan.address.addr(), plan.address.prefix_len());
    let addresses = instance.addresses(link.index)?;
    let mut changed = false;
    for (address, prefix) in addresses.iter().copied().filter(|address| *address != wanted) {
        instance.delete_address(link.index, address, prefix)?;
        changed = true;
    }
    if !addresses.contains(&wanted) {
        instance.add_address(link.index, wanted.0, wanted.1)?;
        changed = true;
    }
    Ok(changed)
}

/// The default route; in someone else's namespace that has one, a route to the VPC instead.
fn ensure_route(instance: &Netlink, link: &Link, plan: &InterfacePlan, place: Place) -> Result<bool> {
    let routes = instance.gateway_routes()?;
    let foreign_default = routes.iter().any(|(_, prefix, _, index)| *prefix == 0 && *index != link.index);
    let (to, prefix) = match place {
        Place::Attached if foreign_default => (plan.vpc.network(), plan.vpc.prefix_len()),
        _ => (Ipv4Addr::UNSPECIFIED, 0),
    };
    if routes.contains(&(to, prefix, plan.router, link.index)) {
        return Ok(false);
    }
    instance.set_route(to, prefix, plan.router, link.index)?;
    Ok(true)
}
