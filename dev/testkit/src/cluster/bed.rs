//! A bed: machines on a switch, made, kept in a file, and taken away.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::machine::Machine;
use super::switch::Switch;
use super::{
    BedError, Client, Launch, LinkFaults, Namespace, Node, ProcessId, ProcessState, Record, Role, addresses,
    clock, disk, mounts, registry,
};
use crate::wait;

/// How long killed children may take to be gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// Machines that are joined by a switch. Ended when dropped, unless [`Bed::keep`] is called.
#[derive(Debug)]
pub struct Bed {
    pub(crate) record: Record,
    file: PathBuf,
    /// One process at a time works on a bed.
    _lock: File,
    /// Those started by this process, which has to look at them when they are gone.
    children: Vec<Child>,
    is_kept: bool,
}

impl Bed {
    /// A switch and a place for clients, for a test. Ends what killed tests have left.
    ///
    /// # Errors
    /// When that cannot be made, or this is not root.
    pub fn for_test() -> Result<Self, BedError> {
        registry::sweep()?;
        Self::make(None, Some(ProcessId::own()))
    }

    /// The same for people, who find it by this file. Nobody but they end it.
    ///
    /// # Errors
    /// When that cannot be made, this is not root, or the file is that of a bed already.
    pub fn by_hand(file: &Path) -> Result<Self, BedError> {
        if file.exists() {
            return Err(BedError::Refused(format!("{} is the file of a cluster that is up", file.display())));
        }
        Self::make(Some(file), None)
    }

    fn make(file: Option<&Path>, owner: Option<ProcessId>) -> Result<Self, BedError> {
        if !nix::unistd::geteuid().is_root() {
            return Err(BedError::Refused("namespaces, bridges and mounts are made as root".into()));
        }
        let directory = tempfile::Builder::new().prefix("kogge-bed-").tempdir();
        let directory = directory.map_err(BedError::io("make a directory for the bed"))?;
        let directory = directory.keep().canonicalize().map_err(BedError::io("find the bed's directory"))?;
        let name = directory.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let tag = name.trim_start_matches("kogge-bed-").to_owned();
        let file = file.map_or_else(|| directory.join("cluster.json"), Path::to_owned);
        let file = std::path::absolute(&file).map_err(BedError::file("find", &file))?;
        let prefix = registry::prefix(&tag);
        let client = Client {
            namespace: format!("{prefix}client"),
            address: addresses::client(&tag),
            env: BTreeMap::new(),
        };
        let switch = format!("{prefix}switch");
        let record = Record {
            directory: directory.clone(),
            switch,
            client,
            nodes: Vec::new(),
            owner,
            state: None,
            tag,
        };
        let lock = File::open(&directory).map_err(BedError::file("open", &directory))?;
        lock.lock().map_err(BedError::file("lock", &directory))?;
        let bed = Self { record, file, _lock: lock, children: Vec::new(), is_kept: false };
        registry::enter(&bed.record.tag, &bed.file)?;
        bed.save()?;
        mounts::prepare(&bed.record.directory)?;
        bed.switch().create()?;
        let client = bed.client();
        client.create()?;
        bed.switch().join("client", &client, bed.record.client.address)?;
        Ok(bed)
    }

