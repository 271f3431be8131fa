//! Finding a member that serves us, again and again.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use kogge_host::backoff::Backoff;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};
use tokio_util::sync::CancellationToken;

use super::super::chance::Chance;
use super::super::config::{Config, Host};
use super::super::dial::{Dialer, Wire};
use super::super::wire::{self, Code, Header, Malformed, Shake};
use super::converse::{Talk, converse};
use super::{Current, Failure, Link, Request, Shared};

const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_millis(1000);
/// An answer may be larger than what servers take: they raise their own bound for answers.
const MAX_FRAME: usize = 16 << 20;

pub(super) type Reader = FramedRead<ReadHalf<Box<dyn Wire>>, LengthDelimitedCodec>;
pub(super) type Writer = WriteHalf<Box<dyn Wire>>;

/// Who we are to the ensemble.
#[derive(Debug, Default)]
struct Identity {
    session: i64,
    password: Bytes,
    /// The last transaction we have seen: a member that has not is behind and refuses us.
    last_zxid: i64,
    timeout: Duration,
    term: u64,
}

/// Why there is no connection.
enum Missed {
    /// Try the next member.
    Failed(String),
    /// Our session has ended: try again with a new one.
    Expired,
    /// Never will there be one.
    Refused(&'static str),
}

/// Keeps the session.
pub(super) struct Connector {
    hosts: Vec<Host>,
    credentials: Option<String>,
    wanted: Duration,
    dialer: Dialer,
    shared: Arc<Shared>,
    closing: CancellationToken,
    identity: Identity,
    chance: Chance,
}

impl Connector {
    pub(super) fn new(
        config: &Config,
        dialer: Dialer,
        shared: Arc<Shared>,
        closing: CancellationToken,
    ) -> Self {
        let credentials = config.credentials.as_ref().map(|who| format!("{}:{}", who.user, who.password));
        let (hosts, wanted) = (config.hosts.clone(), config.session);
        let (identity, chance) = (Identity::default(), Chance::draw());
        Self { hosts, credentials, wanted, dialer, shared, closing, identity, chance }
    }

    /// Until it is told to close, or the credentials are refused.
    pub(super) async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let (closing, shared) = (self.closing.clone(), Arc::clone(&self.shared));
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        let reason: Arc<str> = loop {
            let found = tokio::select! {
                biased;
                () = closing.cancelled() => break "it was closed".into(),
                found = self.find_member() => found,
                () = refuse(&mut requests, &shared) => continue,
            };
            match found {
                Ok((reader, writer)) => {
                    backoff.reset();
                    self.talk(reader, writer, &mut requests).await;
                }
                Err(Missed::Refused(reason)) => break reason.into(),
                Err(Missed::Expired) => {}
                Err(Missed::Failed(reason)) => {
                    self.note_away(&reason);
                    let wait = self.chance.jitter(backoff.wait());
                    tokio::select! {
                        () = closing.cancelled() => {}
                        () = tokio::time::sleep(wait) => {}
                        () = refuse(&mut requests, &shared) => {}
                    }
                }
            }
        };
        self.shared.link.send_replace(Link::Ended { reason: Arc::clone(&reason) });
        self.shared.watches().clear();
        requests.close();
        while let Some(request) = requests.recv().await {
            let _ = request.answer.send(Err(Failure::Away(Arc::clone(&reason))));
        }
    }

    /// Serves requests over one connection until it is lost.
    async fn talk(&mut self, reader: Reader, writer: Writer, requests: &mut mpsc::Receiver<Request>) {
        let talk = Talk {
            shared: &self.shared,
            closing: &self.closing,
            timeout: self.identity.timeout,
            is_private: self.credentials.is_some(),
        };
        let reason = converse(&talk, reader, writer, requests, &mut self.identity.last_zxid).await;
        self.note_away(&reason);
        self.shared.watches().clear();
    }

