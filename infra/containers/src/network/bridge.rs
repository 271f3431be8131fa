//! The cloud's bridge: made once, found again after a restart.

use std::fs::File;
use std::path::Path;

use rustix::fs::FlockOperation;

use super::attachment::Attachment;
use super::bridge_network::NetworkConfig;
use super::error::NetworkError;
use super::host_settings;
use super::names::Names;
use super::netlink::Netlink;
use super::ruleset::Ruleset;
use super::state::State;
use super::subnet::Subnet;

/// Ethernet's own, when the uplink does not say.
const DEFAULT_MTU: u32 = 1500;

/// What every cloud on a machine can open and none can remove: locked while a subnet is chosen, so that two
/// clouds that start together do not choose the same.
const MACHINE_LOCK: &str = "/sys/class/net";

/// A bridge that is up, and what was found of an earlier process.
pub(crate) struct Bridge {
    pub(crate) ruleset: Ruleset,
    pub(crate) state: State,
    pub(crate) index: u32,
    pub(crate) mtu: u32,
    pub(crate) found: Vec<Attachment>,
}

/// Blocking.
pub(crate) fn make_bridge(config: &NetworkConfig, names: Names) -> Result<Bridge, NetworkError> {
    let state = State::open(&config.data_dir, &config.runtime_dir)?;
    let mut netlink = Netlink::open().map_err(NetworkError::netlink("open netlink"))?;
    let lock_path = Path::new(MACHINE_LOCK);
    let lock = File::open(lock_path).map_err(NetworkError::io("open", lock_path))?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive)
        .map_err(|errno| NetworkError::io("lock", lock_path)(errno.into()))?;
    let existing = find(&mut netlink, &names)?;
    check_change(config, &state)?;
    let subnet = choose_subnet(&mut netlink, config, &state, &names, existing)?;
    let existing = match existing {
        // An empty bridge of another subnet: made anew, as it would keep the old address.
        Some(_) if state.subnet().is_some_and(|kept| kept != subnet) => {
            let removed = netlink.remove_link(&names.bridge);
            removed.map_err(NetworkError::netlink(format!("remove the bridge {}", names.bridge)))?;
            None
        }
        other => other,
    };
    let mtu = uplink_mtu(&mut netlink).map_err(NetworkError::netlink("read the uplink's MTU"))?;
    let index = match existing {
        Some(index) => index,
        None => {
            let added = netlink.add_bridge(&names.bridge, names.bridge_mac(), mtu);
            added.map_err(NetworkError::netlink(format!("add the bridge {}", names.bridge)))?;
            let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
            find(&mut netlink, &names)?
                .ok_or_else(missing)
                .map_err(NetworkError::netlink("find the bridge"))?
        }
    };
    let failed = || NetworkError::netlink(format!("set up the bridge {}", names.bridge));
    // Before the address, so that IPv6 never has a moment on it.
    host_settings::prepare_bridge(&names)?;
    netlink.add_address(index, subnet.gateway(), subnet.prefix()).map_err(failed())?;
    netlink.set_up(index).map_err(failed())?;
    drop(lock);
    host_settings::switch_forwarding_on(&state.forwarding_mark())?;
    state.keep_subnet(subnet)?;
    let mut found = state.found()?;
    found.retain(|attachment| subnet.contains(attachment.address));
    Ok(Bridge { ruleset: Ruleset { names, subnet }, state, index, mtu, found })
}

fn find(netlink: &mut Netlink, names: &Names) -> Result<Option<u32>, NetworkError> {
    netlink
        .find_link(&names.bridge)
        .map_err(NetworkError::netlink(format!("find the bridge {}", names.bridge)))
}

/// Another subnet than last time would cut off the tasks that run on that one.
fn check_change(config: &NetworkConfig, state: &State) -> Result<(), NetworkError> {
    match (config.subnet, state.subnet()) {
        (Some(asked), Some(kept)) if asked != kept && !state.found()?.is_empty() => {
            Err(NetworkError::SubnetInUse { asked: asked.to_string(), subnet: kept.to_string() })
        }
        _ => Ok(()),
    }
}

/// The one asked for, else that of last time, else a free one. Tasks may still run on that of last time, so it is
/// given up only when there is no bridge and its range is taken by now.
fn choose_subnet(
    netlink: &mut Netlink,
    config: &NetworkConfig,
    state: &State,
    names: &Names,
    existing: Option<u32>,
) -> Result<Subnet, NetworkError> {
    let routes = netlink.routes().map_err(NetworkError::netlink("list the routes"))?;
    let foreign = routes.iter().filter(|route| existing.is_none() || route.interface != existing);
    let taken: Vec<Subnet> = foreign.map(|route| route.subnet).collect();
    let collision = |subnet: &Subnet| taken.iter().find(|other| other.overlaps(subnet)).copied();
    let kept = state.subnet();
    match (config.subnet, kept) {
        (Some(asked), _) => match collision(&asked) {
            Some(other) => {
                Err(NetworkError::SubnetTaken { subnet: asked.to_string(), other: other.to_string() })
            }
            None => Ok(asked),
        },
        (None, Some(kept)) if existing.is_some() || collision(&kept).is_none() => Ok(kept),
        (None, _) => Subnet::choose(names, &taken),
    }
}

/// Packets that fit the bridge must fit the way out.
fn uplink_mtu(netlink: &mut Netlink) -> std::io::Result<u32> {
    let mtu = match netlink.uplink()? {
        Some(uplink) => netlink.mtu(uplink)?,
        None => None,
    };
    Ok(mtu.unwrap_or(DEFAULT_MTU))
}
