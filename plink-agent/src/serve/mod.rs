//! A small test service, so that labs need no other program: HTTP/1.1 that says who it is and whom it saw, and UDP
//! that echoes. It is for labs, not for the world: plain, unauthenticated, with small limits.

mod http;

use std::{
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use anyhow::Context as _;
use tokio::net::{TcpListener, UdpSocket};

pub use http::{Identity, serve_connection};

/// Serves HTTP at this port of all addresses, and echoes UDP at the same port if asked to. Returns on an error only.
pub async fn run(port: u16, udp: bool) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
        .await
        .with_context(|| format!("cannot listen at TCP port {port}"))?;
    let port = listener.local_addr()?.port();
    let echo = if udp {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).await;
        Some(socket.with_context(|| format!("cannot listen at UDP port {port}"))?)
    } else {
        None
    };
    let identity = Arc::new(Identity::from_environment());
    // Into the instance's log.
    writeln!(
        std::io::stdout(),
        "{} serves HTTP at port {port}{}",
        identity.name,
        if udp { " and echoes UDP" } else { "" }
    )?;
    if let Some(socket) = echo {
        tokio::spawn(echo_datagrams(socket));
    }
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        let identity = Arc::clone(&identity);
        tokio::spawn(async move {
            let local = stream.local_addr().ok();
            let _ = stream.set_nodelay(true);
            // A client that goes away is no matter.
            let _ = serve_connection(stream, &identity, local, peer).await;
        });
    }
}

async fn echo_datagrams(socket: UdpSocket) {
    let mut datagram = vec![0; 65_536];
    loop {
        // Errors here are those of earlier replies (ICMP unreachable) and say nothing about the socket.
        if let Ok((length, peer)) = socket.recv_from(&mut datagram).await {
            let _ = socket.send_to(&datagram[..length], peer).await;
        }
    }
}

/// An address without the port, for people.
fn host(address: Option<SocketAddr>) -> String {
    address.map_or_else(|| "?".to_owned(), |address| address.ip().to_string())
}
