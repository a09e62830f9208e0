//! Loading, adopting and replacing the program and its maps.
//!
//! Traffic never depends on this process: what was pinned before is adopted as it is; another object file's program
//! takes over the pinned maps and replaces the old one through each pinned link, so that no packet is lost.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail, ensure};
use aya::{
    Ebpf, EbpfLoader,
    maps::{MapData, MapInfo},
    programs::{
        Xdp,
        links::{FdLink, PinnedLink},
        xdp::XdpLink,
    },
};
use aya_obj::{generated::bpf_map_type, programs::XdpAttachType};
use plink_common::abi::Meta;
use sha2::{Digest as _, Sha256};
use tracing::{info, warn};

use super::{Pins, Table};
use crate::config::DatapathConfig;

/// The object file with the kernel programs.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("PLINK_EBPF_OBJECT"));

/// The program's name.
pub const PROGRAM: &str = "plink_xdp";

/// The maps that are pinned.
pub(super) const MAPS: [&str; 11] = [
    "PORTS",
    "DEVICES",
    "ADDRESSES",
    "FRONTENDS",
    "LISTENERS",
    "TARGETS",
    "MAGLEV",
    "FLOWS",
    "COUNTERS",
    "FRONTEND_STATS",
    "META",
];

/// Maps whose size is the configuration's.
const SIZED: [&str; 2] = ["FLOWS", "FRONTEND_STATS"];

/// Where the data path came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Nothing was there.
    Created,
    /// Program and maps were taken over as they were.
    Adopted,
    /// The maps were taken over, the program replaced.
    Upgraded,
}

/// The store that what is pinned was filled from; `None` when nothing (whole) is pinned.
pub fn pinned_store(pins: &Pins) -> Option<[u8; 16]> {
    read_meta(pins).ok().map(|meta| meta.store_id).filter(|id| *id != [0; 16])
}

/// Makes sure that program and maps are pinned, and returns the program.
pub(super) fn ensure_loaded(pins: &Pins, config: &DatapathConfig, store_id: [u8; 16]) -> Result<(Xdp, Origin)> {
    let object = object_hash();
    pins.prepare()?;
    let origin = match pinned_store(pins) {
        None => {
            pins.remove()?;
            pins.prepare()?;
            create(pins, config, Meta { store_id, object, seed: rand::random() })?;
            Origin::Created
        }
        Some(other) if other != store_id => bail!("what is pinned belongs to another store"),
        Some(_) => {
            warn_of_sizes(pins, config);
            let meta = read_meta(pins)?;
            if meta.object == object && pins.program(PROGRAM).exists() {
                Origin::Adopted
            } else {
                upgrade(pins, config, Meta { object, ..meta })?;
                Origin::Upgraded
            }
        }
    };
    let program = Xdp::from_pin(pins.program(PROGRAM), XdpAttachType::Interface);
    Ok((program.context("cannot open the pinned program")?, origin))
}

/// Opens a pinned map.
pub(super) fn open_map(pins: &Pins, name: &str) -> Result<MapData> {
    MapData::from_pin(pins.map(name)).with_context(|| format!("cannot open the pinned map {name}"))
}

fn read_meta(pins: &Pins) -> Result<Meta> {
    let meta: Table<u32, Meta> = Table::new("META", open_map(pins, "META")?)?;
    meta.get(&0)?.context("META is empty")
}

fn write_meta(pins: &Pins, meta: &Meta) -> Result<()> {
    Table::new("META", open_map(pins, "META")?)?.set(&0, meta)
}

/// The first half of the object file's SHA-256.
fn object_hash() -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&Sha256::digest(OBJECT)[..16]);
    half
}

fn create(pins: &Pins, config: &DatapathConfig, meta: Meta) -> Result<()> {
    let mut ebpf = loader(config).load(OBJECT).context("cannot load the kernel programs")?;
    program(&mut ebpf)?.load().context("the kernel refuses the program")?;
    for name in MAPS {
        let map = ebpf.map(name).with_context(|| format!("the object file has no map {name}"))?;
        map.pin(pins.map(name)).with_context(|| format!("cannot pin the map {name}"))?;
    }
    program(&mut ebpf)?.pin(pins.program(PROGRAM)).context("cannot pin the program")?;
    // Last: only a whole set of pins says whose it is.
    write_meta(pins, &meta)
}

