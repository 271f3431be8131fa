//! Requests of users through the router of an agent, one after the other, all the while.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Miss;
use super::exchange::{Question, ask};
use super::pause::Pause;
use crate::cluster::Namespace;
use crate::wait;

/// A user waits no longer.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);

/// The loop.
#[derive(Debug)]
pub struct Requests {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    is_over: AtomicBool,
    pause: Pause,
    succeeded: AtomicUsize,
    failed: Mutex<Vec<Failed>>,
}

/// A request that got no good answer.
#[derive(Debug, Clone)]
struct Failed {
    asked: Instant,
    ended: Instant,
    why: String,
}

impl Requests {
    /// Starts two users who ask the router at `door` for a page of `host`, from the network of clients.
    ///
    /// # Errors
    /// When there is no first answer.
    pub fn start(clients: &Namespace, door: SocketAddr, host: &str) -> Result<Self, Miss> {
        let one = move |host: &str| {
            let question = Question { to: door, host, body: None, path: "/" };
            match ask(&question, PATIENCE) {
                Ok(answer) if answer.status == 200 => Ok(()),
                Ok(answer) => Err(format!("{} {}", answer.status, answer.text.trim())),
                Err(error) => Err(error.to_string()),
            }
        };
        let first = clients.inside(|| wait::within(3 * PATIENCE, || one(host).ok()))?;
        first.ok_or_else(|| Miss::new(format!("the router gives no page of {host}")))?;
        let (is_over, succeeded, failed) = (AtomicBool::new(false), AtomicUsize::new(0), Mutex::default());
        let shared = Arc::new(Shared { is_over, pause: Pause::new(PAUSE), succeeded, failed });
        let user = || {
            let (clients, host, shared) = (clients.clone(), host.to_owned(), Arc::clone(&shared));
            std::thread::spawn(move || {
                // The network is gone only when the cluster is.
                let _ = clients.inside(|| shared.work(|| one(&host)));
            })
        };
        let threads = vec![user(), user()];
        Ok(Self { shared, threads })
    }

    /// How long each user rests between two requests, from now on.
    pub fn rest(&self, pause: Duration) {
        self.shared.pause.set(pause);
    }

    /// Ends the users. Gives how many requests were answered.
    ///
    /// # Errors
    /// When one failed that was not under way at a time when it may.
    pub fn end(&mut self, may_fail: &[(Instant, Duration)]) -> Result<usize, Miss> {
        self.stop();
        let failed = self.shared.failed();
        let is_forgiven = |one: &&Failed| {
            may_fail.iter().any(|(from, span)| one.asked < *from + *span && one.ended >= *from)
        };
        let bad: Vec<&Failed> = failed.iter().filter(|one| !is_forgiven(one)).collect();
        match bad.first() {
            None => Ok(self.shared.succeeded.load(Ordering::Relaxed)),
            Some(first) => {
                Err(Miss::new(format!("{} requests failed, the first with: {}", bad.len(), first.why)))
            }
        }
    }

    fn stop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn failed(&self) -> MutexGuard<'_, Vec<Failed>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, one: impl Fn() -> Result<(), String>) {
        while !self.is_over.load(Ordering::Relaxed) {
            let asked = Instant::now();
            match one() {
                Ok(()) => drop(self.succeeded.fetch_add(1, Ordering::Relaxed)),
                Err(why) => self.failed().push(Failed { asked, ended: Instant::now(), why }),
            }
            std::thread::sleep(self.pause.get());
        }
    }
}
