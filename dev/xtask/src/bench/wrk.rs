//! The load generator `wrk`, with one thread and 64 connections.

use std::process::Command;

use anyhow::Context;

use super::process::output;

/// What it saw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Seen {
    pub(crate) requests: f64,
    /// In milliseconds.
    pub(crate) p99: f64,
    /// Answers that were no success, and connections that broke.
    pub(crate) failed: f64,
}

/// Loads `http://address/` for so many seconds.
pub(crate) fn load(address: &str, host: &str, seconds: u32) -> anyhow::Result<Seen> {
    let mut command = Command::new("wrk");
    command.args([
        "--threads",
        "1",
        "--connections",
        "64",
        "--latency",
        "--duration",
        &format!("{seconds}s"),
    ]);
    command.args(["--header", &format!("Host: {host}"), &format!("http://{address}/")]);
    let text = output(&mut command)?;
    parse(&text).with_context(|| format!("cannot understand what wrk said: {text}"))
}

fn parse(text: &str) -> Option<Seen> {
    let line = |key: &str| text.lines().map(str::trim).find(|line| line.contains(key));
    let requests = line(" requests in ")?.split(' ').next()?.parse().ok()?;
    let p99 = milliseconds(line("99%")?.split_whitespace().nth(1)?)?;
    let broken = line("Socket errors:").map_or(0.0, |line| {
        let numbers = line.split([' ', ',']).filter_map(|word| word.parse::<f64>().ok());
        numbers.sum()
    });
    let refused = line("Non-2xx").and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0);
    Some(Seen { requests, p99, failed: broken + refused })
}

fn milliseconds(text: &str) -> Option<f64> {
    for (unit, factor) in [("us", 0.001), ("ms", 1.0), ("s", 1000.0), ("m", 60_000.0)] {
        if let Some(number) = text.strip_suffix(unit) {
            return number.parse::<f64>().ok().map(|number| number * factor);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Running 5s test @ http://127.0.0.1:80/\n  Latency Distribution\n     50%    1.00ms\n     99%  812.00us
  1234 requests in 5.00s, 1MB read\n  Socket errors: connect 0, read 3, write 1, timeout 0\n  Non-2xx or 3xx responses: 7\n";

    #[test]
    fn the_report_is_understood() {
        assert_eq!(parse(TEXT), Some(Seen { requests: 1234.0, p99: 0.812, failed: 11.0 }));
        let good = &TEXT[..TEXT.find("  Socket").unwrap()];
        assert_eq!(parse(good), Some(Seen { requests: 1234.0, p99: 0.812, failed: 0.0 }));
        assert_eq!(parse("unable to connect"), None);
    }
}
