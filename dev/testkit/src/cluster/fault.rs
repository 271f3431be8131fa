//! What can happen to a node, and how it is undone.

use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::machine::Machine;
use super::{
    Bed, BedError, Cut, Direction, LinkFaults, Node, Percent, ProcessState, Rate, Shift, clock, disk,
};
use crate::wait;

/// How long a node may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(30);

/// Something that happens to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Its process is killed.
    Kill {
        /// Everything else that runs on it too: supervisors and tasks.
        with_tasks: bool,
    },
    /// Its process stands still.
    Pause {
        /// Everything else that runs on it too: supervisors and tasks.
        with_tasks: bool,
    },
    /// All that stood still goes on.
    Resume,
    /// Its link lets nothing through, and nobody is told.
    Cut {
        /// Which way; without, both.
        direction: Option<Direction>,
        /// Only from or to this node.
        peer: Option<String>,
    },
    /// Its link loses a share of the packets, each way.
    Loss(Percent),
    /// Its link lets no more through, each way.
    Bandwidth(Rate),
    /// Its link loses packets that are larger, each way, and tells nobody: in bytes, with their headers.
    Packets(u16),
    /// Its wall clock is wrong.
    Clock(Shift),
    /// Its disk is full.
    Fill,
    /// Link, clock and disk are as they were.
    Heal,
    /// Its process ends in good order, if it runs, and is started again.
    Restart {
        /// With this program instead: another version.
        program: Option<PathBuf>,
    },
}

impl Bed {
    /// Lets it happen; it has happened when this returns.
    ///
    /// # Errors
    /// When the node is not such that it could.
    pub fn fault(&mut self, name: &str, fault: &Fault) -> Result<(), BedError> {
        self.node(name)?;
        match fault {
            Fault::Kill { with_tasks } => self.kill(name, *with_tasks),
            Fault::Pause { with_tasks } => self.pause(name, *with_tasks),
            Fault::Resume => Machine::of(self.node(name)?).set_paused(false),
            Fault::Cut { direction, peer } => self.cut(name, *direction, peer.as_deref()),
            Fault::Loss(share) => self.link(name, |faults| faults.loss = Some(*share)),
            Fault::Bandwidth(rate) => {
                self.link(name, |faults| faults.rate = Some(*rate))?;
                self.switch().limit(name, &self.node(name)?.network(), Some(*rate))
            }
            Fault::Packets(largest) => self.link(name, |faults| faults.largest = Some(*largest)),
            Fault::Clock(shift) => {
                let file = self.node(name)?.clock.as_deref();
                clock::set(file.ok_or_else(|| no_clock(name))?, *shift)
            }
            Fault::Fill => disk::fill(self.node(name)?.disk.as_deref().ok_or_else(|| no_disk(name))?),
            Fault::Heal => self.heal(name),
            Fault::Restart { program } => self.restart(name, program.as_ref()),
        }
    }

    fn kill(&mut self, name: &str, with_tasks: bool) -> Result<(), BedError> {
        let node = self.node(name)?;
        if with_tasks {
            let machine = Machine::of(node);
            // In rounds, because each round may find new ones; children that are gone must not be found again.
            machine.kill()?;
        }
        self.signal(name, Signal::SIGKILL)?;
        self.gone(name, GRACE)
    }

    fn pause(&mut self, name: &str, with_tasks: bool) -> Result<(), BedError> {
        let node = self.node(name)?;
        if with_tasks {
            return Machine::of(node).set_paused(true);
        }
        if node.state() == ProcessState::Gone {
            return Err(BedError::Refused(format!("{name} does not run")));
        }
        self.signal(name, Signal::SIGSTOP)?;
        let is_paused = |node: &Node| {
            if node.state() == ProcessState::Paused { Ok(()) } else { Err("it runs".to_owned()) }
        };
        self.ready(name, "stands still", GRACE, is_paused)
    }

    fn signal(&self, name: &str, signal: Signal) -> Result<(), BedError> {
        self.node(name)?.process().map_or(Ok(()), |process| process.signal(signal))
    }

    /// Waits until the process is gone.
    fn gone(&mut self, name: &str, limit: Duration) -> Result<(), BedError> {
        let gone = wait::within(limit, || {
            self.reap();
            self.node(name).is_ok_and(|node| node.state() == ProcessState::Gone).then_some(())
        });
        gone.ok_or_else(|| BedError::NotReady {
            what: format!("{name} is gone"),
            waited: limit,
            said: String::new(),
        })?;
        let node = self.record.node_mut(name)?;
        (node.pid, node.started) = (None, None);
        self.save()
    }

    fn restart(&mut self, name: &str, program: Option<&PathBuf>) -> Result<(), BedError> {
        match self.node(name)?.state() {
            ProcessState::Running => {
                self.signal(name, Signal::SIGTERM)?;
                if self.gone(name, GRACE).is_err() {
                    self.kill(name, false)?;
                }
            }
            ProcessState::Paused => self.kill(name, false)?,
            ProcessState::Gone => {}
        }
        if let Some(program) = program {
            let program = program.canonicalize().map_err(BedError::file("find", program))?;
            let launch = self.record.node_mut(name)?.launch.as_mut();
            let first = launch.and_then(|launch| launch.words.first_mut());
            *first.ok_or_else(|| BedError::Refused(format!("nothing is known to run on {name}")))? =
                program.display().to_string();
        }
        self.start(name)
    }

    fn cut(&mut self, name: &str, way: Option<Direction>, peer: Option<&str>) -> Result<(), BedError> {
        if let Some(peer) = peer.filter(|peer| *peer != "client") {
            self.node(peer)?;
        }
        let ways = Direction::BOTH.into_iter().filter(|direction| way.is_none_or(|way| way == *direction));
        let cuts = ways.map(|direction| Cut { direction, peer: peer.map(str::to_owned) });
        self.link(name, |faults| faults.cuts.extend(cuts))
    }

    /// Changes what is wrong with a link. It is written down first, so that it is healed later even if this dies now.
    fn link(&mut self, name: &str, change: impl FnOnce(&mut LinkFaults)) -> Result<(), BedError> {
        change(&mut self.record.node_mut(name)?.faults);
        self.save()?;
        self.switch().set(self.record.nodes.iter().map(|node| (node.name.as_str(), &node.faults)))
    }

    fn heal(&mut self, name: &str) -> Result<(), BedError> {
        let node = self.node(name)?;
        if node.faults.rate.is_some() {
            self.switch().limit(name, &node.network(), None)?;
        }
        if let Some(file) = &node.clock {
            clock::set(file, Shift::NONE)?;
        }
        if let Some(at) = &node.disk {
            disk::empty(at)?;
        }
        self.link(name, |faults| *faults = LinkFaults::default())
    }
}

fn no_clock(name: &str) -> BedError {
    BedError::Refused(format!("the clock of {name} is that of the machine: start the cluster with --clocks"))
}

fn no_disk(name: &str) -> BedError {
    BedError::Refused(format!("{name} has no disk of its own: start the cluster with --disk {name}=MIB"))
}
