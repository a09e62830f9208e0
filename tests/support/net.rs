//! Sockets inside namespaces.

use std::{
    fs::File,
    io::{Error, Read as _, Write as _},
    mem::{size_of, zeroed},
    net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nix::sched::{CloneFlags, setns};

/// Runs `work` on a thread inside the namespace of that name and waits for it.
///
/// # Panics
/// When the namespace cannot be entered, or when `work` does.
pub fn inside<R: Send>(namespace: &str, work: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            enter(namespace);
            work()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Starts `work` on a thread inside the namespace of that name.
pub fn spawn_inside<R: Send + 'static>(namespace: &str, work: impl FnOnce() -> R + Send + 'static) -> JoinHandle<R> {
    let namespace = namespace.to_owned();
    thread::spawn(move || {
        enter(&namespace);
        work()
    })
}

fn enter(namespace: &str) {
    let path = format!("/run/netns/{namespace}");
    let file = File::open(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    setns(file.as_fd(), CloneFlags::CLONE_NEWNET).unwrap_or_else(|error| panic!("{path}: {error}"));
}

/// A service that runs until it is dropped.
pub struct Service {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    /// Runs `serve` inside a namespace; it has to return soon after its flag is set.
    pub fn start(namespace: &str, serve: impl FnOnce(&AtomicBool) + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        Self { stop, thread: Some(spawn_inside(namespace, move || serve(&flag))) }
    }

    /// Answers each TCP connection by `answer`, on a thread each.
    pub fn tcp(namespace: &str, port: u16, answer: impl Fn(TcpStream) + Clone + Send + 'static) -> Self {
        let (ready, wait) = std::sync::mpsc::channel();
        let service = Self::start(namespace, move |stop| {
            let listener = listen(port, 4096);
            listener.set_nonblocking(true).unwrap();
            ready.send(()).unwrap();
            while !stop.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        stream.set_nonblocking(false).unwrap();
                        let answer = answer.clone();
                        thread::Builder::new().stack_size(256 << 10).spawn(move || answer(stream)).unwrap();
                    }
                    Err(_) => thread::sleep(Duration::from_micros(500)),
                }
            }
        });
        wait.recv().expect("the listener");
        service
    }

    /// Sends each TCP connection's bytes back.
    pub fn tcp_echo(namespace: &str, port: u16) -> Self {
        Self::tcp(namespace, port, |mut stream| {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                if stream.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
        })
    }

    /// Sends each datagram back.
    pub fn udp_echo(namespace: &str, port: u16) -> Self {
        let (ready, wait) = std::sync::mpsc::channel();
        let service = Self::start(namespace, move |stop| {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            ready.send(()).unwrap();
            let mut buffer = [0; 2048];
            while !stop.load(Ordering::Relaxed) {
                if let Ok((count, from)) = socket.recv_from(&mut buffer) {
                    let _ = socket.send_to(&buffer[..count], from);
                }
            }
        });
        wait.recv().expect("the socket");
        service
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let result = thread.join();
            if !thread::panicking() {
                result.expect("the service goes on until it is stopped");
            }
        }
    }
}

fn listen(port: u16, backlog: i32) -> TcpListener {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
    // SAFETY: a listening socket; a second call only changes its backlog.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), backlog) }, 0);
    listener
}

/// Connects from a given source port.
///
/// # Errors
/// As `connect`, with `TimedOut` after the time.
pub fn connect_from(source_port: u16, to: SocketAddrV4, timeout: Duration) -> std::io::Result<TcpStream> {
    // SAFETY: plain calls on a socket of our own; the address outlives them.
    unsafe {
        let fd = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
        if fd < 0 {
            return Err(Error::last_os_error());
        }
        let socket = OwnedFd::from_raw_fd(fd);
        let one = 1_i32;
        libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, (&raw const one).cast(), 4);
        let time = libc::timeval { tv_sec: timeout.as_secs().cast_signed(), tv_usec: timeout.subsec_micros().into() };
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_SNDTIMEO,
            (&raw const time).cast(),
            size_of::<libc::timeval>() as u32,
        );
        let local = address(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, source_port));
        if libc::bind(fd, (&raw const local).cast(), size_of::<libc::sockaddr_in>() as u32) < 0 {
            return Err(Error::last_os_error());
        }
        let remote = address(to);
        if libc::connect(fd, (&raw const remote).cast(), size_of::<libc::sockaddr_in>() as u32) < 0 {
            return Err(Error::last_os_error());
        }
        Ok(TcpStream::from(socket))
    }
}

