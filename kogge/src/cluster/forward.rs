//! Requests that another server has to answer: the one that leads.
//!
//! A server that does not lead answers from its copy what the copy knows, and says how new that is; everything else it
//! passes on. While nobody leads, whatever can be looked at is shown, and changes are turned away after a moment.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use http::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use http::{HeaderValue, Method, StatusCode};
use hyper::client::conn::http1;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use kogge_control::{Freshness, Handle, Standing};
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_link::{ServerAddress, Tunnels};
use kogge_model::caller::Caller;
use kogge_model::reason::Reason;
use tokio::io::DuplexStream;
use tokio::sync::{OnceCell, watch};

use crate::adapters::LateDoor;

/// A revision of the state: the answer is from it, or from a later one.
const INDEX: HeaderName = HeaderName::from_static("kogge-index");
/// How long ago, in milliseconds, that was the newest.
const AGE: HeaderName = HeaderName::from_static("kogge-age-ms");
/// A page of a browser says where it is from; that was looked at before.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// So long a change waits for somebody to lead: a hand-over is over by then, and whoever asks notices nothing of it.
const HELD: Duration = Duration::from_millis(500);

/// Who asks, as JSON; believed of other servers only.
const CALLER: HeaderName = HeaderName::from_static("kogge-caller");

/// What a copy of the state can tell.
const IN_THE_COPY: [&str; 6] = [
    "/api/v1/apps",
    "/api/v1/services",
    "/api/v1/instances",
    "/api/v1/deployments",
    "/api/v1/revisions",
    "/api/v1/why",
];
/// What is about this very server.
const OWN: [&str; 5] = ["/api/v1/doors", "/api/v1/status", "/api/v1/down", "/metrics", "/healthz"];

/// Passes requests on, and answers those of other servers.
#[derive(Clone)]
pub(crate) struct Forward {
    control: Handle,
    door: LateDoor,
    group: TaskGroup,
}

impl Forward {
    pub(crate) fn new(control: Handle, door: LateDoor, group: TaskGroup) -> Self {
        Self { control, door, group }
    }

    /// `routes` for requests that come to this server.
    pub(crate) fn before(self, routes: Router) -> Router {
        routes.layer(from_fn_with_state(self, decide))
    }
}

async fn decide(State(forward): State<Forward>, request: Request, next: Next) -> Response {
    let mut standing = forward.control.standing();
    let held = tokio::time::Instant::now() + HELD;
    let path = request.uri().path();
    let is_look = request.method() == Method::GET;
    loop {
        let known = standing.borrow_and_update().clone();
        let leader = match known {
            Standing::Leads => return lead(&forward, &standing, request, next).await,
            Standing::TakesOver => None,
            Standing::Follows(leader) => leader,
        };
        if OWN.iter().any(|own| path.starts_with(own)) {
            return next.run(request).await;
        }
        if is_look && IN_THE_COPY.iter().any(|known| path.starts_with(known)) {
            return show(&forward, request, next).await;
        }
        let reason = match leader.and_then(|leader| leader.door) {
            Some(door) => match forward.connect(&door).await {
                Ok(sender) => return forward.pass_on(sender, request).await,
                // The leader has just died, most likely.
                Err(reason) => reason,
            },
            None => Reason::new("no server leads at the moment: nothing was changed"),
        };
        if is_look {
            return show(&forward, request, next).await;
        }
        if !matches!(tokio::time::timeout_at(held, standing.changed()).await, Ok(Ok(()))) {
            return kogge_api::unavailable(reason.with_hint("try again in a few seconds"));
        }
    }
}

/// The answer of whoever leads; of a copy, if it did not lead all the while.
async fn lead(
    forward: &Forward,
    standing: &watch::Receiver<Standing>,
    request: Request,
    next: Next,
) -> Response {
    let copied = forward.control.copied();
    let response = next.run(request).await;
    if standing.has_changed().unwrap_or(true) { aged(response, copied) } else { response }
}

/// The answer of this server, with its age.
async fn show(forward: &Forward, request: Request, next: Next) -> Response {
    // Before: the copy may go on meanwhile, and no answer shall claim to be newer than it is.
    let freshness = forward.control.freshness();
    aged(next.run(request).await, freshness)
}

fn aged(mut response: Response, freshness: Option<Freshness>) -> Response {
    if let Some(freshness) = freshness {
        let headers = response.headers_mut();
        headers.insert(INDEX, HeaderValue::from(freshness.index));
        let millis = u64::try_from(freshness.age.as_millis()).unwrap_or(u64::MAX);
        headers.insert(AGE, HeaderValue::from(millis));
    }
    response
}

