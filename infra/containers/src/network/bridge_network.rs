//! The network of one cloud on this machine: what the rest of Kogge sees of it.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kogge_host::tasks::TaskGroup;

use super::addresses::Ledger;
use super::attachment::{Attachment, PublishedPort};
use super::bridge::{Bridge, make_bridge};
use super::error::NetworkError;
use super::firewall::Firewall;
use super::links::INNER_NAME;
use super::names::Names;
use super::namespace::{self, Namespace};
use super::netlink::Netlink;
use super::ruleset::Ruleset;
use super::state::State;
use super::subnet::Subnet;
use super::{host_settings, nft};
use crate::image::Protocol;
use crate::snapshot::check_task_id;
use crate::workers::Workers;

/// Attachments made at the same time; most of their time is waiting for the kernel.
const PARALLEL: usize = 8;

/// Where a cloud's network lives.
#[derive(Debug, Clone)]
pub struct NetworkConfig {
    /// Names bridge and table: something that no other cloud on this machine has, such as its data directory.
    pub cloud_tag: String,
    /// Outlives reboots.
    pub data_dir: PathBuf,
    /// Does not need to: best on a tmpfs.
    pub runtime_dir: PathBuf,
    /// A fixed subnet; without, a free one is found and kept.
    pub subnet: Option<Subnet>,
    /// Listeners of the machine that tasks may reach, such as the router.
    pub open_ports: Vec<(Protocol, u16)>,
}

/// See the module above. Clones share the network.
#[derive(Debug, Clone)]
pub struct Network {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    ruleset: Ruleset,
    state: State,
    bridge: u32,
    mtu: u32,
    ledger: Mutex<Ledger>,
    open_ports: Mutex<Vec<(Protocol, u16)>>,
    firewall: Firewall,
    workers: Workers,
    /// Set once by [`Network::destroy`]: nothing new is made after it.
    is_closed: AtomicBool,
}

