//! The only user of netlink, setns and ethtool: namespaces, veth pairs and what is configured on them.
//!
//! A namespace belongs to a thread, and a runtime's tasks move between threads, so everything that happens inside a
//! namespace happens on a thread made for it ([`inside`]), which ends with it.

mod ethtool;
mod namespace;
mod netlink;
mod veth;

pub use ethtool::{Offloads, offloads};
pub use namespace::{Namespaces, namespace_path, open_namespace};
pub use netlink::{Link, Netlink};
pub use veth::{HUB_MTU, InterfacePlan, Place, Shape, create_pair, ensure_hub_side, ensure_interface};

use std::os::fd::AsFd;

use anyhow::{Context as _, Result, anyhow};
use nix::sched::{CloneFlags, setns};

/// Runs `work` on a thread of its own inside a network namespace.
pub fn inside<R: Send>(namespace: impl AsFd + Sync, work: impl FnOnce(&Netlink) -> Result<R> + Send) -> Result<R> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("plink-namespace".to_owned());
        let thread = thread.spawn_scoped(scope, || {
            setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET).context("cannot enter the network namespace")?;
            work(&Netlink::new()?)
        });
        thread.context("cannot start a thread")?.join().map_err(|_| anyhow!("the thread in the namespace panicked"))?
    })
}
