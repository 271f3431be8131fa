//! Kernel and services in one memory, with nothing that could fail between them: for runs that ask how much they do, or
//! how often, and not what becomes of them.

use std::collections::VecDeque;

use kogge_kernel::{self as kernel, Kernel};
use kogge_model::id::{AgentId, ClusterId, FrameworkId, Term};
use kogge_model::link::ToAgent;
use kogge_model::scheduler::Event;
use kogge_model::time::Timestamp;
use kogge_services::{self as services, Services};

/// Both cores.
pub(crate) struct Pair {
    pub(crate) kernel: Kernel,
    services: Services,
    framework: FrameworkId,
}

/// What one conversation led to.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) outbox: Vec<(AgentId, ToAgent)>,
    /// Agents that were given up.
    pub(crate) given_up: u64,
    /// Agents that get nothing new because they are silent.
    pub(crate) suspected: u64,
}

enum Word {
    Kernel(kernel::Input),
    Services(services::Input),
}

impl Pair {
    /// The cores of a new cluster, connected.
    pub(crate) fn new(now: Timestamp, cluster: ClusterId) -> Self {
        let config = services::Config::default();
        let mut pair = Self {
            framework: config.framework.framework.clone(),
            kernel: Kernel::new(now, kernel::Config::new(cluster, Term(1))),
            services: Services::new(config, [7; 32]),
        };
        pair.tell_services(now, services::Input::Connected);
        pair
    }

    pub(crate) fn next_wakeup(&self) -> Option<Timestamp> {
        [self.kernel.next_wakeup(), self.services.next_wakeup()].into_iter().flatten().min()
    }

    /// Lets both do what is due.
    pub(crate) fn tick(&mut self, now: Timestamp) -> Said {
        let mut words = VecDeque::new();
        if self.kernel.next_wakeup().is_some_and(|at| at <= now) {
            words.push_back(Word::Kernel(kernel::Input::Tick));
        }
        if self.services.next_wakeup().is_some_and(|at| at <= now) {
            words.push_back(Word::Services(services::Input::Tick));
        }
        self.converse(now, words)
    }

    pub(crate) fn tell_kernel(&mut self, now: Timestamp, input: kernel::Input) -> Said {
        self.converse(now, VecDeque::from([Word::Kernel(input)]))
    }

    pub(crate) fn tell_services(&mut self, now: Timestamp, input: services::Input) -> Said {
        self.converse(now, VecDeque::from([Word::Services(input)]))
    }

    fn converse(&mut self, now: Timestamp, mut words: VecDeque<Word>) -> Said {
        let mut said = Said::default();
        while let Some(word) = words.pop_front() {
            match word {
                Word::Kernel(input) => self.ask_kernel(now, input, &mut words, &mut said),
                Word::Services(input) => self.ask_services(now, input, &mut words),
            }
        }
        said
    }

    fn ask_kernel(
        &mut self,
        now: Timestamp,
        input: kernel::Input,
        words: &mut VecDeque<Word>,
        said: &mut Said,
    ) {
        let mut effects = Vec::new();
        self.kernel.handle(now, input, &mut effects);
        let mut events = Vec::new();
        for effect in effects {
            match effect {
                kernel::Effect::ToFramework { event, .. } => {
                    said.given_up += u64::from(matches!(event, Event::AgentLost { .. }));
                    events.push(event);
                }
                kernel::Effect::ToAgent { agent, message } => said.outbox.push((agent, message)),
                kernel::Effect::Explain(decision) => {
                    said.suspected += u64::from(decision.verb == "suspect");
                }
                _ => {}
            }
        }
        words.extend(services::Input::of_events(events).into_iter().map(Word::Services));
    }

    fn ask_services(&mut self, now: Timestamp, input: services::Input, words: &mut VecDeque<Word>) {
        let mut effects = Vec::new();
        self.services.handle(now, input, &mut effects);
        for effect in effects {
            if let services::Effect::Call(call) = effect {
                let framework = self.framework.clone();
                words.push_back(Word::Kernel(kernel::Input::FromFramework { framework, call }));
            }
        }
    }
}
