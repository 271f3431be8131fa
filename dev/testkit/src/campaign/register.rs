//! A register in the cloud, and clients that write and read it all the while, one or two at each server.
//!
//! The register is the memory limit of a service that wants no instance: changing it starts nothing. The API tells what
//! a change has replaced, so each write says what was before it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Miss;
use super::exchange::{Answer, NoAnswer, Question, ask};
use super::history::{self, Did, Operation, Receipt};
use super::pause::Pause;
use crate::cluster::Namespace;

const SERVICE: &str = "register";
const FIELD: &str = "template.limits.mem_bytes";
/// Before the first write.
const INITIAL: u64 = 64 << 20;
/// A client gives up then, and does not know what became of its write.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two operations of a client.
const PAUSE: Duration = Duration::from_millis(15);
/// One in so many operations is a read.
const READS: u64 = 4;

/// A server as clients on its machine reach it.
#[derive(Debug, Clone)]
pub struct Door {
    /// The server's name.
    pub server: String,
    /// Its machine.
    pub network: Namespace,
    /// The API.
    pub at: SocketAddr,
}

/// The clients.
#[derive(Debug)]
pub struct Register {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    begin: Instant,
    is_over: AtomicBool,
    is_hushed: AtomicBool,
    pause: Pause,
    next: AtomicU64,
    told: Mutex<Told>,
}

/// What clients have seen.
#[derive(Debug, Default)]
struct Told {
    history: Vec<Operation>,
    /// Values in copies, by client, in the order in which each saw them.
    copies: Vec<(String, u64)>,
    /// Sentences with which writes were not taken, with their times.
    refusals: Vec<(u64, String)>,
}

/// What became of all operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Writes that were acknowledged.
    pub acknowledged: usize,
    /// Writes whose outcome nobody was told.
    pub unknown: usize,
    /// Reads.
    pub reads: usize,
}

/// What an answer to a write means.
enum Outcome {
    Done(Receipt),
    Refused(String),
    Unknown(String),
}

impl Register {
    /// Makes the register and starts two clients at each door.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn start(doors: &[Door]) -> Result<Self, Miss> {
        let first = doors.first().ok_or_else(|| Miss::new("there is no server to write at"))?;
        let body = json!({"name": SERVICE, "command": "true", "instances": 0, "mem_bytes": INITIAL});
        let made = first.ask("/api/v1/deployments", Some(&body), 10 * PATIENCE)?;
        if made.status != 200 {
            return Err(Miss::new(format!("the register cannot be made: {}", made.detail())));
        }
        let shared = Arc::new(Shared {
            begin: Instant::now(),
            is_over: AtomicBool::new(false),
            is_hushed: AtomicBool::new(false),
            pause: Pause::new(PAUSE),
            next: AtomicU64::new(INITIAL + 1),
            told: Mutex::default(),
        });
        let client = |door: &Door, number: u8| {
            let name = format!("client {number} of {}", door.server);
            let (door, shared) = (door.clone(), Arc::clone(&shared));
            std::thread::spawn(move || {
                // The network is gone only when the cluster is.
                let _ = door.network.clone().inside(|| shared.work(&door, &name));
            })
        };
        let clients = doors.iter().flat_map(|door| [client(door, 1), client(door, 2)]).collect();
        Ok(Self { shared, clients })
    }

    /// How long after `fault` the first write was acknowledged that was asked for after it; none, if none was yet.
    #[must_use]
    pub fn first_after(&self, fault: Instant) -> Option<Duration> {
        let since = self.shared.time(fault);
        let told = self.shared.told();
        let later = told.history.iter().filter(|one| one.called >= since && one.is_acknowledged());
        let first = later.filter_map(|one| one.returned).min()?;
        Some(Duration::from_nanos(first - since))
    }

    /// The sentences with which writes were not taken since then, with their numbers.
    #[must_use]
    pub fn refusals(&self, since: Instant) -> Vec<String> {
        let (since, told) = (self.shared.time(since), self.shared.told());
        let mut kinds: BTreeMap<String, (u64, &str)> = BTreeMap::new();
        for (_, text) in told.refusals.iter().filter(|(at, _)| *at >= since) {
            // Numbers differ from time to time, the sentence does not.
            let kind = text.chars().filter(|letter| !letter.is_ascii_digit()).collect();
            kinds.entry(kind).or_insert((0, text)).0 += 1;
        }
        kinds.into_values().map(|(count, text)| format!("{count} × {text}")).collect()
    }

    /// Lets clients hold still: nothing of theirs is under way when this returns. Or lets them go on.
    pub fn hush(&self, is_hushed: bool) {
        self.shared.is_hushed.store(is_hushed, Ordering::Relaxed);
        if is_hushed {
            // Each operation ends by then, or never counts.
            std::thread::sleep(2 * PATIENCE);
        }
    }

    /// How long each client rests between two operations, from now on.
    pub fn rest(&self, pause: Duration) {
        self.shared.pause.set(pause);
    }

    /// Ends the clients and judges what they have seen.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn end(&mut self) -> Result<Tally, Miss> {
        self.stop();
        let told = self.shared.told();
        history::check(INITIAL, &told.history).map_err(Miss::new)?;
        check_copies(&told)?;
        let writes = || told.history.iter().filter(|one| matches!(one.did, Did::Write { .. }));
        let acknowledged = writes().filter(|one| one.returned.is_some()).count();
        let tally = Tally {
            acknowledged,
            unknown: writes().count() - acknowledged,
            reads: told.history.len() - writes().count() + told.copies.len(),
        };
        if tally.acknowledged == 0 {
            return Err(Miss::new("no write was acknowledged at all"));
        }
        Ok(tally)
    }

    fn stop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            let _ = client.join();
        }
    }
}

