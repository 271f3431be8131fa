//! One client's connection: who it is, what it is waiting for, and since when.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};

use crate::clock::millis;
use crate::config::RouterConfig;
use crate::forwarded::Origin;
use crate::router::Inner;

/// What the outside was told about how it speaks to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain.
    Http,
    /// TLS ended at this router.
    Https,
}

impl Scheme {
    /// As it stands in a URL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Shared by the task that serves the connection and the sweeper that looks after its times.
#[derive(Debug)]
pub(crate) struct ClientConnection {
    pub(crate) router: Arc<Inner>,
    pub(crate) origin: Origin,
    number: u64,
    phase: AtomicU8,
    since_ms: AtomicU64,
    /// HTTP/2: phases do not apply, streams keep their own time.
    is_multiplexed: AtomicBool,
    streams: AtomicUsize,
    has_begun: AtomicBool,
    order: AtomicU8,
    waker: Mutex<Option<Waker>>,
}

/// What a connection that carries one request after the other is at.
///
/// ```text
///  Head ──▶ Answer ──▶ Body ──▶ Idle ──▶ Head …
///              └──▶ Late (the sweeper's word: answer 504)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    /// The client is to send a header.
    Head = 0,
    /// The backend is to send a header.
    Answer = 1,
    /// It took too long.
    Late = 2,
    /// A body is under way.
    Body = 3,
    /// The client may send a request or not.
    Idle = 4,
    /// It carries something else now.
    Tunnel = 5,
}

impl Phase {
    const fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Head,
            1 => Self::Answer,
            2 => Self::Late,
            3 => Self::Body,
            4 => Self::Idle,
            _ => Self::Tunnel,
        }
    }
}

/// What the sweeper or a shutdown want of the task that serves the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Order {
    /// Go on.
    Serve = 0,
    /// Finish what is under way, then close.
    Finish = 1,
    /// Close.
    Close = 2,
}

impl ClientConnection {
    pub(crate) fn new(
        router: Arc<Inner>,
        number: u64,
        peer: SocketAddr,
        local: SocketAddr,
        scheme: Scheme,
    ) -> Self {
        let is_trusted = router.config.trusted_proxies.iter().any(|network| network.contains(peer.ip()));
        let now_ms = router.clock.advance();
        Self {
            router,
            origin: Origin::new(peer, local, scheme, is_trusted),
            number,
            phase: AtomicU8::new(Phase::Head as u8),
            since_ms: AtomicU64::new(now_ms),
            is_multiplexed: AtomicBool::new(false),
            streams: AtomicUsize::new(0),
            has_begun: AtomicBool::new(false),
            order: AtomicU8::new(Order::Serve as u8),
            waker: Mutex::new(None),
        }
    }

    /// A request's header is complete. The turn lasts until its response is.
    pub(crate) fn begin(self: Arc<Self>, is_multiplexed: bool) -> Turn {
        self.has_begun.store(true, Ordering::Relaxed);
        if is_multiplexed {
            self.is_multiplexed.store(true, Ordering::Relaxed);
            self.streams.fetch_add(1, Ordering::Relaxed);
        }
        self.enter(Phase::Answer);
        Turn { connection: self, is_multiplexed }
    }

    /// Bytes came from the client: the beginning of a header, if it was idle.
    pub(crate) fn note_read(&self) {
        let is_idle = self.phase() == Phase::Idle;
        if is_idle && !self.is_multiplexed.load(Ordering::Relaxed) {
            self.enter(Phase::Head);
        }
    }

    /// What the task should do. Costs one load.
    pub(crate) fn order(&self) -> Order {
        match self.order.load(Ordering::Relaxed) {
            0 => Order::Serve,
            1 => Order::Finish,
            _ => Order::Close,
        }
    }

    /// Tells the task; an order never becomes milder.
    pub(crate) fn give(&self, order: Order) {
        if self.order.fetch_max(order as u8, Ordering::Relaxed) < order as u8 {
            self.wake();
        }
    }

    /// Remembers which task serves the connection. The waker of a task stays the same.
    pub(crate) fn set_waker(&self, cx: &Context<'_>) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
    }

    /// Looks at the time; wakes the task if something is over.
    pub(crate) fn check_times(&self, now_ms: u64, config: &RouterConfig) {
        let for_ms = now_ms.saturating_sub(self.since_ms.load(Ordering::Relaxed));
        if self.is_multiplexed.load(Ordering::Relaxed) {
            let is_idle = self.streams.load(Ordering::Relaxed) == 0;
            if is_idle && for_ms >= millis(config.idle_timeout) {
                self.give(Order::Finish);
            }
            return;
        }
        match self.phase() {
            Phase::Head if for_ms >= millis(config.header_timeout) => self.give(Order::Close),
            Phase::Idle if for_ms >= millis(config.idle_timeout) => self.give(Order::Close),
            Phase::Body if for_ms >= millis(config.stall_timeout) => self.give(Order::Close),
            Phase::Answer if for_ms >= millis(config.response_timeout) => {
                let (from, to) = (Phase::Answer as u8, Phase::Late as u8);
                if self.phase.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                    self.wake();
                }
            }
            _ => {}
        }
    }

    /// Whether any request has come.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Relaxed)
    }

    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    fn wake(&self) {
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn phase(&self) -> Phase {
        Phase::from_number(self.phase.load(Ordering::Relaxed))
    }

    fn enter(&self, phase: Phase) {
        self.since_ms.store(self.router.clock.now_ms(), Ordering::Relaxed);
        self.phase.store(phase as u8, Ordering::Relaxed);
    }
}

impl Drop for ClientConnection {
    fn drop(&mut self) {
        self.router.connections.remove(self.number);
    }
}

/// One request's time on its client connection; ends with its response.
#[derive(Debug)]
pub(crate) struct Turn {
    connection: Arc<ClientConnection>,
    is_multiplexed: bool,
}

impl Turn {
    pub(crate) fn connection(&self) -> &Arc<ClientConnection> {
        &self.connection
    }

    pub(crate) const fn is_multiplexed(&self) -> bool {
        self.is_multiplexed
    }

    /// Whether the sweeper has given up on the backend. HTTP/2 streams keep their own time.
    pub(crate) fn is_late(&self) -> bool {
        !self.is_multiplexed && self.connection.phase() == Phase::Late
    }

    /// A part of the request's body moved on before the response began.
    pub(crate) fn note_upload(&self) {
        if self.connection.phase() == Phase::Answer {
            self.connection.enter(Phase::Answer);
        }
    }

    /// A part of a body moved on.
    pub(crate) fn note_body(&self) {
        self.connection.enter(Phase::Body);
    }

    /// The connection carries something else from now on.
    pub(crate) fn become_tunnel(&self) {
        self.connection.enter(Phase::Tunnel);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.is_multiplexed {
            self.connection.streams.fetch_sub(1, Ordering::Relaxed);
        }
        self.connection.enter(Phase::Idle);
    }
}