fn upgrade(pins: &Pins, config: &DatapathConfig, meta: Meta) -> Result<()> {
    info!("replacing the pinned program by this agent's");
    check_layouts(pins)?;
    let mut loader = loader(config);
    for name in MAPS {
        loader.map_pin_path(name, pins.map(name));
    }
    let mut ebpf = loader.load(OBJECT).context("cannot load the kernel programs")?;
    let program = program(&mut ebpf)?;
    program.load().context("the kernel refuses the program")?;
    for name in pins.link_names()? {
        let path = pins.link(&name);
        if let Err(error) = replace(program, &path) {
            // The reconciler attaches anew: the usual reason is an interface that is gone.
            warn!("{name}: the program could not be replaced through its link: {error:#}");
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    let fresh = pins.program("fresh");
    let _ = fs::remove_file(&fresh);
    program.pin(&fresh).context("cannot pin the program")?;
    fs::rename(&fresh, pins.program(PROGRAM)).context("cannot replace the pinned program")?;
    write_meta(pins, &meta)
}

fn replace(program: &mut Xdp, path: &Path) -> Result<()> {
    let link = XdpLink::try_from(FdLink::from(PinnedLink::from_pin(path)?))?;
    program.attach_to_link(link)?;
    Ok(())
}

fn loader(config: &DatapathConfig) -> EbpfLoader<'static> {
    let mut loader = EbpfLoader::new();
    // Two entries a flow.
    loader.map_max_entries("FLOWS", config.max_flows * 2).map_max_entries("FRONTEND_STATS", config.max_frontends);
    loader
}

fn program(ebpf: &mut Ebpf) -> Result<&mut Xdp> {
    let program = ebpf.program_mut(PROGRAM).with_context(|| format!("the object file has no program {PROGRAM}"))?;
    Ok(program.try_into()?)
}

/// Compares the pinned maps with the object file's: aya takes a pinned map as it is, whatever it holds.
fn check_layouts(pins: &Pins) -> Result<()> {
    let object = aya_obj::Object::parse(OBJECT).context("cannot read the object file")?;
    for name in MAPS {
        let wanted = object.maps.get(name).with_context(|| format!("the object file has no map {name}"))?;
        // One that is missing is made.
        let Ok(found) = MapInfo::from_pin(pins.map(name)) else { continue };
        let map_type = found.map_type().context("unknown type of map")? as u32;
        ensure!(map_type == wanted.map_type(), mismatch(name, "type"));
        ensure!(found.key_size() == wanted.key_size(), mismatch(name, "key size"));
        // The loader sets these two types' value size itself.
        let fixed = [bpf_map_type::BPF_MAP_TYPE_DEVMAP as u32, bpf_map_type::BPF_MAP_TYPE_ARRAY_OF_MAPS as u32];
        if !fixed.contains(&map_type) {
            ensure!(found.value_size() == wanted.value_size(), mismatch(name, "value size"));
        }
        ensure!(SIZED.contains(&name) || found.max_entries() == wanted.max_entries(), mismatch(name, "size"));
    }
    Ok(())
}

fn mismatch(name: &str, what: &str) -> String {
    format!(
        "the pinned map {name} has another {what} than this agent's; `plink-agent purge` removes it with all traffic, \
         or run the agent that made it"
    )
}

/// A size that was configured anew takes effect when the maps are next made.
fn warn_of_sizes(pins: &Pins, config: &DatapathConfig) {
    for (name, key, wanted) in
        [("FLOWS", "max-flows", config.max_flows * 2), ("FRONTEND_STATS", "max-frontends", config.max_frontends)]
    {
        if let Ok(found) = MapInfo::from_pin(pins.map(name))
            && found.max_entries() != wanted
        {
            warn!(
                "datapath.{key}: the pinned map {name} keeps its {} entries until `plink-agent purge`",
                found.max_entries()
            );
        }
    }
}