    /// One try with each member, beginning with any.
    async fn find_member(&mut self) -> Result<(Reader, Writer), Missed> {
        let mut hosts = self.hosts.clone();
        self.chance.shuffle(&mut hosts);
        let mut missed = String::from("there is no member to ask");
        // A silent member must not cost so much that the session ends meanwhile.
        let patience = self.wanted / 3;
        for host in hosts {
            let failed = match tokio::time::timeout(patience, self.enter(&host)).await {
                Ok(Err(Missed::Failed(reason))) => reason,
                Ok(other) => return other,
                Err(_) => format!("no answer within {patience:?}"),
            };
            missed = format!("{host}: {failed}");
        }
        Err(Missed::Failed(missed))
    }

    /// Dials a member and resumes our session there, or begins one.
    async fn enter(&mut self, host: &Host) -> Result<(Reader, Writer), Missed> {
        let wire = self.dialer.dial(host).await.map_err(|error| Missed::Failed(chain(&error)))?;
        let (reader, mut writer) = tokio::io::split(wire);
        let codec = LengthDelimitedCodec::builder().max_frame_length(MAX_FRAME).new_codec();
        let mut reader = FramedRead::new(reader, codec);
        let wanted = i32::try_from(self.wanted.as_millis()).expect("the config's bounds hold");
        let Identity { session, ref password, last_zxid, .. } = self.identity;
        send(&mut writer, wire::handshake(last_zxid, wanted, session, password)).await?;
        let shake = Shake::read(receive(&mut reader).await?)?;
        let Ok(timeout_ms @ 1..) = u64::try_from(shake.timeout_ms) else {
            self.identity = Identity { last_zxid, term: self.identity.term, ..Identity::default() };
            return Err(Missed::Expired);
        };
        if let Some(credentials) = &self.credentials {
            send(&mut writer, wire::auth("digest", credentials)).await?;
            let (header, _) = Header::read(receive(&mut reader).await?)?;
            if header.code != Code(0) {
                return Err(Missed::Refused("the user or password is wrong"));
            }
        }
        self.note_connected(shake, Duration::from_millis(timeout_ms));
        Ok((reader, writer))
    }

    fn note_connected(&mut self, shake: Shake, timeout: Duration) {
        let identity = &mut self.identity;
        if shake.session != identity.session {
            identity.term += 1;
        }
        (identity.session, identity.password, identity.timeout) = (shake.session, shake.password, timeout);
        let term = identity.term;
        *self.shared.current() = Current { term, timeout };
        tracing::debug!(term, ?timeout, "zookeeper session is connected");
        self.shared.link.send_replace(Link::Connected { term });
    }

    /// Away since the first time that this is said.
    fn note_away(&self, reason: &str) {
        self.shared.link.send_modify(|link| {
            let since = match link {
                Link::Away { since, .. } => *since,
                Link::Connected { .. } | Link::Ended { .. } => Instant::now(),
            };
            *link = Link::Away { since, reason: reason.into() };
        });
        tracing::debug!(reason, "zookeeper session is not connected");
    }
}

/// Answers all who ask while there is nobody to ask. Ends only when nobody can ask any more.
async fn refuse(requests: &mut mpsc::Receiver<Request>, shared: &Shared) {
    while let Some(request) = requests.recv().await {
        let reason: Arc<str> = match &*shared.link.borrow() {
            Link::Away { reason, .. } | Link::Ended { reason } => Arc::clone(reason),
            Link::Connected { .. } => "it is reconnecting".into(),
        };
        let _ = request.answer.send(Err(Failure::Away(reason)));
    }
}

async fn send(writer: &mut Writer, packet: Bytes) -> Result<(), Missed> {
    let sending = async {
        writer.write_all(&packet).await?;
        writer.flush().await
    };
    sending.await.map_err(|error: io::Error| Missed::Failed(chain(&error)))
}

async fn receive(reader: &mut Reader) -> Result<Bytes, Missed> {
    match reader.next().await {
        Some(Ok(packet)) => Ok(packet.freeze()),
        Some(Err(error)) => Err(Missed::Failed(chain(&error))),
        None => Err(Missed::Failed("it closed the connection, as a member without a majority does".into())),
    }
}

/// What failed and why, in one line.
fn chain(error: &io::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

impl From<Malformed> for Missed {
    fn from(_: Malformed) -> Self {
        Self::Failed("it does not speak zookeeper's protocol".into())
    }
}
