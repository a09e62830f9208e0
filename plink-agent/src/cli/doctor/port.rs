//! All that packets of an instance need.

use std::path::Path;

use super::Report;
use crate::{
    api::local::view::{InstanceView, StatusView},
    datapath,
    net::{self, HUB_MTU, Link, inside, open_namespace},
};

/// Checks an instance's port. `hub` is what the hub holds.
pub(super) fn check(report: &mut Report, status: &StatusView, hub: &[Link], it: &InstanceView) {
    let name = if it.name.is_empty() { &it.id } else { &it.name };
    let faults = faults(status, hub, it).unwrap_or_else(|error| vec![format!("{error:#}")]);
    let found = if faults.is_empty() {
        format!("{} at {}, program attached, offloads as they must be", it.interface, it.address)
    } else {
        faults.join("; ")
    };
    let advice = "the agent repairs it within seconds; what it cannot is in `plinkctl status`";
    report.add(&format!("port of {name}"), faults.is_empty(), found, advice);
}

fn faults(status: &StatusView, hub: &[Link], it: &InstanceView) -> anyhow::Result<Vec<String>> {
    let namespace = open_namespace(Path::new(&it.netns))?;
    let found = inside(&namespace, |netlink| {
        let Some(link) = netlink.link(&it.interface)? else { return Ok(None) };
        Ok(Some((link, net::offloads(&it.interface)?)))
    })?;
    let Some((link, offloads)) = found else {
        return Ok(vec![format!("{} is not in its namespace", it.interface)]);
    };

    let mut faults = Vec::new();
    let mut fault = |bad: bool, text: String| {
        if bad {
            faults.push(text);
        }
    };
    fault(!link.up, format!("{} is down", it.interface));
    fault(offloads.tx_checksum, "transmit checksum offload is on: packets leave with wrong checksums".to_owned());
    fault(!offloads.gro, "GRO is off: redirected frames vanish".to_owned());
    match hub.iter().find(|side| side.name == it.hub_interface) {
        None => fault(true, format!("{} is not in the hub", it.hub_interface)),
        Some(side) => {
            fault(!side.up, format!("{} is down", it.hub_interface));
            fault(link.mtu != status.mtu, format!("MTU {} instead of {}", link.mtu, status.mtu));
            fault(side.mtu != HUB_MTU, format!("MTU {} in the hub, where it has to be {HUB_MTU}", side.mtu));
            fault(link.peer != Some(side.index), format!("{} has another peer", it.interface));
        }
    }
    match datapath::pinned_link(&status.name, &it.eni) {
        Ok(info) => {
            fault(info.interface != it.port, "its program is attached to another interface".to_owned());
            fault(Some(info.program) != status.program_id, "another program is attached".to_owned());
        }
        Err(error) => fault(true, format!("{error:#}")),
    }
    match datapath::is_pinned_device(&status.name, it.port) {
        Ok(there) => fault(!there, "DEVICES has no row for it: no frame is redirected to it".to_owned()),
        Err(error) => fault(true, format!("{error:#}")),
    }
    Ok(faults)
}
