//! An answer that comes line by line, each a JSON value (newline-delimited JSON).

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::time::Duration;

use kogge_model::view::Problem;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::ClientError;
use crate::exchange::Exchange;

/// The longest line the API sends.
const MAX_LINE_BYTES: usize = 1 << 20;

/// The API says something at least every 15 seconds, if only an empty line.
const SILENCE: Duration = Duration::from_secs(60);

/// Values as they come.
pub struct Feed<T> {
    lines: Lines,
    values: PhantomData<fn() -> T>,
}

/// A line that ends the feed with the reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Failure {
    problem: Problem,
}

impl<T: DeserializeOwned> Feed<T> {
    pub(crate) fn new(exchange: Exchange) -> Self {
        Self { lines: Lines::new(exchange), values: PhantomData }
    }

    /// The next value; none at the end.
    ///
    /// # Errors
    /// When the connection breaks or falls silent, a line cannot be understood, or the API gives up with a problem.
    pub async fn next(&mut self) -> Result<Option<T>, ClientError> {
        while let Some(line) = self.lines.next().await? {
            if line.is_empty() {
                continue;
            }
            return match serde_json::from_slice(&line) {
                Ok(value) => Ok(Some(value)),
                Err(source) => Err(match serde_json::from_slice::<Failure>(&line) {
                    Ok(failure) => ClientError::Refused(Box::new(failure.problem)),
                    Err(_) => {
                        ClientError::Malformed { request: self.lines.exchange.name().to_owned(), source }
                    }
                }),
            };
        }
        Ok(None)
    }
}

/// Lines of an answer, without their ends.
pub(crate) struct Lines {
    pub(crate) exchange: Exchange,
    ready: VecDeque<Vec<u8>>,
    rest: Vec<u8>,
}

impl Lines {
    pub(crate) fn new(exchange: Exchange) -> Self {
        Self { exchange, ready: VecDeque::new(), rest: Vec::new() }
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Ok(Some(line));
            }
            let chunk = tokio::time::timeout(SILENCE, self.exchange.chunk()).await;
            let late = |_| ClientError::Deadline { request: self.exchange.name().to_owned(), after: SILENCE };
            let chunk = chunk.map_err(late)??;
            let Some(chunk) = chunk else {
                let rest = std::mem::take(&mut self.rest);
                return Ok(Some(rest).filter(|rest| !rest.is_empty()));
            };
            self.split(&chunk)?;
        }
    }

    fn split(&mut self, chunk: &[u8]) -> Result<(), ClientError> {
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(piece);
            if self.rest.len() > MAX_LINE_BYTES {
                let request = self.exchange.name().to_owned();
                return Err(ClientError::TooLong { request, bytes: MAX_LINE_BYTES });
            }
            if self.rest.ends_with(b"\n") {
                let mut line = std::mem::take(&mut self.rest);
                line.pop();
                if line.ends_with(b"\r") {
                    line.pop();
                }
                self.ready.push_back(line);
            }
        }
        Ok(())
    }
}
