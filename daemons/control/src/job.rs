//! Requests on their way through the reactor.

use kogge_model::time::Timestamp;
use tokio::sync::oneshot;

use crate::cloud::Cloud;
use crate::refusal::Refusal;
use crate::round::Round;

/// Tells a requester how it went, once that is certain.
pub(crate) type Answer = Box<dyn FnOnce(Result<(), Refusal>) + Send>;

type Work = Box<dyn FnOnce(Option<(&mut Cloud, &mut Round)>) -> Answer + Send>;

/// A request: looks at the cloud or changes it, within a round.
pub(crate) struct Job {
    is_change: bool,
    work: Work,
}

impl Job {
    /// One that only looks.
    pub(crate) fn look<T, W>(work: W) -> (Self, oneshot::Receiver<Result<T, Refusal>>)
    where
        T: Send + 'static,
        W: FnOnce(&Cloud, Timestamp) -> Result<T, Refusal> + Send + 'static,
    {
        Self::new(false, move |cloud, round| work(cloud, round.now))
    }

    /// One that may change something. Work that refuses must not have staged anything.
    pub(crate) fn change<T, W>(work: W) -> (Self, oneshot::Receiver<Result<T, Refusal>>)
    where
        T: Send + 'static,
        W: FnOnce(&mut Cloud, &mut Round) -> Result<T, Refusal> + Send + 'static,
    {
        Self::new(true, work)
    }

    fn new<T, W>(is_change: bool, work: W) -> (Self, oneshot::Receiver<Result<T, Refusal>>)
    where
        T: Send + 'static,
        W: FnOnce(&mut Cloud, &mut Round) -> Result<T, Refusal> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let work: Work = Box::new(move |room| {
            let result = room.map(|(cloud, round)| work(cloud, round));
            Box::new(move |persisted| {
                let told = match (persisted, result) {
                    (Err(refusal), _) => Err(refusal),
                    (Ok(()), Some(result)) => result,
                    (Ok(()), None) => Err(Refusal::ending()),
                };
                // The asker may have gone away; the work is done all the same.
                let _ = answer.send(told);
            })
        });
        (Self { is_change, work }, answered)
    }

    /// Whether it may change something.
    pub(crate) const fn is_change(&self) -> bool {
        self.is_change
    }

    /// Does it; the answer waits until everything staged is durable.
    pub(crate) fn run(self, cloud: &mut Cloud, round: &mut Round) -> Answer {
        (self.work)(Some((cloud, round)))
    }

    /// Turns it away.
    pub(crate) fn refuse(self, refusal: Refusal) {
        (self.work)(None)(Err(refusal));
    }
}
