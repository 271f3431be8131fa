//! How long each side waits for what.

use std::time::Duration;

/// Waits of both sides. The defaults are those of the guarantees; tests take shorter ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// For one address to accept a connection.
    pub connect: Duration,
    /// For the TLS handshake, on either side.
    pub handshake: Duration,
    /// For the first answer to any call.
    pub answer: Duration,
    /// Silence after which a server is asked for a sign of life, while there is a session with it.
    pub keepalive: Duration,
    /// And an agent by its server, which need not ask while it is asked. Also ways that stand ready are kept open so.
    pub keepalive_idle: Duration,
    /// And how long an agent waits for one of its server.
    pub keepalive_timeout: Duration,
    /// And a server for one of an agent: longer. Whether an agent lives is judged by its words; a connection that is
    /// given up too soon has to be made anew while there is much to do already.
    pub keepalive_patience: Duration,
    /// Between two packets of a server to an agent, and back, that are as large as their connection carries.
    pub wide: Duration,
    /// Between two tries to connect anew while the connection of the session stands still. Each is given up after eight
    /// times as long.
    pub bypass: Duration,
    /// The longest wait before a reconnect; the shortest is a quarter of it. Spreads the agents of a dead leader.
    pub reconnect: Duration,
    /// The longest wait before a connection is made to another server of those that do not lead; the shortest is a
    /// quarter of it. They are made while there is time, one after the other.
    pub spare: Duration,
    /// The wait after a refusal, which will hardly be another one soon; between a half of it and the whole.
    pub refused: Duration,
    /// How long an agent that comes while nobody leads is kept waiting for a leader: shorter than what it waits for an
    /// answer.
    pub unled: Duration,
    /// And one that comes to a server that is about to lead: still shorter than a handshake, which is how long an agent
    /// waits on a connection that stood ready.
    pub elected: Duration,
    /// For an agent that presents itself to do so, before its session alone counts as a sign of life: one that starts
    /// looks first what runs on its machine.
    pub introduction: Duration,
    /// For an agent's older connection to prove that it is alive, when a newer one claims the same identity.
    pub challenge: Duration,
    /// For an agent to take up what it is called for.
    pub call: Duration,
    /// Between two tries to renew a certificate.
    pub renew_retry: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            handshake: Duration::from_secs(5),
            answer: Duration::from_secs(10),
            keepalive: Duration::from_secs(2),
            keepalive_idle: Duration::from_secs(15),
            keepalive_timeout: Duration::from_secs(5),
            keepalive_patience: Duration::from_secs(10),
            wide: Duration::from_secs(10),
            bypass: Duration::from_millis(200),
            reconnect: Duration::from_secs(2),
            spare: Duration::from_secs(60),
            refused: Duration::from_secs(20),
            unled: Duration::from_secs(2),
            elected: Duration::from_millis(4_500),
            introduction: Duration::from_secs(1),
            challenge: Duration::from_secs(2),
            call: Duration::from_secs(5),
            renew_retry: Duration::from_secs(60),
        }
    }
}

/// A point in `[low, high)` chosen by chance, so that many agents do not do the same at once.
pub(crate) fn jitter(low: Duration, high: Duration) -> Duration {
    // Without chance from the kernel, everybody waits longest: late, but never a storm of quick tries.
    let Ok(seed) = kogge_host::seed::draw() else { return high };
    let part = u32::from_be_bytes([seed[0], seed[1], seed[2], seed[3]]);
    low + high.saturating_sub(low).mul_f64(f64::from(part) / (f64::from(u32::MAX) + 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_kept_waiting_for_a_leader_hears_of_it_before_its_patience_is_over() {
        let Timing { unled, elected, handshake, answer, .. } = Timing::default();
        assert!(unled < elected && elected < handshake && handshake < answer);
    }

    #[test]
    fn chance_stays_within_its_bounds_and_is_not_always_the_same() {
        let (low, high) = (Duration::from_millis(100), Duration::from_secs(2));
        let drawn: Vec<Duration> = (0..50).map(|_| jitter(low, high)).collect();
        assert!(drawn.iter().all(|wait| (low..high).contains(wait)));
        assert!(drawn.iter().any(|wait| *wait != drawn[0]));
        assert_eq!(jitter(high, high), high);
    }
}
