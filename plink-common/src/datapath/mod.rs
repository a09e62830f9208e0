//! The packet logic: what happens to a frame that enters at a port.
//!
//! [`process`] is the whole of it, generic over [`Packet`] (the frame) and [`Tables`] (what the agent wrote, and the
//! flows), with the time as an argument. It decides, changes the frame and returns an [`Outcome`]; the caller only
//! carries it out. The order of the look-ups is the order of what is frequent: a TCP or UDP packet looks for its flow
//! first, and only without one does the address table say what is at the destination.
//!
//! ```text
//! port → source MAC, source address → ARP: answered
//!                                   → flow: translated, redirected
//!                                   → address: an instance: delivered
//!                                              a frontend:  echo answered; an error of a flow: translated, redirected;
//!                                                           or a new flow: translated, redirected
//! ```

mod arp;
mod deliver;
mod echo;
mod flow;
mod icmp_error;
mod icmp_translate;
mod mss;
mod new_flow;
mod reset;
mod rewrite;
mod traits;

pub use new_flow::SOURCE_PORT_PROBES;
pub use traits::{InsertError, Packet, Stat, Tables};

use crate::{
    abi::{Be32, Counter, FlowKey, PortEntry},
    drop_reason::DropReason,
    wire::{EtherType, Ethernet, IpProtocol, Ipv4, Ports, Tcp, TcpFlags, Udp, UnreachableCode},
};

/// What to do with the frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Nothing goes out.
    Drop,
    /// Send the frame, as it is now, back to where it came from.
    Transmit,
    /// Send it out of this port.
    Redirect(u32),
}

/// What became of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// What to do with the frame.
    pub action: Action,
    /// The slot of `COUNTERS` that counts it.
    pub counter: u32,
}

/// What the parts return: a frame that goes somewhere, or why it does not.
type Step<T> = Result<T, Refusal>;

/// Why a packet goes no further, and what its sender is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Refusal {
    reason: DropReason,
    answer: Answer,
}

/// What the sender of a refused packet is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    /// Nothing.
    None,
    /// A RST. Only for TCP packets that are no RST themselves.
    Reset,
    /// ICMP destination unreachable.
    Unreachable {
        /// Why, see [`UnreachableCode`].
        code: u8,
        /// The MTU of the way out, where that is why.
        mtu: u16,
    },
}

impl From<DropReason> for Refusal {
    #[inline(always)]
    fn from(reason: DropReason) -> Self {
        Self { reason, answer: Answer::None }
    }
}

/// Decides about a frame that entered at the port with interface index `ingress`, at tick `now`.
#[inline(always)]
pub fn process<P: Packet, T: Tables>(packet: &mut P, tables: &mut T, ingress: u32, now: u32) -> Outcome {
    match enter(packet, tables, ingress, now) {
        Ok((action, counter)) => Outcome { action, counter: counter as u32 },
        Err(Refusal { reason, answer }) => {
            let answered = match answer {
                Answer::None => None,
                Answer::Reset => reset::answer(packet),
                Answer::Unreachable { code, mtu } => icmp_error::answer(packet, code, mtu),
            };
            let action = if answered.is_some() { Action::Transmit } else { Action::Drop };
            Outcome { action, counter: Counter::drop_slot(reason) }
        }
    }
}

#[inline(always)]
fn enter<P: Packet, T: Tables>(packet: &mut P, tables: &mut T, ingress: u32, now: u32) -> Step<(Action, Counter)> {
    let port = tables.port(ingress).ok_or(DropReason::UnknownPort)?;
    let ethernet = *packet.at::<Ethernet>(0).ok_or(DropReason::Malformed)?;
    if ethernet.source != port.mac {
        return Err(DropReason::SpoofedMac.into());
    }
    match ethernet.ethertype {
        EtherType::IPV4 if ethernet.destination.is_group() => Err(DropReason::GroupDestination.into()),
        EtherType::IPV4 => ipv4(packet, tables, Ingress { port, index: ingress, now }),
        EtherType::ARP => arp::answer(packet, tables, &port).map(|()| (Action::Transmit, Counter::Answered)),
        EtherType::IPV6 => Err(DropReason::Ipv6.into()),
        EtherType::VLAN | EtherType::SERVICE_VLAN => Err(DropReason::VlanTag.into()),
        _ => Err(DropReason::UnsupportedEthertype.into()),
    }
}

/// Where and when a packet entered.
#[derive(Clone, Copy)]
struct Ingress {
    port: PortEntry,
    index: u32,
    now: u32,
}

/// What the logic needs to know of an IPv4 packet.
#[derive(Clone, Copy)]
struct Parsed {
    source: Be32,
    destination: Be32,
    protocol: u8,
    fragment: bool,
    /// Bytes of the IP packet, as its header says.
    length: u64,
    /// Where the transport header begins in the frame.
    transport: usize,
}