fn address(of: SocketAddrV4) -> libc::sockaddr_in {
    // SAFETY: zeros are a valid sockaddr_in.
    let mut address: libc::sockaddr_in = unsafe { zeroed() };
    address.sin_family = libc::AF_INET as u16;
    address.sin_port = of.port().to_be();
    address.sin_addr.s_addr = u32::from_ne_bytes(of.ip().octets());
    address
}

/// All frames of one interface of the current namespace.
pub struct Wire {
    socket: OwnedFd,
}

/// A frame that was captured.
pub struct Captured {
    /// When the kernel saw it, since 1970.
    pub at: Duration,
    /// Whether it left the namespace (or came in).
    pub outgoing: bool,
    /// Its bytes, at most 256.
    pub bytes: Vec<u8>,
}

impl Wire {
    /// Opens the interface. To be called inside the namespace.
    ///
    /// # Panics
    /// When it cannot be opened.
    #[must_use]
    pub fn open(interface: &str) -> Self {
        let name = std::ffi::CString::new(interface).unwrap();
        // SAFETY: plain calls on a socket of our own; the address outlives them.
        unsafe {
            let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
            assert!(fd >= 0, "a packet socket: {}", Error::last_os_error());
            let socket = OwnedFd::from_raw_fd(fd);
            let buffer = 64_i32 << 20;
            libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, (&raw const buffer).cast(), 4);
            let one = 1_i32;
            libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, (&raw const one).cast(), 4);
            let time = libc::timeval { tv_sec: 0, tv_usec: 100_000 };
            libc::setsockopt(
                fd,
                libc::SOL_SOCKET,
                libc::SO_RCVTIMEO,
                (&raw const time).cast(),
                size_of::<libc::timeval>() as u32,
            );
            let mut address: libc::sockaddr_ll = zeroed();
            address.sll_family = libc::AF_PACKET as u16;
            address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
            address.sll_ifindex = libc::if_nametoindex(name.as_ptr()).cast_signed();
            assert!(address.sll_ifindex > 0, "{interface}: no such interface");
            let bound = libc::bind(fd, (&raw const address).cast(), size_of::<libc::sockaddr_ll>() as u32);
            assert_eq!(bound, 0, "{interface}: {}", Error::last_os_error());
            Self { socket }
        }
    }

    /// Sends a frame.
    ///
    /// # Panics
    /// When the kernel refuses it.
    pub fn send(&self, frame: &[u8]) {
        loop {
            // SAFETY: the frame outlives the call.
            let sent = unsafe { libc::send(self.socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
            if sent >= 0 {
                return;
            }
            let error = Error::last_os_error();
            assert_eq!(error.raw_os_error(), Some(libc::ENOBUFS), "{error}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// The next frame; `None` when there was none for a tenth of a second.
    #[must_use]
    pub fn next(&self) -> Option<Captured> {
        let mut bytes = vec![0_u8; 256];
        // SAFETY: all buffers outlive the call and have the lengths that are given.
        unsafe {
            let mut from: libc::sockaddr_ll = zeroed();
            let mut control = [0_u64; 16];
            let mut vector = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
            let mut message: libc::msghdr = zeroed();
            message.msg_name = (&raw mut from).cast();
            message.msg_namelen = size_of::<libc::sockaddr_ll>() as u32;
            message.msg_iov = &raw mut vector;
            message.msg_iovlen = 1;
            message.msg_control = control.as_mut_ptr().cast();
            message.msg_controllen = size_of_val(&control);
            let count = libc::recvmsg(self.socket.as_raw_fd(), &raw mut message, 0);
            if count < 0 {
                return None;
            }
            bytes.truncate(count.cast_unsigned());
            let mut at = now();
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            if !header.is_null() && (*header).cmsg_type == libc::SO_TIMESTAMPNS {
                let time: libc::timespec = std::ptr::read_unaligned(libc::CMSG_DATA(header).cast());
                at = Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32);
            }
            Some(Captured { at, outgoing: from.sll_pkttype == libc::PACKET_OUTGOING, bytes })
        }
    }

    /// Frames that the socket had no room for since it was last asked.
    #[must_use]
    pub fn lost(&self) -> u32 {
        let mut statistics = [0_u32; 2];
        let mut length = size_of_val(&statistics) as u32;
        // SAFETY: the buffer has the size of tpacket_stats: packets and drops.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                statistics.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        assert_eq!(result, 0, "{}", Error::last_os_error());
        statistics[1]
    }
}

/// The time since 1970, as captures give it.
#[must_use]
pub fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970")
}
