//! Who is offered what: the whole free remainder of an agent to the framework with the smallest share.

use std::collections::BTreeMap;
use std::time::Duration;

use kogge_model::id::{AgentId, FrameworkId, OfferId};
use kogge_model::reason::Reason;
use kogge_model::resources::{Bytes, CpuMillis, Resources};
use kogge_model::scheduler::{Event, Offer};

use crate::agent::{Agent, Phase, Refusal};
use crate::effect::{Effect, Effects};
use crate::framework::Framework;
use crate::offer::OpenOffer;
use crate::state::Kernel;
use crate::timer::Timer;

/// Less than this of both is not worth an offer (as in Mesos).
const LEAST_CPU: CpuMillis = CpuMillis(10);
const LEAST_MEM: Bytes = Bytes::mib(32);

impl Kernel {
    /// Offers what became free on the agents that changed, all of it in one event for each framework.
    pub(crate) fn plan_offers(&mut self, effects: &mut Effects) {
        if self.to_offer.is_empty() {
            return;
        }
        let mut made: BTreeMap<FrameworkId, Vec<Offer>> = BTreeMap::new();
        for id in std::mem::take(&mut self.to_offer) {
            self.tell_over_commitment(&id, effects);
            if let Some((framework, offer)) = self.plan_offer(&id) {
                made.entry(framework).or_default().push(offer);
            }
        }
        for (framework, offers) in made {
            effects.push(Effect::to_framework(&framework, Event::Offers(offers)));
        }
    }

    fn plan_offer(&mut self, id: &AgentId) -> Option<(FrameworkId, Offer)> {
        let now = self.now();
        let agent = self.agents.get_mut(id)?;
        if agent.phase != Phase::Ready || agent.takes_nothing() || agent.ledger.is_over_committed() {
            return None;
        }
        let free = agent.ledger.free();
        if free.cpu_millis < LEAST_CPU && free.mem_bytes < LEAST_MEM {
            return None;
        }
        agent.refusals.retain(|_, refusal| refusal.until > now);
        let whole = &self.whole;
        let (framework_id, framework) = self
            .frameworks
            .iter_mut()
            .filter(|(id, framework)| framework.wants_offers() && !is_refused(agent, id, framework, &free))
            .min_by_key(|(_, framework)| framework.share(whole))?;
        let resources = agent.ledger.offer_rest();
        let offer = self.next_offer;
        self.next_offer = offer.next();
        framework.allocated.add(&resources);
        framework.offers.insert(offer);
        agent.offers.insert(offer);
        let open = OpenOffer {
            framework: framework_id.clone(),
            agent: id.clone(),
            resources: resources.clone(),
            made_at: now,
        };
        self.offers.insert(offer, open);
        self.timers.arm(now.plus(self.config.offer_timeout), Timer::Offer(offer));
        let attributes = agent.attributes.clone();
        Some((framework_id.clone(), Offer { id: offer, agent: id.clone(), attributes, resources }))
    }

    /// Ends an offer and puts its resources back; tells nobody.
    pub(crate) fn take_back(&mut self, offer: OfferId) -> Option<OpenOffer> {
        let open = self.offers.remove(&offer)?;
        self.timers.disarm(open.made_at.plus(self.config.offer_timeout), Timer::Offer(offer));
        if let Some(framework) = self.frameworks.get_mut(&open.framework) {
            framework.offers.remove(&offer);
            framework.allocated.sub(&open.resources);
        }
        let agent = self.agents.get_mut(&open.agent).expect("an offer's agent is known");
        agent.offers.remove(&offer);
        agent.ledger.take_back(open.resources.clone());
        self.to_offer.insert(open.agent.clone());
        Some(open)
    }