impl Forward {
    async fn connect(&self, server: &ServerAddress) -> Result<http1::SendRequest<Body>, Reason> {
        let door = self.door.get().ok_or_else(|| {
            Reason::new(format!(
                "server {server} leads, and this one has no door of its own to reach it from"
            ))
        })?;
        let stream = door.tunnel(server).await.map_err(|error| error.reason())?;
        let failed = |error: hyper::Error| Reason::new(format!("cannot talk to server {server}: {error}"));
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let token = self.group.token();
        self.group.spawn("request for the leader", OnPanic::Log, async move {
            tokio::select! {
                () = token.cancelled() => {}
                ended = connection.with_upgrades() => if let Err(error) = ended {
                    tracing::debug!(%error, "a request for the leader broke");
                },
            }
        });
        Ok(sender)
    }

    async fn pass_on(&self, mut sender: http1::SendRequest<Body>, mut request: Request) -> Response {
        let ours = request.extensions_mut().remove::<OnUpgrade>();
        // The guard of this server has looked at them; the leader's shall not take them for its own.
        request.headers_mut().insert(HOST, HeaderValue::from_static("localhost"));
        let caller = request.extensions().get::<Caller>().cloned().unwrap_or_else(Caller::local_operator);
        let caller = serde_json::to_vec(&caller).ok().and_then(|json| HeaderValue::from_bytes(&json).ok());
        match caller {
            Some(caller) => drop(request.headers_mut().insert(CALLER, caller)),
            None => drop(request.headers_mut().remove(CALLER)),
        }
        request.headers_mut().remove(AUTHORIZATION);
        request.headers_mut().remove(ORIGIN);
        request.headers_mut().remove(SEC_FETCH_SITE);
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str()).parse();
        *request.uri_mut() = target.unwrap_or_default();
        *request.version_mut() = http::Version::HTTP_11;
        match sender.send_request(request).await {
            Ok(mut response) => {
                if response.status() == StatusCode::SWITCHING_PROTOCOLS
                    && let Some(ours) = ours
                {
                    self.join(ours, hyper::upgrade::on(&mut response));
                }
                response.map(Body::new)
            }
            Err(error) => kogge_api::unavailable(Reason::new(format!(
                "the leader did not answer, the outcome is not known: {error}"
            ))),
        }
    }

    /// Bytes both ways, once both sides have changed their protocol.
    fn join(&self, ours: OnUpgrade, theirs: OnUpgrade) {
        let token = self.group.token();
        self.group.spawn("stream from the leader", OnPanic::Log, async move {
            let carrying = async {
                let (Ok(ours), Ok(theirs)) = tokio::join!(ours, theirs) else { return };
                // Whoever ends it needs no word of ours.
                let _ =
                    tokio::io::copy_bidirectional(&mut TokioIo::new(ours), &mut TokioIo::new(theirs)).await;
            };
            tokio::select! {
                () = token.cancelled() => {}
                () = carrying => {}
            }
        });
    }
}

/// Answers other servers with the routes of this one.
#[derive(Default)]
pub(crate) struct ForwardedRequests {
    routes: OnceCell<(Router, Handle, TaskGroup)>,
}

impl ForwardedRequests {
    /// The routes are there.
    pub(crate) fn bind(&self, routes: Router, control: Handle, group: TaskGroup) {
        // They are bound once, at the start.
        let _ = self.routes.set((routes, control, group));
    }
}

/// Gives a request of another server the caller that it names, when this one leads: it may have been elected a moment
/// ago, and not have begun.
async fn called(State(control): State<Handle>, mut request: Request, next: Next) -> Response {
    let mut standing = control.standing();
    let leads = standing.wait_for(|standing| matches!(standing, Standing::Leads));
    // Who does not lead says so better itself.
    let _ = tokio::time::timeout(HELD, leads).await;
    let named = request.headers_mut().remove(CALLER);
    match named.and_then(|named| serde_json::from_slice::<Caller>(named.as_bytes()).ok()) {
        Some(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        None => kogge_api::unavailable(Reason::new("the other server does not say who asks")),
    }
}

/// An answer of this server takes as long as it takes; a connection without a request does not.
const HEADER_PATIENCE: Duration = Duration::from_secs(30);

impl Tunnels for ForwardedRequests {
    fn opened(&self, server: &str, stream: DuplexStream) {
        let Some((routes, control, group)) = self.routes.get() else { return };
        // The other server has asked who it is, and answers for them.
        let caller: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
        let routes = routes
            .clone()
            .layer(from_fn_with_state(control.clone(), called))
            .layer(axum::Extension(ConnectInfo(caller)));
        let serving = hyper::server::conn::http1::Builder::new()
            .timer(hyper_util::rt::TokioTimer::new())
            .header_read_timeout(HEADER_PATIENCE)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes))
            .with_upgrades();
        let (server, token) = (server.to_owned(), group.token());
        group.spawn("request of a server", OnPanic::Log, async move {
            tokio::select! {
                () = token.cancelled() => {}
                ended = serving => if let Err(error) = ended {
                    tracing::debug!(%server, %error, "a request of a server broke");
                },
            }
        });
    }
}
