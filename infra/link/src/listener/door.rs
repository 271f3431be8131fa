//! The calls an agent can make.

use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt as _};
use kogge_host::tasks::OnPanic;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

use super::caller::{Caller, CertifiedAgent};
use super::shared::Shared;
use super::{admission, fetch, follow, session, tunnel};
use crate::bounds::{CHUNK_BYTES, MAX_FRAMES, MAX_PIECES};
use crate::refusal::{Refusal, RefusalKind};
use crate::wire::link_server::Link;
use crate::wire::{
    AgentFrame, BlobPart, ControlFrame, FetchRequest, FollowDown, FollowUp, JoinAnswer, JoinRequest, Piece,
    ReachDown, ReachUp, RenewAnswer, RenewRequest, reach_up,
};

/// One for each connection.
pub(super) struct Door {
    shared: Arc<Shared>,
}

impl Door {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The calling agent, if it may call.
    fn agent<T>(&self, request: &Request<T>) -> Result<CertifiedAgent, Status> {
        let agent = Caller::of(request).agent(self.shared.ports.signer.authority());
        let agent = agent.map_err(|why| Refusal::from(why).status())?;
        let admitted = self.shared.ports.gate.admit(&agent.agent, agent.certificate.key_fingerprint());
        let refused = |reason| Refusal { kind: RefusalKind::Membership, reason }.status();
        admitted.map_err(refused).map(|()| agent)
    }
}

#[tonic::async_trait]
impl Link for Door {
    type SessionStream = BoxStream<'static, Result<ControlFrame, Status>>;
    type ReachStream = BoxStream<'static, Result<ReachDown, Status>>;
    type FollowStream = BoxStream<'static, Result<FollowDown, Status>>;
    type TunnelStream = BoxStream<'static, Result<Piece, Status>>;
    type FetchStream = BoxStream<'static, Result<BlobPart, Status>>;

    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<JoinAnswer>, Status> {
        let from = Caller::of(&request).from;
        Ok(Response::new(admission::join(&self.shared, from, request.into_inner()).await))
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<RenewAnswer>, Status> {
        let caller = Caller::of(&request);
        Ok(Response::new(admission::renew(&self.shared, &caller, request.into_inner())))
    }

    async fn session(
        &self,
        request: Request<Streaming<AgentFrame>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let caller = Caller::of(&request);
        let (out, frames) = mpsc::channel(MAX_FRAMES);
        let session = session::run(Arc::clone(&self.shared), caller, request.into_inner(), out);
        self.shared.group.spawn("session of an agent", OnPanic::Log, session);
        Ok(Response::new(unbox(frames)))
    }

    async fn reach(
        &self,
        request: Request<Streaming<ReachUp>>,
    ) -> Result<Response<Self::ReachStream>, Status> {
        let agent = self.agent(&request)?.agent;
        let mut up = request.into_inner();
        let first = tokio::time::timeout(self.shared.config.timing.answer, up.message()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("nothing was claimed"))??;
        let Some(reach_up::Frame::Claim(call)) = first.and_then(|up| up.frame) else {
            return Err(Status::invalid_argument("the first message must claim a call"));
        };
        let (down, pieces) = mpsc::channel(MAX_PIECES);
        if !self.shared.calls.claim(call, &agent, up, down) {
            return Err(Status::not_found("nobody waits for this call any more"));
        }
        Ok(Response::new(flow(pieces)))
    }

    async fn fetch(&self, request: Request<FetchRequest>) -> Result<Response<Self::FetchStream>, Status> {
        // Servers fetch from each other what one of them was given.
        if Caller::of(&request).server(self.shared.ports.signer.authority()).is_err() {
            self.agent(&request)?;
        }
        fetch::open(&self.shared, request.into_inner()).await.map(Response::new)
    }

    async fn follow(
        &self,
        request: Request<Streaming<FollowUp>>,
    ) -> Result<Response<Self::FollowStream>, Status> {
        let agent = self.agent(&request)?.agent;
        let (down, parts) = mpsc::channel(MAX_PIECES);
        let following = follow::run(Arc::clone(&self.shared), agent, request.into_inner(), down);
        self.shared.group.spawn("bulletins for an agent", OnPanic::Log, following);
        Ok(Response::new(unbox(parts)))
    }

    async fn tunnel(
        &self,
        request: Request<Streaming<Piece>>,
    ) -> Result<Response<Self::TunnelStream>, Status> {
        let server = Caller::of(&request).server(self.shared.ports.signer.authority());
        let server = server.map_err(|why| Refusal::from(why).status())?;
        let place = Arc::clone(&self.shared.tunnels).try_acquire_owned();
        let place = place.map_err(|_| Status::resource_exhausted("too many requests of other servers"))?;
        let (down, pieces) = mpsc::channel(MAX_PIECES);
        let (ours, theirs) = tokio::io::duplex(CHUNK_BYTES);
        let (inbound, token) = (request.into_inner(), self.shared.group.token());
        self.shared.group.spawn("tunnel of a server", OnPanic::Log, async move {
            let _place = place;
            tokio::select! {
                () = token.cancelled() => {}
                () = tunnel::carry(ours, inbound, down, Ok) => {}
            }
        });
        self.shared.ports.tunnels.opened(&server, theirs);
        Ok(Response::new(flow(pieces)))
    }
}

/// A channel as an answer; it ends when all senders are gone.
fn flow<T: Send + 'static>(
    receiver: mpsc::Receiver<Result<T, Status>>,
) -> BoxStream<'static, Result<T, Status>> {
    let next = |mut receiver: mpsc::Receiver<_>| async move { Some((receiver.recv().await?, receiver)) };
    stream::unfold(receiver, next).boxed()
}

/// The same for a channel that each connected agent has for good: channels keep room for many words, so words are boxed.
fn unbox<T: Send + 'static>(receiver: mpsc::Receiver<Box<T>>) -> BoxStream<'static, Result<T, Status>> {
    let next =
        |mut receiver: mpsc::Receiver<Box<T>>| async move { Some((Ok(*receiver.recv().await?), receiver)) };
    stream::unfold(receiver, next).boxed()
}
