//! The members of the cluster, and the connection to the one that is asked now.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kogge_host::backoff::Backoff;
use kogge_host::tasks::TaskGroup;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::config::Endpoint;
use super::connection::Connection;
use super::greeting::{self, Greeting, Stranger};
use super::token::Tokens;
use super::tries::{chance, jittered};

/// The longest that one member is given to take a connection.
const DIAL_TIMEOUT: Duration = Duration::from_millis(1500);
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(super) struct Members {
    endpoints: Vec<Endpoint>,
    tls: Option<Tls>,
    /// Where connections live.
    tasks: TaskGroup,
    /// The cluster met first; members of another one are strangers.
    cluster: OnceLock<u64>,
    current: Mutex<Current>,
    dialled: AtomicU64,
}

struct Tls(TlsConnector);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

#[derive(Debug)]
struct Current {
    connection: Option<Connection>,
    /// The member to try first.
    next: usize,
    wait: Backoff,
    /// Why nobody could be reached, and when it makes sense to try again.
    failed: Option<(String, Instant)>,
}

/// Nobody could be reached.
#[derive(Debug)]
pub(super) struct Unreached {
    pub(super) reason: String,
    /// When it makes sense to try again.
    pub(super) retry_at: Instant,
    /// A member that can be reached but will never do.
    pub(super) stranger: Option<Stranger>,
}

impl Members {
    pub(super) fn new(endpoints: Vec<Endpoint>, tls: Option<TlsConnector>, tasks: TaskGroup) -> Self {
        let wait = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        // Processes that start together do not all ask the same member.
        let next = usize::from(chance());
        Self {
            endpoints,
            tls: tls.map(Tls),
            tasks,
            cluster: OnceLock::new(),
            current: Mutex::new(Current { connection: None, next, wait, failed: None }),
            dialled: AtomicU64::new(0),
        }
    }

    /// The connection for requests, made if there is none.
    pub(super) async fn connection(
        &self,
        deadline: Instant,
        tokens: &Tokens,
    ) -> Result<Connection, Unreached> {
        let late = |_| Unreached {
            reason: "no member answered in time".to_owned(),
            retry_at: deadline,
            stranger: None,
        };
        let mut current = timeout_at(deadline, self.current.lock()).await.map_err(late)?;
        if let Some(connection) = current.connection.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(connection.clone());
        }
        current.connection = None;
        if let Some((reason, retry_at)) = &current.failed
            && *retry_at > Instant::now()
        {
            return Err(Unreached { reason: reason.clone(), retry_at: *retry_at, stranger: None });
        }
        match timeout_at(deadline, self.dial_from(current.next, tokens)).await.map_err(late)? {
            Ok((connection, member)) => {
                current.next = member;
                current.failed = None;
                current.wait.reset();
                current.connection = Some(connection.clone());
                Ok(connection)
            }
            Err((reason, stranger)) => {
                let retry_at = Instant::now() + jittered(current.wait.wait());
                current.failed = Some((reason.clone(), retry_at));
                Err(Unreached { reason, retry_at, stranger })
            }
        }
    }

    /// Connects to the first member that will have us, from the given one on.
    async fn dial_from(
        &self,
        first: usize,
        tokens: &Tokens,
    ) -> Result<(Connection, usize), (String, Option<Stranger>)> {
        let count = self.endpoints.len();
        let (mut reasons, mut stranger) = (Vec::new(), None);
        for member in (first..first + count).map(|n| n % count) {
            let endpoint = &self.endpoints[member];
            match tokio::time::timeout(DIAL_TIMEOUT, self.dial(endpoint, tokens)).await {
                Ok(Ok(connection)) => return Ok((connection, member)),
                Ok(Err(refused)) => {
                    reasons.push(format!("{endpoint}: {refused}"));
                    stranger = stranger.or(refused.stranger());
                }
                Err(_) => reasons.push(format!("{endpoint}: no answer in time")),
            }
        }
        Err((reasons.join("; "), stranger))
    }

    async fn dial(&self, endpoint: &Endpoint, tokens: &Tokens) -> Result<Connection, Greeting> {
        let number = self.dialled.fetch_add(1, Ordering::Relaxed);
        let tls = self.tls.as_ref().map(|tls| &tls.0);
        let connection =
            Connection::dial(endpoint, tls, &self.tasks, number).await.map_err(Greeting::Dial)?;
        greeting::greet(&connection, tokens, &self.cluster).await?;
        Ok(connection)
    }

    /// A connection that nobody else uses.
    pub(super) async fn any(&self, tokens: &Tokens) -> Result<Connection, Unreached> {
        match self.dial_from(usize::from(chance()), tokens).await {
            Ok((connection, _)) => Ok(connection),
            Err((reason, stranger)) => Err(Unreached { reason, retry_at: Instant::now(), stranger }),
        }
    }

    /// The connection is of no use: the next call takes another member.
    pub(super) async fn leave(&self, connection: &Connection) {
        // Held for long only by one who is connecting anew, and then there is nothing to leave.
        let Ok(mut current) = tokio::time::timeout(FIRST_WAIT, self.current.lock()).await else { return };
        if current.connection.as_ref().is_some_and(|held| held.is(connection)) {
            current.connection = None;
            current.next = (current.next + 1) % self.endpoints.len();
        }
    }
}