#[inline(always)]
fn ipv4<P: Packet, T: Tables>(packet: &mut P, tables: &mut T, ingress: Ingress) -> Step<(Action, Counter)> {
    let header = packet.at::<Ipv4>(Ethernet::LEN).ok_or(DropReason::Malformed)?;
    let header_length = header.header_length().ok_or(DropReason::Malformed)?;
    let total_length = header.total_length.get();
    if usize::from(total_length) < header_length {
        return Err(DropReason::Malformed.into());
    }
    if { header.source } != ingress.port.address {
        return Err(DropReason::SpoofedAddress.into());
    }
    let parsed = Parsed {
        source: header.source,
        destination: header.destination,
        protocol: header.protocol,
        fragment: header.is_fragment(),
        length: u64::from(total_length),
        transport: Ethernet::LEN + header_length,
    };
    if !parsed.fragment && matches!(parsed.protocol, IpProtocol::TCP | IpProtocol::UDP) {
        let segment = segment(packet, &parsed, ingress.port.vpc)?;
        if let Some(port) = flow::forward(packet, tables, &ingress, &parsed, &segment)? {
            return Ok((Action::Redirect(port), Counter::Translated));
        }
        return to_address(packet, tables, &ingress, &parsed, Some(&segment));
    }
    to_address(packet, tables, &ingress, &parsed, None)
}

impl Parsed {
    /// Refuses a packet that the way out cannot carry.
    #[inline(always)]
    fn check_mtu(&self, out: &PortEntry) -> Step<()> {
        if self.length > u64::from(out.mtu) {
            let answer = Answer::Unreachable { code: UnreachableCode::FRAGMENTATION_NEEDED, mtu: out.mtu };
            return Err(Refusal { reason: DropReason::PacketTooBig, answer });
        }
        Ok(())
    }
}

/// What the logic needs to know of a TCP or UDP header.
#[derive(Clone, Copy)]
struct Segment {
    key: FlowKey,
    /// TCP's control bits; 0 for UDP.
    flags: u8,
    /// Whether it may open a flow.
    opens: bool,
}

impl Segment {
    /// A refusal that tells the sender: a RST, unless the packet is one itself (RFC 9293, section 3.5.2), or ICMP.
    #[inline(always)]
    const fn refuse(&self, reason: DropReason) -> Refusal {
        let answer = if self.key.protocol != IpProtocol::TCP {
            Answer::Unreachable { code: UnreachableCode::PORT, mtu: 0 }
        } else if self.flags & TcpFlags::RST == 0 {
            Answer::Reset
        } else {
            Answer::None
        };
        Refusal { reason, answer }
    }
}

#[inline(always)]
fn segment<P: Packet>(packet: &P, parsed: &Parsed, vpc: u32) -> Step<Segment> {
    let (ports, flags, opens): (Ports, u8, bool) = if parsed.protocol == IpProtocol::TCP {
        let tcp = packet.at::<Tcp>(parsed.transport).ok_or(DropReason::Malformed)?;
        (tcp.ports, tcp.flags, tcp.opens())
    } else {
        let udp = packet.at::<Udp>(parsed.transport).ok_or(DropReason::Malformed)?;
        (udp.ports, 0, true)
    };
    let key = FlowKey {
        vpc,
        source: parsed.source,
        destination: parsed.destination,
        source_port: ports.source,
        destination_port: ports.destination,
        protocol: parsed.protocol,
        zero: [0; 3],
    };
    Ok(Segment { key, flags, opens })
}

/// A packet without a flow: what is at its destination decides.
#[inline(always)]
fn to_address<P: Packet, T: Tables>(
    packet: &mut P,
    tables: &mut T,
    ingress: &Ingress,
    parsed: &Parsed,
    segment: Option<&Segment>,
) -> Step<(Action, Counter)> {
    let destination = deliver::find(tables, ingress, parsed)?;
    match destination {
        deliver::Destination::Instance { port } => {
            deliver::to_instance(packet, tables, ingress, parsed, port)?;
            Ok((Action::Redirect(port), Counter::Delivered))
        }
        deliver::Destination::Frontend(frontend) => {
            let result = match segment {
                Some(segment) => new_flow::open(packet, tables, ingress, parsed, segment, &frontend)
                    .map(|port| (Action::Redirect(port), Counter::Translated)),
                None if icmp_translate::is_error(packet, parsed) => {
                    icmp_translate::translate(packet, tables, ingress, parsed)
                        .map(|port| (Action::Redirect(port), Counter::Translated))
                }
                None => echo::answer(packet, tables, parsed, &frontend).map(|()| (Action::Transmit, Counter::Answered)),
            };
            if result.is_err() {
                tables.count(frontend.slot, Stat::Drop, 0);
            }
            result
        }
    }
}
