//! The loaded program behind BPF_PROG_TEST_RUN.
//!
//! A test run takes the ingress interface's index from its context, and the interface has to exist: the runner works
//! in a namespace of its own with one veth pair for each port of the world, at the ports' own indexes.

use std::{process::Command, thread};

use aya::{
    Ebpf, EbpfLoader, Pod,
    maps::{Array, ArrayOfMaps, DevMap, HashMap, MapData, PerCpuArray},
    programs::{TestRun as _, TestRunOptions, Xdp},
};
use nix::sched::{CloneFlags, unshare};
use plink_common::abi::{
    COUNTER_SLOTS, Counter, FlowEntry, FlowKey, FrontendEntry, FrontendStats, MaglevTable, Meta, PortEntry, TargetEntry,
};

use crate::{
    runner::{FLOW_ENTRIES, Ran, Runner, Verdict},
    world::{HOSTS, SEED, World},
};

/// A row as aya wants it.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Row<T>(pub T);

// SAFETY: zerocopy has shown that the type is plain bytes without padding and that any bytes are one.
unsafe impl<T: zerocopy::IntoBytes + zerocopy::FromBytes + Copy + 'static> Pod for Row<T> {}

/// Runs `test` in a thread with a network namespace of its own, which ends with it.
///
/// # Panics
/// When the namespace cannot be made (root is needed), or when `test` does.
pub fn in_namespace<R: Send>(test: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace (run the tests as root)");
            test()
        });
        match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Runs a command and fails with its message.