    /// Takes offers back against their holder's will, and says so.
    pub(crate) fn rescind(&mut self, offers: impl IntoIterator<Item = OfferId>, effects: &mut Effects) {
        let mut rescinded: BTreeMap<FrameworkId, Vec<OfferId>> = BTreeMap::new();
        for offer in offers {
            if let Some(open) = self.take_back(offer) {
                rescinded.entry(open.framework).or_default().push(offer);
            }
        }
        for (framework, offers) in rescinded {
            effects.push(Effect::to_framework(&framework, Event::Rescind(offers)));
        }
    }

    /// All offers of an agent are void.
    pub(crate) fn rescind_agent(&mut self, agent: &AgentId, effects: &mut Effects) {
        if let Some(agent) = self.agents.get(agent) {
            self.rescind(agent.offers.clone(), effects);
        }
    }

    /// `framework` does not want what is free on `agent` now for `refuse`.
    pub(crate) fn note_refusal(&mut self, framework: &FrameworkId, agent: &AgentId, refuse: Duration) {
        let until = self.now().plus(refuse.max(self.config.refuse_min));
        let Some(revival) = self.frameworks.get(framework).map(|framework| framework.revival) else { return };
        let Some(known) = self.agents.get_mut(agent) else { return };
        let refusal = Refusal { until, resources: known.ledger.free(), revival };
        known.refusals.insert(framework.clone(), refusal);
        self.timers.arm(until, Timer::Refusal(agent.clone()));
    }

    /// Offers came back unwanted.
    pub(crate) fn decline(
        &mut self,
        framework: &FrameworkId,
        offers: &[OfferId],
        refuse: Duration,
        effects: &mut Effects,
    ) {
        let is_foreign = |offer| self.offers.get(offer).is_some_and(|open| open.framework != *framework);
        if let Some(offer) = offers.iter().find(|offer| is_foreign(offer)) {
            let reason = Reason::new(format!("offer {offer} was made to another framework"));
            return effects
                .push(Effect::to_framework(framework, Event::Refused { call: "decline".into(), reason }));
        }
        for offer in offers {
            // One that was rescinded meanwhile is declined already.
            if let Some(open) = self.take_back(*offer) {
                self.note_refusal(framework, &open.agent, refuse);
            }
        }
    }

    /// There is new work: nothing that was refused stays refused.
    pub(crate) fn revive(&mut self, framework: &FrameworkId) {
        let framework = self.frameworks.get_mut(framework).expect("only subscribed frameworks are obeyed");
        framework.is_suppressed = false;
        framework.revival += 1;
        self.to_offer.extend(self.agents.keys().cloned());
    }

    /// There is no work: open offers are of no use to it.
    pub(crate) fn suppress(&mut self, framework: &FrameworkId, effects: &mut Effects) {
        let framework = self.frameworks.get_mut(framework).expect("only subscribed frameworks are obeyed");
        framework.is_suppressed = true;
        let offers = framework.offers.clone();
        self.rescind(offers, effects);
    }

    /// An offer has been out for long. If another framework waits for such, it gets its turn.
    pub(crate) fn judge_offer(&mut self, offer: OfferId, effects: &mut Effects) {
        let Some(open) = self.offers.get(&offer).cloned() else { return };
        let agent = self.agents.get(&open.agent).expect("an offer's agent is known");
        let is_wanted = self.frameworks.iter().any(|(id, other)| {
            *id != open.framework && other.wants_offers() && !is_refused(agent, id, other, &open.resources)
        });
        if is_wanted {
            self.rescind([offer], effects);
            self.note_refusal(&open.framework, &open.agent, self.config.offer_timeout);
        } else if let Some(held) = self.offers.get_mut(&offer) {
            held.made_at = self.clock.now();
            self.timers.arm(held.made_at.plus(self.config.offer_timeout), Timer::Offer(offer));
        }
    }
}

/// Whether `framework` does not want these resources of `agent`: it refused them, or more, a short while ago.
fn is_refused(agent: &Agent, id: &FrameworkId, framework: &Framework, free: &Resources) -> bool {
    agent
        .refusals
        .get(id)
        .is_some_and(|refusal| refusal.revival == framework.revival && refusal.resources.contains(free))
}
