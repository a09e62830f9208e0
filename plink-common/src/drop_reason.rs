//! Why a packet was dropped: error, metric and label in one.

/// Numbered and append-only: a number never changes its meaning, since dashboards and pinned counters hold it.
macro_rules! drop_reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, $label:literal;)+) => {
        /// Why a packet was dropped.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u32)]
        pub enum DropReason {
            $($(#[doc = $doc])+ $name = $number,)+
        }

        impl DropReason {
            /// All reasons, by number.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The name in counters, logs and `plinkctl drops`.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }

            /// One sentence on what it means.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+),)+ }
            }
        }
    };
}

drop_reasons! {
    /// The interface has no entry in the port table.
    UnknownPort = 0, "unknown-port";
    /// The frame or a header in it is shorter than it must be, or contradicts itself.
    Malformed = 1, "malformed";
    /// The source MAC address is not the port's.
    SpoofedMac = 2, "spoofed-mac";
    /// The source address is not the port's.
    SpoofedAddress = 3, "spoofed-address";
    /// An Ethernet type that is neither IPv4, ARP, IPv6 nor a VLAN tag.
    UnsupportedEthertype = 4, "unsupported-ethertype";
    /// A VLAN tag.
    VlanTag = 5, "vlan-tag";
    /// IPv6, which is not carried yet.
    Ipv6 = 6, "ipv6";
    /// ARP that is no request for another's IPv4 address over Ethernet.
    UnsupportedArp = 7, "unsupported-arp";
    /// ARP for an address that does not exist in the sender's subnet.
    ArpUnknownAddress = 8, "arp-unknown-address";
    /// Sent to a broadcast or multicast address.
    GroupDestination = 9, "group-destination";
    /// No such address in the sender's VPC.
    NoRoute = 10, "no-route";
    /// Sent to the router's own address.
    RouterAddress = 11, "router-address";
    /// At an endpoint or load balancer: neither TCP nor UDP, nor an echo request to an endpoint.
    UnsupportedProtocol = 12, "unsupported-protocol";
    /// At an endpoint or load balancer: a fragment.
    Fragment = 13, "fragment";
    /// The endpoint is not available: not accepted yet, or rejected.
    EndpointUnavailable = 14, "endpoint-unavailable";
    /// No listener at this protocol and port.
    NoListener = 15, "no-listener";
    /// The listener's target group has no target to choose.
    NoTarget = 16, "no-target";
    /// A TCP packet that opens no flow and belongs to none.
    UnknownFlow = 17, "unknown-flow";
    /// The flow's endpoint was rejected or deleted since it was made.
    EndpointRevoked = 18, "endpoint-revoked";
    /// The flow's target was removed since it was made.
    TargetRemoved = 19, "target-removed";
    /// The interface that the flow leaves through is gone.
    PortGone = 20, "port-gone";
    /// Every probed source port of the load balancer node is in use.
    NoSourcePort = 21, "no-source-port";
    /// The flow table is full.
    FlowTableFull = 22, "flow-table-full";
    /// Two CPUs made the flow at once, and its entry was gone when this one looked again.
    FlowRace = 23, "flow-race";
    /// The reply to send could not be built: the kernel refused to change the frame's length.
    ReplyFailed = 24, "reply-failed";
    /// The program met a state that its own tables forbid.
    Internal = 25, "internal";
    /// The packet is longer than the MTU of its way out; its sender is told (ICMP fragmentation needed).
    PacketTooBig = 26, "packet-too-big";
    /// At an endpoint or load balancer: an ICMP error that quotes no packet of a living flow.
    IcmpUnknownFlow = 27, "icmp-unknown-flow";
}
