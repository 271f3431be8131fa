//! Who has which address.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::attachment::{Attachment, PublishedPort};
use super::error::NetworkError;
use super::subnet::Subnet;

/// Everything given out. Addresses are reused as late as possible, since others may still remember whose they
/// were: open connections, name caches.
#[derive(Debug)]
pub(crate) struct Ledger {
    subnet: Subnet,
    next: u32,
    attachments: BTreeMap<String, Attachment>,
}

impl Ledger {
    pub(crate) fn new(subnet: Subnet, found: Vec<Attachment>) -> Self {
        let last = found.iter().map(|attachment| subnet.index_of(attachment.address)).max();
        let attachments = found.into_iter().map(|attachment| (attachment.task.clone(), attachment)).collect();
        Self { subnet, next: last.map_or(subnet.indexes().start, |last| last + 1), attachments }
    }

    /// Reserves an address and the ports for `task`; `make` fills in the rest.
    pub(crate) fn take(
        &mut self,
        task: &str,
        ports: &[PublishedPort],
        make: impl FnOnce(Ipv4Addr) -> Attachment,
    ) -> Result<Attachment, NetworkError> {
        if self.attachments.contains_key(task) {
            return Err(NetworkError::Attached { task: task.to_owned() });
        }
        self.check_ports(ports)?;
        let indexes = self.subnet.indexes();
        let taken: std::collections::BTreeSet<Ipv4Addr> =
            self.attachments.values().map(|attachment| attachment.address).collect();
        let next = if indexes.contains(&self.next) { self.next } else { indexes.start };
        let free = (next..indexes.end)
            .chain(indexes.start..next)
            .find(|&index| !taken.contains(&self.subnet.address(index)));
        let index = free.ok_or_else(|| NetworkError::NoAddress { subnet: self.subnet.to_string() })?;
        self.next = index + 1;
        let attachment = make(self.subnet.address(index));
        self.attachments.insert(task.to_owned(), attachment.clone());
        Ok(attachment)
    }

    fn check_ports(&self, ports: &[PublishedPort]) -> Result<(), NetworkError> {
        for (position, port) in ports.iter().enumerate() {
            let owner = self.attachments.values().find(|other| other.ports.iter().any(|p| p.collides(port)));
            if let Some(owner) = owner {
                return Err(NetworkError::PortInUse { port: *port, by: Some(owner.task.clone()) });
            }
            if ports[..position].iter().any(|earlier| earlier.collides(port)) {
                return Err(NetworkError::PortInUse { port: *port, by: None });
            }
        }
        Ok(())
    }

    pub(crate) fn give_back(&mut self, task: &str) {
        self.attachments.remove(task);
    }

    pub(crate) fn find(&self, task: &str) -> Option<&Attachment> {
        self.attachments.get(task)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Attachment> {
        self.attachments.values()
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::image::Protocol;

    fn take(ledger: &mut Ledger, task: &str, ports: &[PublishedPort]) -> Result<Ipv4Addr, NetworkError> {
        let make = |address| Attachment {
            task: task.to_owned(),
            address,
            gateway: address,
            namespace: PathBuf::new(),
            host_interface: String::new(),
            ports: ports.to_vec(),
        };
        ledger.take(task, ports, make).map(|attachment| attachment.address)
    }

    #[test]
    fn a_given_back_address_is_the_last_to_be_used_again() {
        let mut ledger = Ledger::new("10.64.0.0/28".parse().unwrap(), Vec::new());
        let first = take(&mut ledger, "t0", &[]).unwrap();
        ledger.give_back("t0");
        for n in 1..13 {
            assert_ne!(take(&mut ledger, &format!("t{n}"), &[]).unwrap(), first);
        }
        assert_eq!(take(&mut ledger, "t13", &[]).unwrap(), first);
        assert!(matches!(take(&mut ledger, "t14", &[]), Err(NetworkError::NoAddress { .. })));
        assert!(matches!(take(&mut ledger, "t13", &[]), Err(NetworkError::Attached { .. })));
    }

    #[test]
    fn a_port_has_one_owner() {
        let port = |host_address, host_port| PublishedPort {
            host_address,
            host_port,
            container_port: 80,
            protocol: Protocol::Tcp,
        };
        let (one, two) = (Ipv4Addr::LOCALHOST, Ipv4Addr::new(192, 0, 2, 1));
        let mut ledger = Ledger::new("10.64.0.0/28".parse().unwrap(), Vec::new());
        take(&mut ledger, "a", &[port(Some(one), 80)]).unwrap();
        take(&mut ledger, "b", &[port(Some(two), 80)]).unwrap();
        let error = take(&mut ledger, "c", &[port(None, 80)]).unwrap_err();
        assert!(error.to_string().contains("by task a"), "{error}");
        assert!(take(&mut ledger, "c", &[port(None, 81), port(Some(one), 81)]).is_err(), "twice in one wish");
        let udp = PublishedPort { protocol: Protocol::Udp, ..port(None, 80) };
        take(&mut ledger, "c", &[udp]).unwrap();
    }
}
