//! Builds frames byte by byte, with checksums summed in full, sharing no code with the packet logic.

use std::net::Ipv4Addr;

/// TCP control bits.
pub mod flags {
    #![allow(missing_docs, reason = "the names are TCP's")]
    pub const FIN: u8 = 0x01;
    pub const SYN: u8 = 0x02;
    pub const RST: u8 = 0x04;
    pub const PSH: u8 = 0x08;
    pub const ACK: u8 = 0x10;
}

/// What a frame carries above IPv4.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the fields are the headers' own")]
pub enum Transport {
    /// TCP with control bits, sequence and acknowledgement number.
    Tcp { source: u16, destination: u16, flags: u8, sequence: u32, acknowledgement: u32 },
    /// UDP; without a checksum if `checksum` is false.
    Udp { source: u16, destination: u16, checksum: bool },
    /// ICMP: type, code, and the four bytes after the checksum.
    Icmp { kind: u8, code: u8, rest: [u8; 4] },
    /// Another protocol: the payload alone.
    Other(u8),
}

/// An IPv4 packet in an Ethernet frame.
#[derive(Clone, Debug)]
pub struct Ipv4Frame {
    /// Destination and source MAC address.
    pub mac: ([u8; 6], [u8; 6]),
    /// Source and destination address.
    pub address: (Ipv4Addr, Ipv4Addr),
    /// Hops left.
    pub time_to_live: u8,
    /// Identification.
    pub identification: u16,
    /// Flags and fragment offset.
    pub fragment: u16,
    /// Options, a multiple of four bytes.
    pub options: Vec<u8>,
    /// What it carries.
    pub transport: Transport,
    /// TCP's options, a multiple of four bytes.
    pub tcp_options: Vec<u8>,
    /// The transport's payload.
    pub payload: Vec<u8>,
}

impl Ipv4Frame {
    /// A frame with plain defaults.
    #[must_use]
    pub fn new(mac: ([u8; 6], [u8; 6]), address: (Ipv4Addr, Ipv4Addr), transport: Transport) -> Self {
        Self {
            mac,
            address,
            time_to_live: 64,
            identification: 0x1234,
            fragment: 0x4000,
            options: vec![],
            transport,
            tcp_options: vec![],
            payload: vec![],
        }
    }

    /// The same with a payload.
    #[must_use]
    pub fn payload(self, payload: &[u8]) -> Self {
        Self { payload: payload.to_vec(), ..self }
    }

    /// Its bytes.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let mut frame = [self.mac.0.as_slice(), &self.mac.1, &[0x08, 0x00]].concat();
        let (protocol, segment) = self.segment();
        let header_length = 20 + self.options.len();
        let mut ip = vec![0x40 | (header_length / 4) as u8, 0];
        ip.extend(((header_length + segment.len()) as u16).to_be_bytes());
        ip.extend(self.identification.to_be_bytes());
        ip.extend(self.fragment.to_be_bytes());
        ip.extend([self.time_to_live, protocol, 0, 0]);
        ip.extend(self.address.0.octets());
        ip.extend(self.address.1.octets());
        ip.extend(&self.options);
        let checksum = checksum(&ip).to_be_bytes();
        ip[10..12].copy_from_slice(&checksum);
        frame.extend(ip);
        frame.extend(segment);
        frame
    }

    fn segment(&self) -> (u8, Vec<u8>) {
        match self.transport {
            Transport::Tcp { source, destination, flags, sequence, acknowledgement } => {
                let mut tcp = [source.to_be_bytes(), destination.to_be_bytes()].concat();
                tcp.extend(sequence.to_be_bytes());
                tcp.extend(acknowledgement.to_be_bytes());
                let window: u16 = if flags & flags::RST != 0 { 0 } else { 0xfaf0 };
                tcp.extend([(((20 + self.tcp_options.len()) / 4) << 4) as u8, flags]);
                tcp.extend(window.to_be_bytes());
                tcp.extend([0; 4]);
                tcp.extend(&self.tcp_options);
                tcp.extend(&self.payload);
                let sum = self.transport_checksum(6, &tcp);
                tcp[16..18].copy_from_slice(&sum.to_be_bytes());
                (6, tcp)
            }
            Transport::Udp { source, destination, checksum } => {
                let mut udp = [source.to_be_bytes(), destination.to_be_bytes()].concat();
                udp.extend(((8 + self.payload.len()) as u16).to_be_bytes());
                udp.extend([0; 2]);
                udp.extend(&self.payload);
                if checksum {
                    let sum = match self.transport_checksum(17, &udp) {
                        0 => 0xffff,
                        sum => sum,
                    };
                    udp[6..8].copy_from_slice(&sum.to_be_bytes());
                }
                (17, udp)
            }
            Transport::Icmp { kind, code, rest } => {
                let mut icmp = vec![kind, code, 0, 0];
                icmp.extend(rest);
                icmp.extend(&self.payload);
                let sum = checksum(&icmp).to_be_bytes();
                icmp[2..4].copy_from_slice(&sum);
                (1, icmp)
            }
            Transport::Other(protocol) => (protocol, self.payload.clone()),
        }
    }

    fn transport_checksum(&self, protocol: u8, segment: &[u8]) -> u16 {
        let mut pseudo = [self.address.0.octets(), self.address.1.octets()].concat();
        pseudo.extend([0, protocol]);
        pseudo.extend((segment.len() as u16).to_be_bytes());
        pseudo.extend(segment);
        checksum(&pseudo)
    }
}

/// An ARP packet in a frame: operation, sender and target (MAC and address each).
#[must_use]
pub fn arp(
    mac: ([u8; 6], [u8; 6]),
    operation: u16,
    sender: ([u8; 6], Ipv4Addr),
    target: ([u8; 6], Ipv4Addr),
) -> Vec<u8> {
    let mut frame = [mac.0.as_slice(), &mac.1, &[0x08, 0x06, 0, 1, 8, 0, 6, 4]].concat();
    frame.extend(operation.to_be_bytes());
    frame.extend(sender.0);
    frame.extend(sender.1.octets());
    frame.extend(target.0);
    frame.extend(target.1.octets());
    frame
}

/// RFC 1071, word by word in network order.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Whether all checksums of an IPv4 frame are right; a frame of another kind has none. UDP without a checksum is right.
///
/// # Errors
/// Says which one is wrong.
pub fn verify_checksums(frame: &[u8]) -> Result<(), String> {
    if frame.get(12..14) != Some(&[0x08, 0x00]) {
        return Ok(());
    }
    let ip = &frame[14..];
    let header_length = usize::from(ip[0] & 0xf) * 4;
    let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
    if checksum(&ip[..header_length]) != 0 {
        return Err("IPv4 header checksum".to_owned());
    }
    let segment = &ip[header_length..total];
    if u16::from_be_bytes([ip[6], ip[7]]) & 0x3fff != 0 {
        return Ok(());
    }
    let mut pseudo = ip[12..20].to_vec();
    pseudo.extend([0, ip[9]]);
    pseudo.extend((segment.len() as u16).to_be_bytes());
    pseudo.extend(segment);
    let wrong = match ip[9] {
        6 => checksum(&pseudo) != 0,
        17 => segment[6..8] != [0, 0] && checksum(&pseudo) != 0,
        1 => checksum(segment) != 0,
        _ => false,
    };
    if wrong { Err(format!("checksum of protocol {}", ip[9])) } else { Ok(()) }
}
