//! Somebody who asks for one page all the while, and notes how each visit went.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kogge_testkit::campaign::exchange::{Question, ask};
use kogge_testkit::cluster::Namespace;

/// A visitor waits no longer.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);

/// Where the page is.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// From where it is asked for.
    pub(crate) network: Namespace,
    pub(crate) door: SocketAddr,
    pub(crate) host: &'static str,
    pub(crate) path: &'static str,
}

/// One visit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visit {
    pub(crate) asked: Instant,
    pub(crate) took: Duration,
    pub(crate) is_good: bool,
}

/// A visitor; goes when this is dropped.
pub(crate) struct Visits {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    seen: Mutex<Vec<Visit>>,
}

impl Visits {
    pub(crate) fn start(page: Page) -> Self {
        let shared = Arc::<Shared>::default();
        let seen = Arc::clone(&shared);
        let visit = move || {
            let question = Question { to: page.door, host: page.host, body: None, path: page.path };
            // The network is gone only when the cluster is.
            let _ = page.network.inside(|| seen.ask_on(&question));
        };
        Self { shared, thread: Some(std::thread::spawn(visit)) }
    }

    /// Those that were under way at `begin`, or began later.
    pub(crate) fn since(&self, begin: Instant) -> Vec<Visit> {
        self.shared.seen().iter().filter(|visit| visit.asked + visit.took >= begin).copied().collect()
    }
}

impl Drop for Visits {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Vec<Visit>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask_on(&self, question: &Question<'_>) {
        while !self.is_over.load(Ordering::Relaxed) {
            let asked = Instant::now();
            let is_good = ask(question, PATIENCE).is_ok_and(|answer| answer.status == 200);
            self.seen().push(Visit { asked, took: asked.elapsed(), is_good });
            std::thread::sleep(PAUSE);
        }
    }
}
