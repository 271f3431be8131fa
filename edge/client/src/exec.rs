//! A command inside a running instance, over an upgraded connection.

use std::io;

use http::{HeaderValue, header};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use kogge_model::view::exec::{ExecInput, ExecOutput, ExecRequest, Frame as _, FrameDecoder, PROTOCOL};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};

use crate::client::Client;
use crate::error::ClientError;
use crate::payload::Payload;
use crate::request::Request;

/// Sends to the command.
pub struct ExecSender {
    io: WriteHalf<TokioIo<Upgraded>>,
    buffer: Vec<u8>,
}

/// Receives from the command.
pub struct ExecReceiver {
    io: ReadHalf<TokioIo<Upgraded>>,
    decoder: FrameDecoder,
    buffer: Box<[u8]>,
    is_over: bool,
}

impl Client {
    /// Runs a command inside `instance`.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn exec(
        &self,
        instance: &str,
        wish: &ExecRequest,
    ) -> Result<(ExecSender, ExecReceiver), ClientError> {
        let request = Request::post("/instances").segment(instance);
        let request = Request { path: format!("{}/exec", request.path), ..request };
        let upgrade = [
            (header::CONNECTION, HeaderValue::from_static("upgrade")),
            (header::UPGRADE, HeaderValue::from_static(PROTOCOL)),
        ];
        let exchange = self.open(request, Payload::json(wish), &upgrade).await?;
        let (read, write) = tokio::io::split(TokioIo::new(exchange.upgraded(PROTOCOL).await?));
        let buffer = vec![0; 16 * 1024].into_boxed_slice();
        let receiver = ExecReceiver { io: read, decoder: FrameDecoder::default(), buffer, is_over: false };
        Ok((ExecSender { io: write, buffer: Vec::new() }, receiver))
    }
}

impl ExecSender {
    /// Sends one frame; waits while the command does not take its input.
    ///
    /// # Errors
    /// When the connection is gone, usually because the command has ended.
    pub async fn send(&mut self, input: &ExecInput) -> Result<(), ClientError> {
        self.buffer.clear();
        input.encode(&mut self.buffer);
        let lost = |error: io::Error| ClientError::ExecLost(Some(error));
        self.io.write_all(&self.buffer).await.map_err(lost)?;
        self.io.flush().await.map_err(lost)
    }
}

impl ExecReceiver {
    /// The next frame; none after the last one ([`ExecOutput::Exit`] or [`ExecOutput::Failed`]).
    ///
    /// Can be cancelled without losing anything.
    ///
    /// # Errors
    /// When the connection ends before the last frame, or speaks another language.
    pub async fn next(&mut self) -> Result<Option<ExecOutput>, ClientError> {
        if self.is_over {
            return Ok(None);
        }
        loop {
            if let Some(output) = self.decoder.next_frame()? {
                self.is_over = matches!(output, ExecOutput::Exit(_) | ExecOutput::Failed(_));
                return Ok(Some(output));
            }
            match self.io.read(&mut self.buffer).await {
                Ok(0) => return Err(ClientError::ExecLost(None)),
                Ok(count) => self.decoder.push(&self.buffer[..count]),
                Err(error) => return Err(ClientError::ExecLost(Some(error))),
            }
        }
    }
}
