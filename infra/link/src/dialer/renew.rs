//! A new certificate at half of the old one's life.

use std::sync::Arc;
use std::time::Duration;

use kogge_host::clock;

use super::connection::Client;
use super::shared::Shared;
use crate::identity::{Certificate, Identity};
use crate::refusal::{Refusal, RefusalKind};
use crate::wire::{RenewRequest, renew_answer};

/// Between two looks at the clock, which may have been set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Whether it is time for a new one.
pub(super) fn is_due(shared: &Shared) -> bool {
    let identity = shared.identity.load();
    let certificate = identity.certificate();
    let life = certificate.not_after().saturating_since(certificate.not_before());
    // A clock that is days ahead makes every certificate look old: not again and again.
    let is_fresh = shared.last_renewal().is_some_and(|at| at.elapsed() < life / 8);
    !is_fresh && clock::now() >= certificate.renewal_due()
}

/// Whether the one there is still is good for a session, as far as this machine's clock knows.
pub(super) fn has_expired(shared: &Shared) -> bool {
    clock::now() >= shared.identity.load().certificate().not_after()
}

/// Waits until it is time, gets a new one, and returns; sessions under the old one should then end.
pub(super) async fn keep_fresh(shared: &Shared, client: &Client) {
    loop {
        while !is_due(shared) {
            let identity = shared.identity.load_full();
            let due = identity.certificate().renewal_due();
            let pause = due.saturating_since(clock::now()).clamp(Duration::from_millis(10), LONGEST_SLEEP);
            tokio::time::sleep(pause).await;
        }
        match renew(shared, client.clone()).await {
            Ok(()) => return,
            Err(refusal) => {
                tracing::warn!(%refusal, "the agent's certificate was not renewed, it is tried again")
            }
        }
        tokio::time::sleep(shared.config.timing.renew_retry).await;
    }
}

/// Gets a new one and keeps it.
pub(super) async fn renew(shared: &Shared, mut client: Client) -> Result<(), Refusal> {
    let identity = shared.identity.load_full();
    let failed = |text: String| Refusal::new(RefusalKind::Unavailable, text);
    let request = identity.key().signing_request().map_err(|error| failed(error.to_string()))?;
    let request = RenewRequest { signing_request: request.as_der().to_vec().into() };
    let answer = tokio::time::timeout(shared.config.timing.answer, client.renew(request)).await;
    let answer = answer.map_err(|_| failed("the server does not answer".to_owned()))?;
    let answer = answer.map_err(|status| failed(status.message().to_owned()))?.into_inner();
    let certificate = match answer.outcome {
        Some(renew_answer::Outcome::Certificate(certificate)) => certificate,
        Some(renew_answer::Outcome::Refusal(refusal)) => return Err(refusal.into()),
        None => return Err(failed("the server's answer cannot be read".to_owned())),
    };
    let renewed = accept(&identity, &certificate).map_err(failed)?;
    let renewed = Arc::new(renewed);
    shared.identity.store(Arc::clone(&renewed));
    shared.has_renewed();
    tracing::info!(until = %renewed.certificate().not_after(), "the agent's certificate was renewed");
    if let Err(reason) = shared.ports.keeper.keep_identity(&renewed).await {
        tracing::error!(%reason, "the renewed certificate cannot be kept");
    }
    Ok(())
}

/// The same member with the same key, or nothing.
fn accept(old: &Identity, certificate: &[u8]) -> Result<Identity, String> {
    let certificate =
        Certificate::from_der(certificate.to_vec().into()).map_err(|error| error.to_string())?;
    if certificate.peer() != old.certificate().peer() {
        return Err(format!("the server made a certificate for {}", certificate.peer()));
    }
    Identity::new(old.key().clone(), certificate, old.authority().clone()).map_err(|error| error.to_string())
}