    /// A bed that another process made. It is not ended when dropped.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn open(file: &Path) -> Result<Self, BedError> {
        let file = std::path::absolute(file).map_err(BedError::file("find", file))?;
        let directory = Record::read(&file)?.directory;
        // Without its directory there is still something to be taken away.
        let _ = fs::create_dir_all(&directory);
        let lock = File::open(&directory).map_err(BedError::file("open", &directory))?;
        lock.lock().map_err(BedError::file("lock", &directory))?;
        // Somebody else may have changed it meanwhile, or ended it.
        let record = Record::read(&file).inspect_err(|_| drop(fs::remove_dir(&directory)))?;
        Ok(Self { record, file, _lock: lock, children: Vec::new(), is_kept: true })
    }

    /// Leaves it to people: it stays when this value goes.
    pub fn keep(mut self) {
        self.is_kept = true;
    }

    /// What it consists of.
    #[must_use]
    pub const fn record(&self) -> &Record {
        &self.record
    }

    /// The file that says so.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The network of clients.
    #[must_use]
    pub fn client(&self) -> Namespace {
        Namespace::named(&self.record.client.namespace)
    }

    pub(crate) fn switch(&self) -> Switch {
        Switch::in_namespace(Namespace::named(&self.record.switch))
    }

    /// The node with that name.
    ///
    /// # Errors
    /// When there is none.
    pub fn node(&self, name: &str) -> Result<&Node, BedError> {
        self.record.node(name)
    }

    /// All nodes of a role.
    #[must_use]
    pub fn nodes(&self, role: Role) -> Vec<&Node> {
        self.record.nodes.iter().filter(|node| node.role == role).collect()
    }

    pub(crate) fn save(&self) -> Result<(), BedError> {
        self.record.write(&self.file)
    }

    /// A machine more, on which nothing runs yet. With a size, its data lie on a file system of its own, of so many MiB.
    ///
    /// # Errors
    /// When it cannot be made, or the name is taken or not fit for an interface.
    pub fn add(&mut self, name: &str, role: Role, disk_mib: Option<u64>) -> Result<(), BedError> {
        let is_fit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_taken = ["client", "bridge", "lo", "switch"].contains(&name) || self.node(name).is_ok();
        if is_taken || name.is_empty() || name.len() > 12 || !name.bytes().all(is_fit) {
            return Err(BedError::Refused(format!(
                "no node can be called {name:?}: it is taken, or not 1 to 12 of a-z 0-9 -"
            )));
        }
        let number = self.nodes(role).len() + 1;
        let address = addresses::node(&self.record.tag, role, number)
            .ok_or_else(|| BedError::Refused("there is no address for so many nodes of a role".into()))?;
        let home = self.record.directory.join(name);
        let disk = disk_mib.map(|_| home.join("disk"));
        let data = disk.as_ref().unwrap_or(&home).join("data");
        let node = Node {
            name: name.to_owned(),
            role,
            namespace: format!("{}{name}", registry::prefix(&self.record.tag)),
            mounts: mounts::folder(&self.record.directory).join(name),
            pid: None,
            started: None,
            address,
            data: data.clone(),
            doors: BTreeMap::new(),
            log: home.join("log"),
            launch: None,
            disk: disk.clone(),
            clock: None,
            faults: LinkFaults::default(),
        };
        let (network, mounts) = (node.network(), node.mounts.clone());
        self.record.nodes.push(node);
        self.save()?;
        fs::create_dir_all(&home).map_err(BedError::file("make", &home))?;
        if let (Some(at), Some(mib)) = (disk, disk_mib) {
            disk::create(&home.join("disk.img"), &at, mib)?;
        }
        fs::create_dir_all(&data).map_err(BedError::file("make", &data))?;
        let bare = Namespace::named(network.name());
        bare.create()?;
        mounts::create(&bare, &mounts)?;
        self.switch().join(name, &network, address)
    }

    /// Gives the next start of a node a clock that can be shifted while it runs.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn with_clock(&mut self, name: &str) -> Result<(), BedError> {
        let file = self.record.directory.join(name).join("clock");
        self.record.node_mut(name)?.clock = Some(file);
        self.save()
    }

    /// How a node is started from now on.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn set_launch(&mut self, name: &str, launch: Launch) -> Result<(), BedError> {
        self.record.node_mut(name)?.launch = Some(launch);
        self.save()
    }

    /// Starts the process of a node as it is always started.
    ///
    /// # Errors
    /// When it runs already, or cannot be started.
    pub fn start(&mut self, name: &str) -> Result<(), BedError> {
        let node = self.node(name)?;
        let launch = node.launch.clone();
        let launch = launch.ok_or_else(|| BedError::Refused(format!("nothing is known to run on {name}")))?;
        self.start_once(name, launch)
    }

    /// Starts the process of a node in another way, this time. It is on its machine when this returns, or has ended.
    ///
    /// # Errors
    /// When it runs already, or cannot be started.
    pub fn start_once(&mut self, name: &str, launch: Launch) -> Result<(), BedError> {
        let node = self.node(name)?;
        if node.state() != ProcessState::Gone {
            return Err(BedError::Refused(format!("{name} runs already")));
        }
        let launch = match &node.clock {
            Some(file) => clock::shiftable(launch, file)?,
            None => launch,
        };
        let child = command(node, &launch)?.spawn().map_err(BedError::io(format!("start {name}")))?;
        let process = ProcessId::of(child.id());
        self.children.push(child);
        let node = self.record.node_mut(name)?;
        node.pid = process.map(|process| process.pid);
        node.started = process.map(|process| process.started);
        self.save()?;
        self.has_entered(name)
    }

    /// What happens to a node happens on its machine: its process is not met outside, on its way there.
    fn has_entered(&mut self, name: &str) -> Result<(), BedError> {
        let entered = |node: &Node| {
            let is_in = node.process().is_some_and(|process| node.network().holds(process));
            if is_in { Ok(()) } else { Err("it is on its way".to_owned()) }
        };
        match self.ready(name, "is on its machine", PATIENCE, entered) {
            // Whoever waits for what it does sees that, and what it said.
            Err(BedError::Ended { .. }) => Ok(()),
            other => other,
        }
    }

    /// Waits until `look` has an answer about a node; until then it says why not.
    ///
    /// # Errors
    /// When it has none within `limit`, or the node's process has ended.
    pub fn ready<T>(
        &mut self,
        name: &str,
        what: &str,
        limit: Duration,
        mut look: impl FnMut(&Node) -> Result<T, String>,
    ) -> Result<T, BedError> {
        let mut said = String::new();
        let found = wait::within(limit, || {
            self.reap();
            let node = self.record.node(name).ok()?;
            match look(node) {
                Ok(found) => Some(Some(found)),
                Err(_) if node.state() == ProcessState::Gone => Some(None),
                Err(reason) => {
                    said = reason;
                    None
                }
            }
        });
        let node = self.node(name)?;
        match found {
            Some(Some(found)) => Ok(found),
            Some(None) => Err(BedError::Ended { node: name.to_owned(), said: node.last_words() }),
            None => Err(BedError::NotReady { what: format!("{name} {what}"), waited: limit, said }),
        }
    }

    /// Looks at children that are gone, so that the kernel forgets them.
    pub(crate) fn reap(&mut self) {
        self.children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }

    /// Takes everything away, and looks whether it is gone.
    ///
    /// # Errors
    /// When something is left.
    pub fn down(mut self) -> Result<(), BedError> {
        self.is_kept = true;
        self.end()
    }

    fn end(&mut self) -> Result<(), BedError> {
        let networks = registry::namespaces(&self.record.tag);
        if networks.iter().any(|network| network.holds(ProcessId::own())) {
            return Err(BedError::Refused("this runs inside the cluster, and would end itself".into()));
        }
        let machines: Vec<Machine> = self.record.nodes.iter().map(Machine::of).collect();
        for machine in &machines {
            machine.kill()?;
        }
        for network in &networks {
            // Shells of people in the clients' network would hold it.
            super::machine::kill_in(network)?;
        }
        // What does not go away keeps something, which the last look tells.
        let _ = wait::within(PATIENCE, || {
            self.reap();
            self.children.iter_mut().for_each(|child| drop(child.kill()));
            self.children.is_empty().then_some(())
        });
        mounts::remove(&self.record.directory);
        machines.iter().for_each(Machine::clear);
        for network in &networks {
            network.delete()?;
        }
        self.record.nodes.iter().filter_map(|node| node.disk.as_deref()).for_each(disk::remove);
        let directory = &self.record.directory;
        fs::remove_dir_all(directory).map_err(BedError::file("remove", directory))?;
        let mut left: Vec<String> = machines.iter().flat_map(Machine::remains).collect();
        left.extend(
            registry::namespaces(&self.record.tag).iter().map(|left| format!("namespace {}", left.name())),
        );
        if !left.is_empty() {
            return Err(BedError::LeftBehind(left));
        }
        let _ = fs::remove_file(&self.file);
        registry::leave(&self.record.tag);
        Ok(())
    }
}

impl Drop for Bed {
    /// A test that failed leaves nothing running either, but says what its nodes said.
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        let mut out = std::io::stderr();
        if std::thread::panicking() {
            for node in &self.record.nodes {
                let _ = writeln!(out, "{} said last: {}", node.name, node.last_words());
            }
        }
        if let Err(error) = self.end() {
            let _ = writeln!(out, "the bed {} was not ended: {error}", self.record.tag);
        }
    }
}

/// In a session of its own: a terminal that closes does not end it.
fn command(node: &Node, launch: &Launch) -> Result<Command, BedError> {
    let log = File::options().create(true).append(true).open(&node.log);
    let log = log.map_err(BedError::file("open", &node.log))?;
    let out = log.try_clone().map_err(BedError::file("open", &node.log))?;
    let mut command = Command::new("setsid");
    command.arg("nsenter").args(node.network().entrance()).arg("--");
    command.args(&launch.words).stdin(Stdio::null()).stdout(out).stderr(log).current_dir("/");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("KOGGE_")) {
        command.env_remove(name);
    }
    command.envs(&launch.env);
    Ok(command)
}
