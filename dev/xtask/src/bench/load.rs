//! A steady load over keep-alive connections that counts every request which was not answered as it should.
//!
//! Not `wrk`: this one goes on until it is told to stop.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// What was seen.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    pub(crate) failed: u64,
}

#[derive(Default)]
struct Counters {
    stop: AtomicBool,
    requests: AtomicU64,
    failed: AtomicU64,
}

/// Runs `work` while `connections` clients load the address; then goes on until `least` requests were made.
pub(crate) fn during<T>(
    address: &str,
    host: &str,
    connections: usize,
    least: u64,
    work: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<(T, Tally)> {
    let counters = Counters::default();
    let done = std::thread::scope(|scope| {
        for _ in 0..connections {
            scope.spawn(|| client(address, host, &counters));
        }
        let done = work();
        while done.is_ok() && counters.requests.load(Ordering::Relaxed) < least {
            std::thread::sleep(Duration::from_millis(50));
        }
        counters.stop.store(true, Ordering::Relaxed);
        done
    })?;
    let number = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Ok((done, Tally { requests: number(&counters.requests), failed: number(&counters.failed) }))
}

fn client(address: &str, host: &str, counters: &Counters) {
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let mut connection = None;
    while !counters.stop.load(Ordering::Relaxed) {
        let answered = ask(address, request.as_bytes(), &mut connection);
        counters.requests.fetch_add(1, Ordering::Relaxed);
        if !answered.unwrap_or(false) {
            connection = None;
            counters.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// One request on the connection, made anew where there is none. Whether the answer was 200.
fn ask(
    address: &str,
    request: &[u8],
    connection: &mut Option<BufReader<TcpStream>>,
) -> std::io::Result<bool> {
    if connection.is_none() {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        *connection = Some(BufReader::new(stream));
    }
    let Some(reader) = connection.as_mut() else { return Ok(false) };
    reader.get_mut().write_all(request)?;
    let (mut line, mut length, mut is_last) = (String::new(), 0, false);
    reader.read_line(&mut line)?;
    let is_good = line.starts_with("HTTP/1.1 200 ");
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(false);
        }
        let lower = line.trim_end().to_ascii_lowercase();
        if lower.is_empty() {
            break;
        }
        if let Some(number) = lower.strip_prefix("content-length:") {
            length = number.trim().parse().unwrap_or(0);
        }
        is_last |= lower == "connection: close";
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    if is_last {
        *connection = None;
    }
    Ok(is_good)
}
