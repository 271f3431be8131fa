//! One request from a client to a backend and back: the order of steps. Each step is elsewhere.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use crate::backend::Lease;
use crate::client_connection::{ClientConnection, Turn};
use crate::clock::millis;
use crate::failure::Failure;
use crate::loops::probe;
use crate::page;
use crate::proxy_body::{ProxyBody, StreamedBody, put_back};
use crate::request_head::{self, Wishes};
use crate::request_id::{self, RequestId};
use crate::router::Inner;
use crate::target::Target;
use crate::tunnel;
use crate::upstream::body_decoder::BodyDecoder;
use crate::upstream::connection::UpstreamConnection;
use crate::upstream::exchange::{Exchange, ExchangeError};
use crate::upstream::framing::Framing;
use crate::upstream::request_writer::RequestWriter;
use crate::upstream::response_head::ResponseHead;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How long a client that asked for it waits for `100 Continue` before the body is sent all the same
/// (RFC 9110 §10.1.1: not for ever).
const CONTINUE_PATIENCE: Duration = Duration::from_secs(1);

/// A request that cannot be replayed gets no connection that was unused for longer: the backend could be closing it
/// this very moment.
const FRESH_ENOUGH_MS: u64 = 1_000;

/// Backends that cannot be reached before a request is given up, less one: each may take the whole patience for a connection.
const MOST_UNREACHED: usize = 3;

/// Answers one request, in any case.
///
/// What needs no waiting is done at once, and not in the future: hyper moves the future to where it is polled, so
/// everything it holds is copied for every request.
pub(crate) fn answer(
    connection: Arc<ClientConnection>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<ProxyBody>, Infallible>> {
    let started = Instant::now();
    let turn = connection.begin(request.version() == Version::HTTP_2);
    let id = CarriedId::of(&request, &turn.connection().router);
    let wants_html = page::wants_html(request.headers());
    let outbound = prepare(&turn, request, &id);
    async move {
        let carried = match outbound {
            Ok(outbound) => carry(turn, outbound, started).await,
            Err(failure) => Err(failure),
        };
        Ok(carried.unwrap_or_else(|failure| {
            if let Some(traffic) = &failure.traffic {
                traffic.count(failure.page.status.as_u16(), started.elapsed(), true);
            }
            failure.page.respond(wants_html, id.as_bytes())
        }))
    }
}

/// The client's id if it may pass, else a new one.
enum CarriedId {
    Kept(HeaderValue),
    Minted(RequestId),
}

impl CarriedId {
    fn of(request: &Request<Incoming>, router: &Inner) -> Self {
        match request.headers().get(X_REQUEST_ID) {
            Some(id) if request_id::is_sane(id.as_bytes()) => Self::Kept(id.clone()),
            _ => Self::Minted(router.ids.mint()),
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Kept(id) => id.as_bytes(),
            Self::Minted(id) => id.as_bytes(),
        }
    }
}

/// A request that is ready to be sent, and where to.
struct Outbound {
    lease: Lease,
    writer: RequestWriter,
    method: Method,
    /// The client's header map, emptied: it becomes the response's, so that its memory is used again.
    spare: HeaderMap,
    /// The client's side of the upgrade it asked for.
    upgrade: Option<OnUpgrade>,
}

/// Finds the backend and puts the request into bytes.
fn prepare(turn: &Turn, mut request: Request<Incoming>, id: &CarriedId) -> Result<Outbound, Failure> {
    let has_upgrade = request.headers().contains_key(header::UPGRADE);
    let upgrade = has_upgrade.then(|| hyper::upgrade::on(&mut request));
    let (parts, body) = request.into_parts();
    let framing = request_head::framing(&parts, &body);
    let wishes = Wishes::of(&parts, framing);
    let target = Target::of(&parts)?;
    let connection = turn.connection();
    let lease = connection.router.admit(&target.host, target.path)?;
    let head = request_head::write(&parts, &target, framing, &wishes, &connection.origin, id.as_bytes());
    let mut writer = RequestWriter::new(head, body, framing);
    if wishes.expects_continue {
        writer.hold_body(CONTINUE_PATIENCE);
    }
    let mut spare = parts.headers;
    spare.clear();
    Ok(Outbound {
        lease,
        writer,
        method: parts.method,
        spare,
        upgrade: upgrade.filter(|_| wishes.upgrade.is_some()),
    })
}

/// Sends the request, and returns the response when its header has come.
async fn carry(turn: Turn, mut outbound: Outbound, started: Instant) -> Result<Response<ProxyBody>, Failure> {
    let (exchange, head) = send(&turn, &mut outbound).await?;
    let Outbound { lease, upgrade, .. } = outbound;
    lease.traffic.count(head.status.as_u16(), started.elapsed(), false);
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        switch(exchange, head, lease, turn, upgrade)
    } else {
        Ok(respond(exchange, head, lease, turn))
    }
}

/// Where to go when `lease` could not be reached after `unreached` others: nothing was sent, so nothing is repeated. After
/// the first, only where a connection is likely to come about.
fn next_after(router: &Inner, lease: &Lease, error: &std::io::Error, unreached: usize) -> Option<Lease> {
    let now_ms = router.clock.now_ms();
    match error.kind() {
        std::io::ErrorKind::TimedOut => probe::watch(router, lease.backend()),
        _ => lease.avoid_until(now_ms.saturating_add(millis(router.config.avoid_refusing_for))),
    }
    let other = if unreached < MOST_UNREACHED { router.admit_elsewhere(lease) } else { None };
    other.filter(|other| unreached == 0 || !other.is_avoided(now_ms))
}

