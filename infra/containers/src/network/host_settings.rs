//! What the network needs of the machine outside its own bridge and table.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::NetworkError;
use super::names::Names;
use super::nft;

const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

/// Lets the machine route between the bridge and its uplinks. `mark` remembers that it did not before.
pub(crate) fn switch_forwarding_on(mark: &Path) -> Result<(), NetworkError> {
    let path = Path::new(FORWARDING);
    let is_on = fs::read_to_string(path).map_err(NetworkError::io("read", path))?.trim() == "1";
    if is_on {
        return Ok(());
    }
    fs::write(mark, "").map_err(NetworkError::io("write", mark))?;
    fs::write(path, "1").map_err(NetworkError::io("write", path))
}

/// Puts forwarding back as it was, unless someone else could need it by now: any other bridge.
pub(crate) fn restore_forwarding(mark: &Path) -> Result<(), NetworkError> {
    match fs::remove_file(mark) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(NetworkError::io("remove", mark))?,
    }
    let interfaces = Path::new("/sys/class/net");
    let entries = fs::read_dir(interfaces).map_err(NetworkError::io("list", interfaces))?;
    if entries.flatten().any(|entry| entry.path().join("bridge").is_dir()) {
        return Ok(());
    }
    fs::write(FORWARDING, "0").map_err(NetworkError::io("write", Path::new(FORWARDING)))
}

/// Lets connections from 127.0.0.1 to published ports leave through the bridge, and keeps IPv6 off it.
pub(crate) fn prepare_bridge(names: &Names) -> Result<(), NetworkError> {
    let route_localnet = PathBuf::from(format!("/proc/sys/net/ipv4/conf/{}/route_localnet", names.bridge));
    fs::write(&route_localnet, "1").map_err(NetworkError::io("write", &route_localnet))?;
    let ipv6 = PathBuf::from(format!("/proc/sys/net/ipv6/conf/{}/disable_ipv6", names.bridge));
    match fs::write(&ipv6, "1") {
        // A kernel without IPv6.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(NetworkError::io("write", &ipv6)),
    }
}

/// Lets a port of the bridge send back what came from it: a task that calls its own published port.
pub(crate) fn set_hairpin(interface: &str) -> io::Result<()> {
    fs::write(format!("/sys/class/net/{interface}/brport/hairpin_mode"), "1")
}

/// Docker forbids forwarding by default, for every bridge (chain FORWARD of table `ip filter`). An accept in
/// another table cannot undo a drop, so the bridge is let through there, if the chain exists. Docker rewrites it
/// now and then: call this again from time to time.
pub(crate) async fn pass_docker(names: &Names) -> Result<(), NetworkError> {
    let Some(rules) = forward_rules(names).await? else { return Ok(()) };
    let mut script = String::new();
    for direction in ["iifname", "oifname"] {
        if !rules.iter().any(|rule| rule.direction == direction) {
            let bridge = &names.bridge;
            script.push_str(&format!(
                "insert rule ip filter FORWARD {direction} \"{bridge}\" counter accept\n"
            ));
        }
    }
    if script.is_empty() { Ok(()) } else { nft::apply(&script).await }
}

/// Takes those rules out again.
pub(crate) async fn forget_docker(names: &Names) -> Result<(), NetworkError> {
    let rules = forward_rules(names).await?.unwrap_or_default();
    let script: String =
        rules.iter().map(|rule| format!("delete rule ip filter FORWARD handle {}\n", rule.handle)).collect();
    if script.is_empty() { Ok(()) } else { nft::apply(&script).await }
}

struct ForwardRule {
    direction: String,
    handle: u64,
}

/// Our rules in Docker's chain; `None` when there is no such chain.
async fn forward_rules(names: &Names) -> Result<Option<Vec<ForwardRule>>, NetworkError> {
    let listed = match nft::run(&["-j", "list", "chain", "ip", "filter", "FORWARD"], "").await {
        Ok(listed) => listed,
        Err(NetworkError::Nft { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let listed: serde_json::Value =
        serde_json::from_str(&listed).map_err(|error| NetworkError::Nft { message: error.to_string() })?;
    let objects = listed["nftables"].as_array().cloned().unwrap_or_default();
    Ok(Some(objects.iter().filter_map(|object| forward_rule(&object["rule"], &names.bridge)).collect()))
}

fn forward_rule(rule: &serde_json::Value, bridge: &str) -> Option<ForwardRule> {
    let handle = rule["handle"].as_u64()?;
    let matched = rule["expr"].as_array()?.iter().find(|part| part["match"]["right"] == bridge)?;
    let direction = matched["match"]["left"]["meta"]["key"].as_str()?.to_owned();
    Some(ForwardRule { direction, handle })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_rules_are_told_from_dockers() {
        let own = serde_json::json!({ "handle": 7, "expr": [
            { "match": { "op": "==", "left": { "meta": { "key": "iifname" } }, "right": "kg-1" } }, { "accept": null }] });
        let rule = forward_rule(&own, "kg-1").unwrap();
        assert_eq!((rule.direction.as_str(), rule.handle), ("iifname", 7));
        assert!(
            forward_rule(&own, "kg-2").is_none() && forward_rule(&serde_json::Value::Null, "kg-1").is_none()
        );
    }
}
