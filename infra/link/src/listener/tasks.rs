//! Logs, programs and figures of tasks, whichever connected agent they are on.

use futures_util::stream::{self, BoxStream, StreamExt as _};
use kogge_host::tasks::OnPanic;
use kogge_model::id::{AgentId, TaskId};
use kogge_model::reason::Reason;
use kogge_model::view::Problem;
use kogge_model::view::exec::{ExecInput, ExecOutput, ExecRequest, FrameDecoder};
use tokio::sync::mpsc;

use super::ListenerHandle;
use super::calls::{Line, away};
use crate::bounds::{CHUNK_BYTES, MAX_PIECES};
use crate::reach::{ExecLine, LogEntry, LogWish, Wish, decode_batch, read_frames, write_frames};
use crate::wire::ReachDown;

/// Batches of entries; an error is the last.
pub type RemoteLogs = BoxStream<'static, Result<Vec<LogEntry>, Reason>>;

impl ListenerHandle {
    /// Captured lines of `tasks` of one agent, merged by time.
    ///
    /// # Errors
    /// When the agent is not connected, does not answer, or cannot read them.
    pub async fn logs(
        &self,
        agent: &AgentId,
        tasks: Vec<TaskId>,
        wish: LogWish,
    ) -> Result<RemoteLogs, Reason> {
        let line = self.call(agent, &Wish::Logs { tasks, wish }).await?;
        let reading = Some((line, agent.clone()));
        Ok(stream::unfold(reading, |reading| async {
            let (mut line, agent) = reading?;
            match line.piece().await {
                Ok(None) => None,
                Ok(Some(piece)) => match decode_batch(&piece) {
                    Ok(batch) => Some((Ok(batch), Some((line, agent)))),
                    Err(error) => Some((Err(unreadable(&agent, &error)), None)),
                },
                Err(_) => Some((Err(lost(&agent)), None)),
            }
        })
        .boxed())
    }

    /// Runs a program inside a task of that agent.
    ///
    /// # Errors
    /// When the agent is not connected, does not answer, or cannot start it.
    pub async fn exec(
        &self,
        agent: &AgentId,
        task: TaskId,
        request: ExecRequest,
    ) -> Result<ExecLine, Reason> {
        let line = self.call(agent, &Wish::Exec { task, request }).await?;
        let (input, from_client) = mpsc::channel(MAX_PIECES);
        let (to_client, output) = mpsc::channel(MAX_PIECES);
        let agent = agent.clone();
        self.shared.group.spawn(format!("program on agent {agent}"), OnPanic::Log, async move {
            carry(line, &agent, from_client, to_client).await;
        });
        Ok(ExecLine { input, output })
    }

    /// What a task of that agent uses, as its supervisor tells it.
    ///
    /// # Errors
    /// When the agent is not connected, does not answer, or does not run the task.
    pub async fn stats(&self, agent: &AgentId, task: TaskId) -> Result<serde_json::Value, Reason> {
        let mut line = self.call(agent, &Wish::Stats { task }).await?;
        let piece = tokio::time::timeout(self.shared.config.timing.answer, line.piece()).await;
        let piece = piece.ok().and_then(Result::ok).flatten().ok_or_else(|| lost(agent))?;
        serde_json::from_slice(&piece).map_err(|error| unreadable(agent, &error))
    }

    async fn call(&self, agent: &AgentId, wish: &Wish) -> Result<Line, Reason> {
        let shared = &self.shared;
        shared.calls.open(&shared.sessions, agent, wish, &shared.config.timing).await
    }
}

/// Both directions, until the program has ended or nobody listens any more.
async fn carry(
    mut line: Line,
    agent: &AgentId,
    mut from_client: mpsc::Receiver<ExecInput>,
    to_client: mpsc::Sender<ExecOutput>,
) {
    let down = line.down.clone();
    let feed = async {
        while let Some(input) = from_client.recv().await {
            for frame in cut(input) {
                if down.send(Ok(ReachDown { data: write_frames(&frame) })).await.is_err() {
                    break;
                }
            }
        }
        // The program may still have much to say.
        std::future::pending().await
    };
    tokio::select! {
        () = tell(&mut line, agent, &to_client) => {}
        () = feed => {}
        () = to_client.closed() => {}
    }
}

/// Input in pieces that fit a message.
fn cut(input: ExecInput) -> Vec<ExecInput> {
    match input {
        ExecInput::Stdin(bytes) => {
            bytes.chunks(CHUNK_BYTES).map(|chunk| ExecInput::Stdin(chunk.to_vec())).collect()
        }
        other => vec![other],
    }
}

/// What the program says; the last word is how it ended, or that it was lost.
async fn tell(line: &mut Line, agent: &AgentId, to_client: &mpsc::Sender<ExecOutput>) {
    let mut decoder = FrameDecoder::default();
    while let Ok(Some(piece)) = line.piece().await {
        let Ok(frames) = read_frames::<ExecOutput>(&mut decoder, &piece) else { break };
        for frame in frames {
            let is_last = matches!(frame, ExecOutput::Exit(_) | ExecOutput::Failed(_));
            if to_client.send(frame).await.is_err() || is_last {
                return;
            }
        }
    }
    let problem = Problem {
        kind: format!("{}unavailable", Problem::KIND_PREFIX),
        title: "the program was lost".to_owned(),
        status: 503,
        detail: lost(agent).text,
        ..Problem::default()
    };
    let _ = to_client.send(ExecOutput::Failed(problem)).await;
}

fn lost(agent: &AgentId) -> Reason {
    let away = away(agent);
    Reason { text: format!("{} any more", away.text), hint: away.hint }
}

fn unreadable(agent: &AgentId, error: &serde_json::Error) -> Reason {
    Reason::new(format!("agent {agent} answers what cannot be read: {error}"))
}