/// Sends the request, and once more elsewhere if nothing of it can have had an effect; backends that cannot be reached do
/// not count.
async fn send(turn: &Turn, outbound: &mut Outbound) -> Result<(Exchange, ResponseHead), Failure> {
    let router = &turn.connection().router;
    let is_replayable = outbound.method.is_idempotent();
    let mut max_idle_ms = if is_replayable { u64::MAX } else { FRESH_ENOUGH_MS };
    let (mut may_retry, mut unreached) = (true, 0);
    loop {
        let lease = &mut outbound.lease;
        let now_ms = router.clock.now_ms();
        let kept = if max_idle_ms == 0 { None } else { lease.pool.take(now_ms, max_idle_ms) };
        let is_kept = kept.is_some();
        let opened = match kept {
            Some(connection) => Ok(connection),
            // Boxed, since most requests need no new connection.
            None => Box::pin(UpstreamConnection::open(lease.endpoint, router.config.connect_timeout)).await,
        };
        let connection = match opened {
            Ok(connection) => connection,
            Err(error) => {
                let Some(other) = next_after(router, lease, &error, unreached) else {
                    return Err(Failure::connect(lease, &error));
                };
                lease.traffic.count_retry();
                (*lease, may_retry) = (other, false);
                unreached += 1;
                continue;
            }
        };
        let writer = std::mem::take(&mut outbound.writer);
        let mut exchange = Exchange::new(connection, writer, router.config.max_response_header_bytes);
        let error = match response_head(&mut exchange, turn, &outbound.method, &mut outbound.spare).await {
            Ok(head) => return Ok((exchange, head)),
            Err(error) => error,
        };
        let is_untouched = exchange.writer.sent() == 0 || (is_replayable && !exchange.has_answered());
        let is_closed = matches!(error, ExchangeError::Closed(_));
        if !(may_retry && is_closed && is_untouched && exchange.writer.can_rewind()) {
            return Err(Failure::exchange(lease, &error, exchange.writer.is_done()));
        }
        // A kept connection that died says nothing about its backend, except that its other ones may be dead too.
        lease.pool.clear();
        lease.traffic.count_retry();
        outbound.writer = exchange.writer;
        outbound.writer.rewind();
        if let Some(other) = router.admit_elsewhere(lease) {
            *lease = other;
        } else if !is_kept {
            return Err(Failure::exchange(lease, &error, true));
        }
        (may_retry, max_idle_ms) = (false, 0);
    }
}

/// Waits for the response header, as long as something moves.
async fn response_head(
    exchange: &mut Exchange,
    turn: &Turn,
    method: &Method,
    spare: &mut HeaderMap,
) -> Result<ResponseHead, ExchangeError> {
    let patience = turn.connection().router.config.response_timeout;
    // One connection's requests come one by one and the sweeper watches them; streams of HTTP/2 need their own timer.
    let mut timer = turn.is_multiplexed().then(|| Box::pin(tokio::time::sleep(patience)));
    let mut sent = 0;
    poll_fn(|cx| {
        let polled = exchange.poll_head(cx, method, spare);
        if polled.is_ready() {
            return polled;
        }
        if exchange.writer.sent() != sent {
            sent = exchange.writer.sent();
            turn.note_upload();
            if let Some(timer) = &mut timer {
                timer.as_mut().reset(tokio::time::Instant::now() + patience);
            }
        }
        let is_over = timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready());
        if is_over || turn.is_late() { Poll::Ready(Err(ExchangeError::Timeout)) } else { polled }
    })
    .await
}

/// The response for the client: its body at once if it is all there, else as it comes.
fn respond(mut exchange: Exchange, head: ResponseHead, lease: Lease, turn: Turn) -> Response<ProxyBody> {
    exchange.connection.set_max_idle_ms(head.max_idle_ms);
    let whole = whole_body(&mut exchange, head.framing);
    let body = match whole {
        Some(bytes) => {
            let is_clean = exchange.writer.is_done() && !exchange.connection.has_unread();
            if head.is_persistent && is_clean {
                put_back(&lease, exchange, turn.connection().router.clock.now_ms());
            }
            ProxyBody::full(bytes)
        }
        None => {
            let decoder = BodyDecoder::new(head.framing);
            ProxyBody::Streamed(Box::new(StreamedBody::new(
                exchange,
                decoder,
                lease,
                turn,
                head.is_persistent,
            )))
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    response
}

/// The body, if it was read together with its header.
fn whole_body(exchange: &mut Exchange, framing: Framing) -> Option<bytes::Bytes> {
    let length = match framing {
        Framing::Empty => 0,
        Framing::Length(length) => usize::try_from(length).ok()?,
        Framing::Chunked | Framing::UntilClose => return None,
    };
    let mut read = exchange.connection.take_read();
    let whole = (read.len() >= length).then(|| read.split_to(length));
    exchange.connection.put_ahead(read);
    whole
}

/// The backend speaks another protocol from here on, and so does the client.
fn switch(
    exchange: Exchange,
    head: ResponseHead,
    lease: Lease,
    turn: Turn,
    upgrade: Option<OnUpgrade>,
) -> Result<Response<ProxyBody>, Failure> {
    let Some(upgrade) = upgrade else { return Err(Failure::unasked_upgrade(&lease)) };
    let mut response = Response::new(ProxyBody::empty());
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    tunnel::begin(upgrade, exchange.connection, lease, turn);
    Ok(response)
}
