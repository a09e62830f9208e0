//! The generator and the sink, in the kernel.

use std::{
    fs,
    time::{Duration, Instant},
};

use aya::{
    Ebpf,
    maps::{Array, MapData, PerCpuArray},
    programs::{TestRun as _, TestRunAttrs, TestRunOptions, Xdp, XdpMode},
};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use plink_common::abi::{Be32, Mac};
use plink_tests::{agent::binary, kernel::Row, net::inside};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Bytes of each frame, without the checksum that a wire would add: 64 with it.
pub(crate) const FRAME_BYTES: usize = 60;
/// Frames that the kernel prepares at a time.
const BATCH: u32 = 64;
/// Frames of one call. A call also makes and ends a page pool, which waits for RCU: that time is not counted.
const CALL: u32 = 1 << 17;

/// Where a generator's frames enter, and what they look like.
pub(crate) struct Wire {
    /// The namespace of the client.
    pub(crate) namespace: String,
    /// Its interface.
    pub(crate) interface: &'static str,
    /// Destination and source MAC address.
    pub(crate) mac: ([u8; 6], [u8; 6]),
    /// Source and destination address.
    pub(crate) address: (std::net::Ipv4Addr, std::net::Ipv4Addr),
    /// Destination port.
    pub(crate) port: u16,
}

/// The layout of `PLAN` in the kernel program.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Plan {
    destination_mac: Mac,
    source_mac: Mac,
    source: Be32,
    destination: Be32,
    destination_port: u32,
    first_source_port: u32,
    flows: u32,
    random: u32,
}

/// What one run counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) time: Duration,
}

/// The loaded programs.
pub(crate) struct Generator {
    ebpf: std::sync::Mutex<Ebpf>,
}

impl Generator {
    pub(crate) fn load() -> Self {
        let agent = binary("plink-agent");
        let object = agent
            .ancestors()
            .map(|folder| folder.join("ebpf/bpfel-unknown-none/release/plink-bench"))
            .find(|path| path.is_file())
            .expect("the benchmark's kernel programs: run `cargo xtask bench`");
        let bytes = fs::read(object).unwrap();
        let mut ebpf = Ebpf::load(&bytes).expect("the object");
        for name in ["bench_source", "bench_sink"] {
            let program: &mut Xdp = ebpf.program_mut(name).expect("the program").try_into().unwrap();
            program.load().expect("the verifier's consent");
        }
        Self { ebpf: std::sync::Mutex::new(ebpf) }
    }

    /// Attaches the sink to `eth0` of a namespace, until the generator is dropped.
    pub(crate) fn attach_sink(&self, namespace: &str) {
        inside(namespace, || {
            let mut ebpf = self.ebpf.lock().unwrap();
            let program: &mut Xdp = ebpf.program_mut("bench_sink").unwrap().try_into().unwrap();
            program.attach("eth0", XdpMode::Driver).expect("native XDP on a veth");
        });
    }

    /// Sends for that long and counts what arrived.
    pub(crate) fn run(&self, wire: &Wire, flows: u32, time: Duration) -> Counted {
        inside(&wire.namespace, || {
            let mut cpu = CpuSet::new();
            cpu.set(0).unwrap();
            sched_setaffinity(Pid::from_raw(0), &cpu).unwrap();
            self.run_here(wire, flows, time)
        })
    }

    fn run_here(&self, wire: &Wire, flows: u32, time: Duration) -> Counted {
        let mut ebpf = self.ebpf.lock().unwrap();
        let plan = Plan {
            destination_mac: Mac::new(wire.mac.0),
            source_mac: Mac::new(wire.mac.1),
            source: wire.address.0.into(),
            destination: wire.address.1.into(),
            destination_port: wire.port.into(),
            first_source_port: 2000,
            flows,
            random: u32::from(flows > 1),
        };
        let mut plans: Array<&mut MapData, Row<Plan>> = ebpf.map_mut("PLAN").unwrap().try_into().unwrap();
        plans.set(0, Row(plan), 0).unwrap();

        let name = std::ffi::CString::new(wire.interface).unwrap();
        // SAFETY: a plain call with a string that outlives it.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        let mut context = [0_u8; 24];
        context[4..8].copy_from_slice(&(FRAME_BYTES as u32).to_ne_bytes());
        context[12..16].copy_from_slice(&index.to_ne_bytes());
        let frame = [0_u8; FRAME_BYTES];

        let before = seen(&ebpf);
        let program: &Xdp = ebpf.program("bench_source").unwrap().try_into().unwrap();
        let start = Instant::now();
        let mut sent = 0;
        let mut spent = Duration::ZERO;
        while start.elapsed() < time {
            let options = TestRunOptions {
                data_in: Some(&frame),
                ctx_in: Some(&context),
                repeat: CALL,
                attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
                ..TestRunOptions::default()
            };
            let result = program.test_run(options).expect("a run with live frames");
            sent += u64::from(CALL);
            // The kernel's own clock around the loop, in nanoseconds a frame.
            spent += result.duration * CALL;
        }
        // What is still on its way in the same softirq.
        std::thread::sleep(Duration::from_millis(20));
        Counted { sent, received: seen(&ebpf) - before, time: spent }
    }
}

fn seen(ebpf: &Ebpf) -> u64 {
    let map: PerCpuArray<&MapData, [u64; 2]> = ebpf.map("SEEN").unwrap().try_into().unwrap();
    map.get(&0, 0).unwrap().iter().map(|seen| seen[0]).sum()
}
