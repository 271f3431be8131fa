//! What the program in a container does, told by its template, so that each version of a service has its own.

use kogge_model::template::{Command, TaskTemplate};

/// How a version behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Starts soon and runs.
    Good,
    /// Takes its time to start, then runs.
    Slow,
    /// Runs, but pays no attention to the stop signal.
    Stubborn,
    /// Cannot be started.
    FailsToStart,
    /// No machine can run it.
    Rejected,
    /// Ends by itself soon after each start.
    Crashes,
    /// Runs, but its health check never succeeds.
    NeverHealthy,
}

impl Behaviour {
    pub(crate) const GOOD: [Self; 4] = [Self::Good, Self::Good, Self::Slow, Self::Stubborn];
    pub(crate) const BAD: [Self; 4] = [Self::FailsToStart, Self::Rejected, Self::Crashes, Self::NeverHealthy];

    pub(crate) fn is_good(self) -> bool {
        Self::GOOD.contains(&self)
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Slow => "slow",
            Self::Stubborn => "stubborn",
            Self::FailsToStart => "fails-to-start",
            Self::Rejected => "rejected",
            Self::Crashes => "crashes",
            Self::NeverHealthy => "never-healthy",
        }
    }

    /// The command that means this behaviour.
    pub(crate) fn command(self) -> Command {
        Command::Exec(vec![self.word().to_owned()])
    }

    pub(crate) fn of(template: &TaskTemplate) -> Self {
        let Some(Command::Exec(words)) = &template.command else { return Self::Good };
        let all = Self::GOOD.into_iter().chain(Self::BAD);
        all.into_iter().find(|one| words.first().is_some_and(|word| word == one.word())).unwrap_or(Self::Good)
    }
}
