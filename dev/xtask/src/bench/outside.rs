//! The world outside: a network namespace beside the machine's, in which a listener notes the moment at which a
//! process in a container reaches it. That moment tells for every engine alike that the process runs and that its
//! network works.
//!
//! ```text
//!  container ── bridge ── machine 198.18.77.1 ── veth ── 198.18.77.2 outside, listener
//!  container ── bridge ── docker's namespace 198.18.77.5 ── veth ── 198.18.77.6 outside, same listener
//! ```

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

use anyhow::{Context, bail};
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{Shutdown, shutdown};

use super::process::{PATIENCE, output};

/// More than ever connect at once.
const QUEUE: usize = 256;

/// See the module. Everything is taken away when dropped.
pub(crate) struct Outside {
    namespace: String,
    links: Vec<String>,
    arrivals: Receiver<(Instant, TcpStream)>,
    /// The listener's socket, to wake the thread that accepts.
    socket: OwnedFd,
    port: u16,
}

/// From where the outside is reached.
pub(crate) enum Side {
    /// From the machine's own network.
    Machine,
    /// From the network namespace of that name.
    Namespace(String),
}

impl Outside {
    pub(crate) fn make() -> anyhow::Result<Self> {
        // The kernel takes its time with the namespace of the one before.
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let namespace = format!("kb{}x{}", MADE.fetch_add(1, Ordering::Relaxed), std::process::id());
        output(Command::new("ip").args(["netns", "add", &namespace]))?;
        let (sender, arrivals) = sync_channel(QUEUE);
        let listener = in_namespace(&namespace, || TcpListener::bind("0.0.0.0:0"))??;
        let (socket, port) = (listener.try_clone()?.into(), listener.local_addr()?.port());
        let outside = Self { namespace, links: Vec::new(), arrivals, socket, port };
        outside.ip(&["link", "set", "lo", "up"])?;
        // Ends when its socket is shut down.
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if sender.send((Instant::now(), stream)).is_err() {
                    return;
                }
            }
        });
        Ok(outside)
    }

    /// Lays a line; gives the words `ADDRESS PORT` at which the listener is reached from there.
    pub(crate) fn connect(&mut self, side: &Side) -> anyhow::Result<[String; 2]> {
        let number = self.links.len();
        let (near, far) = (format!("{}n{number}", self.namespace), format!("kbf{number}"));
        let (near_ip, far_ip) =
            (format!("198.18.77.{}", number * 4 + 1), format!("198.18.77.{}", number * 4 + 2));
        let add = ["link", "add", &near, "type", "veth", "peer", "name", &far, "netns", &self.namespace];
        output(Command::new("ip").args(add))?;
        self.links.push(near.clone());
        self.ip(&["addr", "add", &format!("{far_ip}/30"), "dev", &far])?;
        self.ip(&["link", "set", &far, "up"])?;
        let mut prefix = Vec::new();
        if let Side::Namespace(name) = side {
            output(Command::new("ip").args(["link", "set", &near, "netns", name]))?;
            prefix = vec!["-n", name];
        }
        for words in [
            ["addr", "add", &format!("{near_ip}/30"), "dev", &near].as_slice(),
            &["link", "set", &near, "up"],
        ] {
            output(Command::new("ip").args(&prefix).args(words))?;
        }
        Ok([far_ip, self.port.to_string()])
    }

    fn ip(&self, words: &[&str]) -> anyhow::Result<()> {
        output(Command::new("ip").args(["-n", &self.namespace]).args(words)).map(drop)
    }

    /// The next `count` arrivals: when the last of them came, and their connections, which keep the processes
    /// waiting as long as they are held.
    pub(crate) fn arrivals(&self, count: usize) -> anyhow::Result<(Instant, Vec<TcpStream>)> {
        let (mut last, mut streams) = (Instant::now(), Vec::new());
        while streams.len() < count {
            match self.arrivals.recv_timeout(PATIENCE) {
                Ok((at, stream)) => {
                    last = at;
                    streams.push(stream);
                }
                Err(_) => bail!("{} of {count} processes reached the outside in {PATIENCE:?}", streams.len()),
            }
        }
        Ok((last, streams))
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
        // At once: a namespace may live on for a while, and its links and addresses with it. Links that were put into
        // another namespace go with that one.
        for link in &self.links {
            let _ = output(Command::new("ip").args(["link", "del", link]));
        }
        let _ = output(Command::new("ip").args(["netns", "del", &self.namespace]));
    }
}

/// Runs `work` in a thread that has entered the network namespace of that name.
pub(crate) fn in_namespace<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
    let path = format!("/run/netns/{name}");
    let file = File::open(&path).with_context(|| format!("cannot open {path}"))?;
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || -> anyhow::Result<T> {
            setns(file, CloneFlags::CLONE_NEWNET).context("cannot enter the network namespace")?;
            Ok(work())
        });
        thread.join().expect("the thread does not panic")
    })
}
