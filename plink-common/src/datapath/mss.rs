//! The maximum segment size that a SYN announces is clamped to what both ways can carry, so that no path MTU has to be
//! discovered (RFC 9293, section 3.7.1; RFC 6691).

use super::Packet;
use crate::{
    abi::Be16,
    checksum::{self, Sum},
    wire::{Ipv4, Tcp},
};

/// Options that are looked at: the maximum segment size comes first in practice.
const MAX_OPTIONS: u32 = 8;
/// The last place where an option of four bytes fits into the longest header.
const LAST_PLACE: usize = 60 - 4;

const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const MAXIMUM_SEGMENT_SIZE: u8 = 2;

/// Lowers the option of a SYN, if it has one and it is too high; `None` when the frame ends inside the header.
#[inline(never)] // rare: kept out of the packet path
pub(super) fn clamp<P: Packet>(packet: &mut P, transport: usize, mtu: u16) -> Option<()> {
    let limit = mtu.saturating_sub((Ipv4::LEN + Tcp::LEN) as u16);
    let end = usize::from(packet.at::<Tcp>(transport)?.data_offset >> 4) * 4;
    let mut place = Tcp::LEN;
    for _ in 0..MAX_OPTIONS {
        if place > LAST_PLACE || place + 4 > end {
            return Some(());
        }
        let [kind, length, high, low] = *packet.at::<[u8; 4]>(transport + place)?;
        match kind {
            END => return Some(()),
            NO_OPERATION => place += 1,
            MAXIMUM_SEGMENT_SIZE if length == 4 => {
                let announced = u16::from_be_bytes([high, low]);
                return if announced > limit { lower(packet, transport, place, announced, limit) } else { Some(()) };
            }
            _ if length < 2 => return Some(()),
            _ => place += usize::from(length),
        }
    }
    Some(())
}

#[inline(always)]
fn lower<P: Packet>(packet: &mut P, transport: usize, place: usize, announced: u16, limit: u16) -> Option<()> {
    let option = packet.at_mut::<[u8; 4]>(transport + place)?;
    let [high, low] = limit.to_be_bytes();
    (option[2], option[3]) = (high, low);
    let (old, new) = (Be16::new(announced).bits(), Be16::new(limit).bits());
    // At an odd place the two bytes belong to two words of the sum, which is the same as one word with them exchanged.
    let odd = place % 2 == 1;
    let (old, new) = if odd { (old.swap_bytes(), new.swap_bytes()) } else { (old, new) };
    let tcp = packet.at_mut::<Tcp>(transport)?;
    tcp.checksum = checksum::apply(tcp.checksum, Sum::ZERO.replace(old, new).fold());
    Some(())
}