impl Network {
    /// Makes the network, or takes up an existing one with its attachments; connections that exist go on.
    ///
    /// # Errors
    /// When the kernel or `nft` refuse, or no subnet is free.
    pub async fn open(config: NetworkConfig, tasks: &TaskGroup) -> Result<Self, NetworkError> {
        let workers = Workers::new(PARALLEL);
        let names = Names::new(&config.cloud_tag);
        let open_ports = config.open_ports.clone();
        let made = workers.run(move || make_bridge(&config, names)).await?;
        let Bridge { ruleset, state, index, mtu, found } = made;
        let script = ruleset.whole(&open_ports, found.iter());
        if let Err(error) = nft::apply(&script).await {
            // A table of an older form cannot be brought to this one: replace it, in one transaction too.
            tracing::debug!(%error, "the table could not be updated, it is made anew");
            nft::apply(&format!("{}{script}", ruleset.destroy())).await?;
        }
        host_settings::pass_docker(&ruleset.names).await?;
        let ledger = Mutex::new(Ledger::new(ruleset.subnet, found));
        let (firewall, open_ports) =
            (Firewall::start(ruleset.clone(), Workers::new(1), tasks), Mutex::new(open_ports));
        let inner = Inner {
            ruleset,
            state,
            bridge: index,
            mtu,
            ledger,
            open_ports,
            firewall,
            workers,
            is_closed: false.into(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The range that tasks get their addresses from.
    #[must_use]
    pub fn subnet(&self) -> Subnet {
        self.inner.ruleset.subnet
    }

    /// The bridge's name.
    #[must_use]
    pub fn bridge(&self) -> &str {
        &self.inner.ruleset.names.bridge
    }

    /// Gives `task` a namespace with an address and publishes its ports. Whoever drops this half-way calls
    /// [`Network::detach`], which finds what was made.
    ///
    /// # Errors
    /// When a port is in use, no address is free, or the kernel refuses; then nothing is left of it.
    pub async fn attach(&self, task: &str, ports: &[PublishedPort]) -> Result<Attachment, NetworkError> {
        check_task_id(task).map_err(|_| NetworkError::BadId { task: task.to_owned() })?;
        ports.iter().try_for_each(check_unused)?;
        let inner = &self.inner;
        let attachment = inner.ledger().take(task, ports, |address| inner.describe(task, address, ports))?;
        let linking = {
            let (inner, attachment) = (Arc::clone(inner), attachment.clone());
            self.inner.workers.run(move || inner.link(&attachment))
        };
        let publishing = inner.firewall.publish(&inner.ruleset, &attachment);
        let (linked, published) = tokio::join!(linking, publishing);
        if let Err(error) = linked.and(published) {
            if let Err(also) = self.take_down(attachment).await {
                tracing::warn!(%task, error = %also, "could not take down a failed attachment");
            }
            return Err(error);
        }
        Ok(attachment)
    }

    /// What `task` has, if it is attached.
    #[must_use]
    pub fn find(&self, task: &str) -> Option<Attachment> {
        self.inner.ledger().find(task).cloned()
    }

    /// Everything attached.
    #[must_use]
    pub fn attachments(&self) -> Vec<Attachment> {
        self.inner.ledger().all().cloned().collect()
    }

    /// Takes everything back from `task`; nothing attached is fine.
    ///
    /// # Errors
    /// When the kernel or `nft` refuse; try again, or leave it to [`Network::sweep`].
    pub async fn detach(&self, task: &str) -> Result<(), NetworkError> {
        match self.find(task) {
            Some(attachment) => self.take_down(attachment).await,
            None => Ok(()),
        }
    }

    /// Detaches every task that is not in `live`, removes namespaces and links that nothing is noted about, and
    /// returns whose they were.
    ///
    /// # Errors
    /// When something cannot be removed; the rest is.
    pub async fn sweep(&self, live: &BTreeSet<String>) -> Result<Vec<String>, NetworkError> {
        let (mut gone, mut result) = (Vec::new(), Ok(()));
        for attachment in self.attachments().into_iter().filter(|attachment| !live.contains(&attachment.task))
        {
            let task = attachment.task.clone();
            match self.take_down(attachment).await {
                Ok(()) => gone.push(task),
                Err(error) => result = Err(error),
            }
        }
        let inner = Arc::clone(&self.inner);
        self.inner.workers.run(move || inner.remove_strays()).await?;
        result.map(|()| gone)
    }

    /// Lets tasks reach these listeners of the machine, and no others.
    ///
    /// # Errors
    /// When `nft` refuses.
    pub async fn open_ports(&self, ports: Vec<(Protocol, u16)>) -> Result<(), NetworkError> {
        let script = self.inner.ruleset.open(&ports);
        *self.inner.open_ports.lock().unwrap_or_else(PoisonError::into_inner) = ports;
        self.inner.firewall.change(script).await
    }

    /// Puts back what other programs may have flushed: our table, and the way through Docker's.
    ///
    /// # Errors
    /// When `nft` refuses.
    pub async fn mend(&self) -> Result<(), NetworkError> {
        let script = {
            let open_ports = self.inner.open_ports.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let ledger = self.inner.ledger();
            self.inner.ruleset.whole(&open_ports, ledger.all())
        };
        self.inner.firewall.change(script).await?;
        host_settings::pass_docker(&self.inner.ruleset.names).await
    }

    /// Removes the whole network of this cloud: every attachment, the bridge and the table. The subnet is
    /// remembered. Works after the task group has ended.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub async fn destroy(&self) -> Result<(), NetworkError> {
        self.inner.is_closed.store(true, Ordering::SeqCst);
        // Attachments whose callers are gone may still be in the making.
        self.inner.workers.wait_for_all().await;
        let inner = Arc::clone(&self.inner);
        self.inner.workers.run(move || inner.remove_links()).await?;
        nft::apply(&self.inner.ruleset.destroy()).await?;
        host_settings::forget_docker(&self.inner.ruleset.names).await?;
        let inner = Arc::clone(&self.inner);
        self.inner
            .workers
            .run(move || {
                inner.state.clear()?;
                host_settings::restore_forwarding(&inner.state.forwarding_mark())
            })
            .await
    }

    async fn take_down(&self, attachment: Attachment) -> Result<(), NetworkError> {
        let unpublishing = self.inner.firewall.unpublish(&self.inner.ruleset, &attachment);
        let unlinking = {
            let (inner, attachment) = (Arc::clone(&self.inner), attachment.clone());
            self.inner.workers.run(move || inner.unlink(&attachment))
        };
        let (unpublished, unlinked) = tokio::join!(unpublishing, unlinking);
        unlinked?;
        if let Err(error) = unpublished {
            // An element that is not there (a half-made attachment, a flushed table) is as good as removed:
            // bringing the whole table to what is noted settles both cases.
            tracing::debug!(task = %attachment.task, %error, "could not unpublish, mending the table");
            self.inner.ledger().give_back(&attachment.task);
            self.mend().await?;
        }
        self.inner.state.forget(&attachment.task)?;
        self.inner.ledger().give_back(&attachment.task);
        Ok(())
    }
}

impl Inner {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn describe(&self, task: &str, address: Ipv4Addr, ports: &[PublishedPort]) -> Attachment {
        Attachment {
            task: task.to_owned(),
            address,
            gateway: self.ruleset.subnet.gateway(),
            namespace: self.state.namespace(task),
            host_interface: self.ruleset.names.veth(&self.ruleset.subnet, address),
            ports: ports.to_vec(),
        }
    }

    /// Namespace, pair, address, route. The note comes first, so that a crash at any line below is found.
    fn link(&self, attachment: &Attachment) -> Result<(), NetworkError> {
        if self.is_closed.load(Ordering::SeqCst) {
            return Err(NetworkError::Closed);
        }
        self.state.note(attachment)?;
        let path = &attachment.namespace;
        let Namespace { fd, netlink: mut inside } =
            namespace::create(path).map_err(NetworkError::io("make the network namespace", path))?;
        let failed = |action: &str| NetworkError::netlink(format!("{action} for task {}", attachment.task));
        let mut outside = Netlink::open().map_err(failed("open netlink"))?;
        let interface = &attachment.host_interface;
        outside.add_veth(interface, self.bridge, fd.as_fd(), self.mtu).map_err(failed("add a link"))?;
        host_settings::set_hairpin(interface).map_err(failed("set up the link"))?;
        let configure = |inside: &mut Netlink| {
            let index = inside.find_link(INNER_NAME)?.ok_or(std::io::ErrorKind::NotFound)?;
            if let Some(loopback) = inside.find_link("lo")? {
                inside.set_up(loopback)?;
            }
            inside.set_up(index)?;
            inside.add_address(index, attachment.address, self.ruleset.subnet.prefix())?;
            inside.add_default_route(attachment.gateway)
        };
        configure(&mut inside).map_err(failed("set the address"))
    }

    fn unlink(&self, attachment: &Attachment) -> Result<(), NetworkError> {
        let interface = &attachment.host_interface;
        let removed = Netlink::open().and_then(|mut netlink| netlink.remove_link(interface));
        removed.map_err(NetworkError::netlink(format!("remove the link {interface}")))?;
        let path = &attachment.namespace;
        namespace::remove(path).map_err(NetworkError::io("remove the network namespace", path))
    }

    /// Namespaces and links without a note: left by a crash between the two.
    fn remove_strays(&self) -> Result<(), NetworkError> {
        let mut netlink = Netlink::open().map_err(NetworkError::netlink("open netlink"))?;
        let links = netlink.link_names().map_err(NetworkError::netlink("list the links"))?;
        let namespaces = self.state.namespace_names()?;
        // Attachments that begin while this runs are in the ledger before they have a name or a link.
        let (known_tasks, known_links): (BTreeSet<String>, BTreeSet<String>) = {
            let ledger = self.ledger();
            ledger.all().map(|known| (known.task.clone(), known.host_interface.clone())).unzip()
        };
        for link in
            links.iter().filter(|link| self.ruleset.names.is_veth(link) && !known_links.contains(*link))
        {
            netlink.remove_link(link).map_err(NetworkError::netlink(format!("remove the link {link}")))?;
        }
        for name in namespaces.iter().filter(|name| !known_tasks.contains(*name)) {
            let path = self.state.namespace(name);
            namespace::remove(&path).map_err(NetworkError::io("remove the network namespace", &path))?;
        }
        Ok(())
    }

    fn remove_links(&self) -> Result<(), NetworkError> {
        let mut netlink = Netlink::open().map_err(NetworkError::netlink("open netlink"))?;
        let links = netlink.link_names().map_err(NetworkError::netlink("list the links"))?;
        let names = &self.ruleset.names;
        let own = links.iter().filter(|link| names.is_veth(link) || **link == names.bridge);
        for link in own {
            netlink.remove_link(link).map_err(NetworkError::netlink(format!("remove the link {link}")))?;
        }
        for name in self.state.namespace_names()? {
            let path = self.state.namespace(&name);
            namespace::remove(&path).map_err(NetworkError::io("remove the network namespace", &path))?;
        }
        Ok(())
    }
}

/// Whether nothing on the machine listens there. Someone could begin to afterwards; then the published port wins.
fn check_unused(port: &PublishedPort) -> Result<(), NetworkError> {
    let address = (port.host_address.unwrap_or(Ipv4Addr::UNSPECIFIED), port.host_port);
    let bound = match port.protocol {
        Protocol::Tcp => TcpListener::bind(address).map(drop),
        Protocol::Udp => UdpSocket::bind(address).map(drop),
    };
    bound.map_err(|_| NetworkError::PortInUse { port: *port, by: None })
}
