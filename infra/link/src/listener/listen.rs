//! What an agent says in its session, on its way to control.

use std::time::Duration;

use kogge_model::link::{FromAgent, ToControl};
use tokio::sync::mpsc::error::TrySendError;
use tonic::{Status, Streaming};

use super::session::{Farewell, Session};
use super::sessions::Seat;
use super::waiting::Waiting;
use crate::refusal::{Refusal, RefusalKind};
use crate::wire::{AgentFrame, agent_frame};

/// A word for control, if it was one; why the session ends, if it does.
type Heard = Result<Option<FromAgent>, Farewell>;

impl Session {
    /// What the agent says by itself. If that takes too long, its session is a sign of life: a leader that does not know
    /// the agent asks it to register.
    async fn introduction(&self, seat: &Seat, inbound: &mut Streaming<AgentFrame>) -> Heard {
        let patience = if self.introduces { self.shared.config.timing.introduction } else { Duration::ZERO };
        match tokio::time::timeout(patience, inbound.message()).await {
            Ok(first) => self.understand(seat, first),
            Err(_) => Ok(Some(FromAgent { agent: seat.agent.clone(), body: ToControl::Heartbeat })),
        }
    }

    /// Reports in, until the agent goes or says what nobody understands.
    pub(super) async fn listen(&self, seat: &Seat, inbound: &mut Streaming<AgentFrame>) -> Farewell {
        let mut waiting = Waiting::default();
        let mut heard = self.introduction(seat, inbound).await;
        loop {
            match heard {
                Ok(word) => word.into_iter().for_each(|word| self.take_in(word, &mut waiting)),
                Err(farewell) => {
                    self.pass_rest_on(waiting).await;
                    return farewell;
                }
            }
            heard = if waiting.is_empty() {
                self.understand(seat, inbound.message().await)
            } else {
                self.pass_on(seat, inbound, &mut waiting).await.map(|()| None)
            };
        }
    }

    /// Mostly there is room at once.
    fn take_in(&self, word: FromAgent, waiting: &mut Waiting) {
        if !waiting.is_empty() {
            return waiting.push(word);
        }
        if let Err(TrySendError::Full(word) | TrySendError::Closed(word)) =
            self.shared.ports.incoming.try_send(word)
        {
            waiting.push(word);
        }
    }

    /// Passes one word on. While control has much to do that waits, and the agent is heard meanwhile: it alone is slowed
    /// down when it says more than there is room for.
    async fn pass_on(
        &self,
        seat: &Seat,
        inbound: &mut Streaming<AgentFrame>,
        waiting: &mut Waiting,
    ) -> Result<(), Farewell> {
        let room = self.shared.ports.incoming.reserve();
        tokio::pin!(room);
        loop {
            tokio::select! {
                biased;
                room = &mut room => {
                    let room = room.map_err(|_| Farewell::Silent)?;
                    if let Some(word) = waiting.pop() {
                        room.send(word);
                    }
                    return Ok(());
                }
                heard = inbound.message(), if waiting.has_room() => {
                    self.understand(seat, heard)?.into_iter().for_each(|word| waiting.push(word));
                }
            }
        }
    }

    /// What was said before the end is heard.
    async fn pass_rest_on(&self, mut waiting: Waiting) {
        while let Some(word) = waiting.pop() {
            if self.shared.ports.incoming.send(word).await.is_err() {
                return;
            }
        }
    }

    /// What an agent's frame says to control, if it does.
    fn understand(&self, seat: &Seat, heard: Result<Option<AgentFrame>, Status>) -> Heard {
        let frame = match heard {
            Ok(Some(frame)) => frame,
            Ok(None) => return Err(Farewell::Silent),
            Err(status) => return Err(broken(&status)),
        };
        seat.has_heard();
        let Some(agent_frame::Frame::Report(report)) = frame.frame else { return Ok(None) };
        let report: FromAgent = match self.codec.decode(&report) {
            Ok(report) => report,
            Err(error) => {
                tracing::warn!(agent = %seat.agent, %error, "a report is skipped");
                return Ok(None);
            }
        };
        if report.agent != seat.agent {
            let text = format!("agent {} spoke in the name of agent {}", seat.agent, report.agent);
            return Err(Refusal::new(RefusalKind::Malformed, text).into());
        }
        Ok(Some(report))
    }
}

/// The connection broke, or the agent sent what nobody reads.
fn broken(status: &Status) -> Farewell {
    match status.code() {
        tonic::Code::OutOfRange | tonic::Code::ResourceExhausted => {
            Refusal::new(RefusalKind::Malformed, format!("a message is too long: {}", status.message()))
                .into()
        }
        _ => Farewell::Silent,
    }
}
