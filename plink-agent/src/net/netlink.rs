//! rtnetlink, blocking: a connection belongs to the namespace of the thread that opens it, and that thread waits for
//! each answer.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result};
use futures::TryStreamExt as _;
use netlink_packet_route::{
    AddressFamily,
    address::AddressAttribute,
    link::{LinkAttribute, LinkFlags, LinkMessage},
    route::{RouteAddress, RouteAttribute, RouteMessage},
};
use rtnetlink::{Handle, LinkUnspec, RouteMessageBuilder};
use tokio::runtime::{Builder, Runtime};

/// A connection to the current thread's network namespace.
pub struct Netlink {
    runtime: Runtime,
    handle: Handle,
}

/// What is compared of an interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// Its interface index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its MAC address.
    pub mac: Vec<u8>,
    /// Its MTU.
    pub mtu: u32,
    /// Whether it is up.
    pub up: bool,
    /// For a veth: the interface index of its peer, in the peer's namespace.
    pub peer: Option<u32>,
}

impl Netlink {
    pub(super) fn new() -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().build().context("cannot start a runtime")?;
        let (connection, handle, _) = {
            let _entered = runtime.enter();
            rtnetlink::new_connection().context("cannot open a netlink socket")?
        };
        runtime.spawn(connection);
        Ok(Self { runtime, handle })
    }

    /// All interfaces.
    pub fn links(&self) -> Result<Vec<Link>> {
        let links = self.runtime.block_on(self.handle.link().get().execute().try_collect::<Vec<_>>());
        Ok(links.context("cannot list the interfaces")?.iter().map(Link::from).collect())
    }

    /// The interface of this name, if there is one.
    pub fn link(&self, name: &str) -> Result<Option<Link>> {
        match self.runtime.block_on(self.handle.link().get().match_name(name).execute().try_next()) {
            Ok(link) => Ok(link.as_ref().map(Link::from)),
            Err(error) if code(&error) == -libc::ENODEV => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot look up the interface {name}")),
        }
    }

    /// Makes an interface.
    pub(super) fn add_link(&self, message: LinkMessage) -> Result<()> {
        Ok(self.runtime.block_on(self.handle.link().add(message).execute())?)
    }

    /// Changes an interface.
    pub(super) fn set_link(&self, message: LinkMessage) -> Result<()> {
        Ok(self.runtime.block_on(self.handle.link().set(message).execute())?)
    }

    /// Sets an interface up.
    pub fn set_up(&self, index: u32) -> Result<()> {
        self.set_link(LinkUnspec::new_with_index(index).up().build()).context("cannot set the interface up")
    }

    /// Removes an interface; one that is gone is no error.
    pub fn delete_link(&self, index: u32) -> Result<()> {
        match self.runtime.block_on(self.handle.link().del(index).execute()) {
            Err(error) if code(&error) != -libc::ENODEV => Err(error).context("cannot delete the interface"),
            _ => Ok(()),
        }
    }

    /// The IPv4 addresses of an interface, with their prefix lengths.
    pub(super) fn addresses(&self, index: u32) -> Result<Vec<(Ipv4Addr, u8)>> {
        let request = self.handle.address().get().set_link_index_filter(index).execute();
        let messages = self.runtime.block_on(request.try_collect::<Vec<_>>()).context("cannot list the addresses")?;
        let messages = messages.into_iter().filter(|message| message.header.index == index);
        Ok(messages
            .filter_map(|message| {
                let local = message.attributes.iter().find_map(|attribute| match attribute {
                    AddressAttribute::Local(std::net::IpAddr::V4(address)) => Some(*address),
                    _ => None,
                });
                Some((local?, message.header.prefix_len))
            })
            .collect())
    }

    /// Gives an interface an address.
    pub(super) fn add_address(&self, index: u32, address: Ipv4Addr, prefix: u8) -> Result<()> {
        let request = self.handle.address().add(index, address.into(), prefix).replace();
        self.runtime.block_on(request.execute()).with_context(|| format!("cannot add the address {address}/{prefix}"))
    }

    /// Takes an address from an interface.
    pub(super) fn delete_address(&self, index: u32, address: Ipv4Addr, prefix: u8) -> Result<()> {
        let request = self.handle.address().get().set_link_index_filter(index).execute();
        let messages = self.runtime.block_on(request.try_collect::<Vec<_>>()).context("cannot list the addresses")?;
        for message in messages {
            let is_it = message.header.index == index
                && message.header.prefix_len == prefix
                && message.attributes.contains(&AddressAttribute::Local(address.into()));
            if is_it {
                let request = self.handle.address().del(message);
                self.runtime.block_on(request.execute()).with_context(|| format!("cannot remove {address}"))?;
            }
        }
        Ok(())
    }

    /// The IPv4 routes through a gateway: destination (0.0.0.0/0 for the default route), gateway, interface.
    pub(super) fn gateway_routes(&self) -> Result<Vec<(Ipv4Addr, u8, Ipv4Addr, u32)>> {
        let mut filter = RouteMessage::default();
        filter.header.address_family = AddressFamily::Inet;
        let routes = self.handle.route().get(filter).execute();
        let routes = self.runtime.block_on(routes.try_collect::<Vec<_>>()).context("cannot list the routes")?;
        Ok(routes.iter().filter_map(gateway_route).collect())
    }

    /// Adds a route through a gateway, or replaces the one to the same destination.
    pub(super) fn set_route(&self, to: Ipv4Addr, prefix: u8, gateway: Ipv4Addr, index: u32) -> Result<()> {
        let route = RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(to, prefix);
        let route = route.gateway(gateway).output_interface(index).build();
        let request = self.handle.route().add(route).replace();
        self.runtime
            .block_on(request.execute())
            .with_context(|| format!("cannot set the route to {to}/{prefix} through {gateway}"))
    }
}

impl From<&LinkMessage> for Link {
    fn from(message: &LinkMessage) -> Self {
        let up = message.header.flags.contains(LinkFlags::Up);
        let mut link =
            Self { index: message.header.index, name: String::new(), mac: Vec::new(), mtu: 0, up, peer: None };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name.clone_from(name),
                LinkAttribute::Address(mac) => link.mac.clone_from(mac),
                LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
                LinkAttribute::Link(peer) => link.peer = Some(*peer),
                _ => {}
            }
        }
        link
    }
}

fn gateway_route(route: &RouteMessage) -> Option<(Ipv4Addr, u8, Ipv4Addr, u32)> {
    let (mut to, mut gateway, mut index) = (Ipv4Addr::UNSPECIFIED, None, None);
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(address)) => to = *address,
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => gateway = Some(*address),
            RouteAttribute::Oif(oif) => index = Some(*oif),
            _ => {}
        }
    }
    Some((to, route.header.destination_prefix_length, gateway?, index?))
}

/// The kernel's error number, negative; 0 if the error is another.
fn code(error: &rtnetlink::Error) -> i32 {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.raw_code(),
        _ => 0,
    }
}