///
/// # Panics
/// When it cannot be started or fails.
pub fn command(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The loaded program. To be made and used inside [`in_namespace`].
pub struct KernelRunner {
    ebpf: Ebpf,
    counters: PerCpuArray<MapData, u64>,
    ports: Array<MapData, Row<PortEntry>>,
    frontends: Array<MapData, Row<FrontendEntry>>,
    targets: Array<MapData, Row<TargetEntry>>,
    flows: HashMap<MapData, Row<FlowKey>, Row<FlowEntry>>,
    stats: PerCpuArray<MapData, Row<FrontendStats>>,
}

impl KernelRunner {
    /// Loads the program and writes a world's rows.
    ///
    /// # Panics
    /// When the kernel refuses.
    #[must_use]
    pub fn new(world: &World) -> Self {
        for host in HOSTS {
            let index = host.port.to_string();
            let (near, far) = (format!("p{index}"), format!("q{index}"));
            command("ip", &["link", "add", &near, "index", &index, "type", "veth", "peer", "name", &far]);
        }
        let mut ebpf = EbpfLoader::new()
            .map_max_entries("FLOWS", FLOW_ENTRIES)
            .load(plink_agent::datapath::OBJECT)
            .expect("the object");
        let program: &mut Xdp = ebpf.program_mut("plink_xdp").expect("the program").try_into().expect("XDP");
        program.load().expect("the verifier's consent");

        write(&mut array(&mut ebpf, "META"), &[(0, Meta { seed: SEED, ..Meta::default() })]);
        let mut addresses = hash(&mut ebpf, "ADDRESSES");
        world.addresses.iter().for_each(|(key, row)| addresses.insert(Row(*key), Row(*row), 0).unwrap());
        let mut listeners = hash(&mut ebpf, "LISTENERS");
        world.listeners.iter().for_each(|(key, row)| listeners.insert(Row(*key), Row(*row), 0).unwrap());
        let mut maglev: ArrayOfMaps<MapData, Array<MapData, Row<MaglevTable>>> = take(&mut ebpf, "MAGLEV");
        for (slot, table) in &world.maglev {
            let mut inner: Array<MapData, Row<MaglevTable>> = Array::create(1, 0).unwrap();
            inner.set(0, Row(**table), 0).unwrap();
            maglev.set(*slot, &inner, 0).unwrap();
        }
        let mut devices: DevMap<MapData> = take(&mut ebpf, "DEVICES");
        HOSTS.iter().for_each(|host| devices.set(host.port, host.port, None, 0).unwrap());

        let mut runner = Self {
            counters: take(&mut ebpf, "COUNTERS"),
            ports: array(&mut ebpf, "PORTS"),
            frontends: array(&mut ebpf, "FRONTENDS"),
            targets: array(&mut ebpf, "TARGETS"),
            flows: hash(&mut ebpf, "FLOWS"),
            stats: take(&mut ebpf, "FRONTEND_STATS"),
            ebpf,
        };
        write(&mut runner.ports, &world.ports);
        write(&mut runner.frontends, &world.frontends);
        write(&mut runner.targets, &world.targets);
        runner
    }

    /// The loaded program.
    ///
    /// # Panics
    /// Never: it was loaded.
    #[must_use]
    pub fn program(&self) -> &Xdp {
        self.ebpf.program("plink_xdp").expect("the program").try_into().expect("XDP")
    }

    fn counters(&self) -> Vec<u64> {
        (0..COUNTER_SLOTS).map(|slot| self.counters.get(&slot, 0).unwrap().iter().sum()).collect()
    }
}

impl Runner for KernelRunner {
    fn name(&self) -> &'static str {
        "kernel"
    }

    fn run(&mut self, port: u32, frame: &[u8]) -> Ran {
        let before = self.counters();
        let mut out = vec![0; 16_384];
        let mut context = [0_u8; 24];
        context[4..8].copy_from_slice(&(frame.len() as u32).to_ne_bytes());
        context[12..16].copy_from_slice(&port.to_ne_bytes());
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ctx_in: Some(&context),
            ..TestRunOptions::default()
        };
        let result = self.program().test_run(options).expect("a test run");
        out.truncate(result.data_size_out as usize);
        let after = self.counters();
        let changed: Vec<(u32, u64)> = before
            .iter()
            .zip(&after)
            .enumerate()
            .filter(|(_, (before, after))| before != after)
            .map(|(slot, (before, after))| (slot as u32, after - before))
            .collect();
        let &[(counter, 1)] = changed.as_slice() else { panic!("one counter goes up by one, not {changed:?}") };
        let forwards = [Counter::Delivered as u32, Counter::Translated as u32].contains(&counter);
        let verdict = match result.return_value {
            1 => Verdict::Drop,
            // The program answers by a redirect to where the frame came from.
            4 if forwards => Verdict::Redirect,
            4 => Verdict::Transmit,
            other => panic!("the program returned {other}"),
        };
        Ran { verdict, counter, frame: out }
    }

    fn set_port(&mut self, port: u32, row: PortEntry) {
        self.ports.set(port, Row(row), 0).unwrap();
    }

    fn set_frontend(&mut self, slot: u32, row: FrontendEntry) {
        self.frontends.set(slot, Row(row), 0).unwrap();
    }

    fn set_target(&mut self, slot: u32, row: TargetEntry) {
        self.targets.set(slot, Row(row), 0).unwrap();
    }

    fn flows(&mut self) -> Vec<(FlowKey, FlowEntry)> {
        self.flows.iter().map(|pair| pair.map(|(key, entry)| (key.0, entry.0)).unwrap()).collect()
    }

    fn set_flow(&mut self, key: &FlowKey, entry: &FlowEntry) {
        self.flows.insert(Row(*key), Row(*entry), 0).unwrap();
    }

    fn stats(&mut self, slot: u32) -> FrontendStats {
        let mut sum = FrontendStats::default();
        self.stats.get(&slot, 0).unwrap().iter().for_each(|Row(cpu)| sum += *cpu);
        sum
    }
}

fn take<M: TryFrom<aya::maps::Map, Error = aya::maps::MapError>>(ebpf: &mut Ebpf, name: &str) -> M {
    let map = ebpf.take_map(name).unwrap_or_else(|| panic!("no map {name}"));
    M::try_from(map).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn array<T: zerocopy::IntoBytes + zerocopy::FromBytes + Copy + 'static>(
    ebpf: &mut Ebpf,
    name: &str,
) -> Array<MapData, Row<T>> {
    take(ebpf, name)
}

fn hash<K, V>(ebpf: &mut Ebpf, name: &str) -> HashMap<MapData, Row<K>, Row<V>>
where
    K: zerocopy::IntoBytes + zerocopy::FromBytes + Copy + 'static,
    V: zerocopy::IntoBytes + zerocopy::FromBytes + Copy + 'static,
{
    take(ebpf, name)
}

fn write<T: zerocopy::IntoBytes + zerocopy::FromBytes + Copy + 'static>(
    map: &mut Array<MapData, Row<T>>,
    rows: &[(u32, T)],
) {
    rows.iter().for_each(|(slot, row)| map.set(*slot, Row(*row), 0).unwrap());
}
