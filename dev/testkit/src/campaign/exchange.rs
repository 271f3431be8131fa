//! One request on a connection of its own, with a deadline, told apart by what is known when it fails.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The revision of the copy that it is from; none when whoever leads has answered.
    pub index: Option<u64>,
    /// The body; null when it is no JSON.
    pub body: Value,
    /// The body as it came.
    pub text: String,
}

/// Why nothing came back.
#[derive(Debug)]
pub enum NoAnswer {
    /// Nobody can have got the request.
    NotSent(io::Error),
    /// Somebody may have got it.
    Lost(io::Error),
}

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotSent(error) => write!(out, "nobody is there: {error}"),
            Self::Lost(error) => write!(out, "no answer: {error}"),
        }
    }
}

impl Answer {
    /// The sentence of a refusal.
    #[must_use]
    pub fn detail(&self) -> &str {
        self.body["detail"].as_str().unwrap_or(&self.text)
    }
}

/// A request: to whom, for which host, what.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The door.
    pub to: SocketAddr,
    /// The name of the host.
    pub host: &'a str,
    /// `GET` without a body, else `POST`.
    pub body: Option<&'a Value>,
    /// The path with its query.
    pub path: &'a str,
}

/// Asks, from the network of this thread.
///
/// # Errors
/// When there is no whole answer within `limit`.
pub fn ask(question: &Question<'_>, limit: Duration) -> Result<Answer, NoAnswer> {
    let deadline = Instant::now() + limit;
    let mut stream = TcpStream::connect_timeout(&question.to, limit).map_err(NoAnswer::NotSent)?;
    let talked = talk(&mut stream, question, deadline);
    let bytes = talked.map_err(NoAnswer::Lost)?;
    parse(&bytes).ok_or_else(|| NoAnswer::Lost(io::Error::other("the answer is cut off")))
}

fn talk(stream: &mut TcpStream, question: &Question<'_>, deadline: Instant) -> io::Result<Vec<u8>> {
    let body = question.body.map(ToString::to_string).unwrap_or_default();
    let (method, path, host) =
        (if question.body.is_some() { "POST" } else { "GET" }, question.path, question.host);
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.set_write_timeout(Some(left(deadline)?))?;
    stream.write_all((head + &body).as_bytes())?;
    let (mut bytes, mut part) = (Vec::new(), [0; 8192]);
    loop {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut part)? {
            0 => return Ok(bytes),
            count => bytes.extend_from_slice(&part[..count]),
        }
    }
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
    left.ok_or_else(|| io::ErrorKind::TimedOut.into())
}

/// `None` when it is not whole.
fn parse(bytes: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let header = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(':'));
        lines.clone().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    if header("content-length")
        .and_then(|length| length.parse().ok())
        .is_some_and(|length: usize| length > body.len())
    {
        return None;
    }
    let index = header("kogge-index").and_then(|index| index.parse().ok());
    Some(Answer {
        status,
        index,
        body: serde_json::from_str(body).unwrap_or(Value::Null),
        text: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_cut_off_is_none() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nKogge-Index: 12\r\n\r\n{\"a\":1}";
        let answer = parse(whole).unwrap();
        assert_eq!((answer.status, answer.index, &answer.body["a"]), (200, Some(12), &Value::from(1)));
        assert!(parse(&whole[..whole.len() - 1]).is_none());
        assert!(parse(b"HTTP/1.1 200 OK\r\nConten").is_none());
        assert!(parse(b"").is_none());
    }
}