impl Drop for Register {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Operation {
    fn is_acknowledged(&self) -> bool {
        matches!(self.did, Did::Write { receipt: Some(_), .. })
    }
}

impl Door {
    /// Asks from within the machine.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn ask(&self, path: &str, body: Option<&Value>, limit: Duration) -> Result<Answer, Miss> {
        let asked = self.network.inside(|| ask(&self.question(path, body), limit))?;
        asked.map_err(|error| Miss::new(format!("{}: {error}", self.server)))
    }

    fn question<'a>(&self, path: &'a str, body: Option<&'a Value>) -> Question<'a> {
        Question { to: self.at, host: "localhost", body, path }
    }
}

impl Shared {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn time(&self, at: Instant) -> u64 {
        u64::try_from(at.duration_since(self.begin).as_nanos()).expect("tests take less than centuries")
    }

    fn work(&self, door: &Door, client: &str) {
        let mut count = 0;
        while !self.is_over.load(Ordering::Relaxed) {
            if self.is_hushed.load(Ordering::Relaxed) {
                std::thread::sleep(PAUSE);
                continue;
            }
            count += 1;
            if count % READS == 0 {
                self.read(door, client)
            } else {
                self.write(door)
            }
            std::thread::sleep(self.pause.get());
        }
    }

    fn write(&self, door: &Door) {
        let value = self.next.fetch_add(1, Ordering::Relaxed);
        let body = json!({"name": SERVICE, "mem_bytes": value});
        let called = self.time(Instant::now());
        let asked = ask(&door.question("/api/v1/deployments", Some(&body)), PATIENCE);
        let returned = self.time(Instant::now());
        let mut told = self.told();
        let (returned, receipt) = match outcome(asked) {
            Outcome::Done(receipt) => (Some(returned), Some(receipt)),
            Outcome::Unknown(why) => {
                told.refusals.push((returned, why));
                (None, None)
            }
            Outcome::Refused(why) => return told.refusals.push((returned, why)),
        };
        told.history.push(Operation { called, returned, did: Did::Write { value, receipt } });
    }

    fn read(&self, door: &Door, client: &str) {
        let called = self.time(Instant::now());
        let Ok(answer) = ask(&door.question("/api/v1/services/register", None), PATIENCE) else { return };
        let returned = Some(self.time(Instant::now()));
        let Some(value) = answer.body["mem_bytes"].as_u64().filter(|_| answer.status == 200) else { return };
        let mut told = self.told();
        match answer.index {
            Some(_) => told.copies.push((client.to_owned(), value)),
            None => told.history.push(Operation { called, returned, did: Did::Read { value } }),
        }
    }
}

/// Whatever is not certain is unknown.
fn outcome(asked: Result<Answer, NoAnswer>) -> Outcome {
    match asked {
        Err(NoAnswer::NotSent(error)) => Outcome::Refused(format!("nobody is there: {error}")),
        Err(NoAnswer::Lost(error)) => Outcome::Unknown(format!("no answer: {error}")),
        Ok(answer) if answer.status == 200 => receipt(&answer.body)
            .map_or_else(|| Outcome::Unknown(format!("no receipt: {}", answer.text)), Outcome::Done),
        Ok(answer) => {
            let said = format!("{} {}", answer.status, answer.detail());
            let is_certain = answer.status < 500 || said.contains("nothing was changed");
            if is_certain { Outcome::Refused(said) } else { Outcome::Unknown(said) }
        }
    }
}

fn receipt(change: &Value) -> Option<Receipt> {
    let changes = change["changes"].as_array()?;
    let field = changes.iter().find(|one| one["field"] == FIELD)?;
    let before = field["before"].as_str()?.parse().ok()?;
    Some(Receipt { before, revision: change["revision"].as_u64()? })
}

/// A copy may be old, but it never goes back, and knows nothing that nobody wrote.
fn check_copies(told: &Told) -> Result<(), Miss> {
    let writes = told.history.iter().filter_map(|one| match one.did {
        Did::Write { value, receipt } => Some((value, receipt.map(|receipt| receipt.revision))),
        Did::Read { .. } => None,
    });
    let known: BTreeMap<u64, Option<u64>> = writes.chain([(INITIAL, Some(0))]).collect();
    let mut newest: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (client, value) in &told.copies {
        let Some(revision) = known.get(value) else {
            return Err(Miss::new(format!("{client} was shown {value}, but every write of it was refused")));
        };
        // Where a write of unknown outcome stands among the others is not told.
        let Some(revision) = *revision else { continue };
        let (seen, before) = *newest.entry(client).or_insert((revision, *value));
        if revision < seen {
            return Err(Miss::new(format!("{client} was shown {before}, and after it the older {value}")));
        }
        newest.insert(client, (revision, *value));
    }
    Ok(())
}
