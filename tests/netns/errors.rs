//! ICMP errors between real sockets.

use std::{io::ErrorKind, net::UdpSocket, os::fd::AsRawFd as _, time::Duration};

use plink_tests::{agent::Agent, kernel::command, labs, net::inside};

/// Nobody listens at the target: its kernel says so, and the client's socket hears it, through the endpoint.
#[test]
fn a_client_hears_that_the_targets_port_is_closed() {
    let agent = Agent::start();
    agent.lab(&(labs::provider(2) + &labs::consumer("tenant")));
    agent.ctl(&["endpoint", "accept", "tenant"]);
    let error = inside(&agent.namespace("tenant-client"), || {
        let socket = UdpSocket::bind(("0.0.0.0", 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        socket.connect((labs::ENDPOINT[0], 53)).unwrap();
        socket.send(b"anyone?").unwrap();
        socket.recv(&mut [0; 16]).expect_err("nobody answers")
    });
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
}

/// A datagram that is too long for its way out is answered with the MTU, and the sender's kernel refuses the next one.
/// The agent is dead meanwhile: it would give the interface its MTU back.
#[test]
fn a_client_learns_the_mtu_of_a_way_out_that_is_narrower() {
    let mut agent = Agent::start();
    agent.lab(&(labs::provider(1) + &labs::consumer("tenant")));
    agent.ctl(&["endpoint", "accept", "tenant"]);
    let client = agent.namespace("tenant-client");
    agent.kill();
    let error = inside(&client, || {
        command("ip", &["link", "set", "eth0", "mtu", "9000"]);
        let socket = UdpSocket::bind(("0.0.0.0", 0)).unwrap();
        let never_fragment = libc::IP_PMTUDISC_DO;
        // SAFETY: a plain option of a socket of our own.
        let set = unsafe {
            let option = (&raw const never_fragment).cast();
            libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, option, 4)
        };
        assert_eq!(set, 0);
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        socket.connect((labs::ENDPOINT[0], 53)).unwrap();
        let packet = vec![0; 8600];
        socket.send(&packet).expect("nothing is known yet");
        let _ = socket.recv(&mut [0; 16]);
        socket.send(&packet).expect_err("the path's MTU is known now")
    });
    assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE), "{error}");
    agent.restart();
}
