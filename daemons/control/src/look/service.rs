//! Services as they are wished and as they are.

use std::collections::BTreeMap;

use kogge_model::name::ServiceId;
use kogge_model::service::ServiceSpec;
use kogge_model::template::Command;
use kogge_model::time::Timestamp;
use kogge_model::view::{ServiceView, check_text};

use crate::cloud::Cloud;
use crate::handle::Handle;
use crate::refusal::Refusal;

impl Handle {
    /// All services, in order.
    ///
    /// # Errors
    /// When control is ending.
    pub async fn services(&self) -> Result<Vec<ServiceView>, Refusal> {
        self.look(|cloud, now| {
            let services = cloud.tree.services();
            Ok(services.iter().map(|(service, spec)| cloud.service_view(service, spec, now)).collect())
        })
        .await
    }

    /// One service.
    ///
    /// # Errors
    /// When there is none of that name.
    pub async fn service(&self, name: String) -> Result<ServiceView, Refusal> {
        self.look(move |cloud, now| {
            let service: ServiceId = name.parse().map_err(|_| cloud.unknown(&name))?;
            let spec = cloud.tree.service(&service).ok_or_else(|| cloud.unknown(&name))?;
            Ok(cloud.service_view(&service, spec, now))
        })
        .await
    }
}

impl Cloud {
    fn service_view(&self, service: &ServiceId, spec: &ServiceSpec, now: Timestamp) -> ServiceView {
        let known = self.services.get(service);
        let template = &spec.template;
        let explanation = self.services.why(service, now);
        let is_settled = known.is_some_and(|known| known.tally().is_settled());
        let explanation = explanation.filter(|_| !is_settled).unwrap_or_default();
        ServiceView {
            service: service.to_string(),
            path: service.path(),
            instances: spec.instances,
            running: known
                .map_or(0, |known| count(known.instances.values().filter(|i| i.running().is_some()).count())),
            healthy: known.map_or(0, |known| known.tally().healthy()),
            is_stopped: spec.is_stopped,
            image: template.image.as_ref().map(|image| image.name.clone()),
            image_digest: template.image.as_ref().map(|image| image.digest.to_string()),
            command: template.command.as_ref().map(command_text),
            env: template.env.keys().cloned().collect(),
            cpu_millis: template.limits.cpu_millis.0,
            mem_bytes: template.limits.mem_bytes.0,
            health: template.health.as_ref().map(check_text),
            constraints: spec.constraints.iter().map(ToString::to_string).collect(),
            urls: self.urls_of(service, spec),
            deployment: self.deployment_view_of(service),
            reason: explanation.sentences.into_iter().next(),
            hint: explanation.hints.into_iter().next(),
        }
    }

    fn urls_of(&self, service: &ServiceId, spec: &ServiceSpec) -> Vec<String> {
        if spec.template.ports.is_empty() {
            return Vec::new();
        }
        let own = self.settings.host(service);
        let declared = spec.routes.iter().filter_map(|route| route.host.clone());
        std::iter::once(own).chain(declared).map(|host| self.settings.url(&host)).collect()
    }

    /// Image digest → services that run it now or whose last good version does.
    pub(crate) fn image_users(&self) -> BTreeMap<String, Vec<String>> {
        let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (service, image) in self.kept_images() {
            let names = users.entry(image.digest.to_string()).or_default();
            if !names.contains(&service) {
                names.push(service);
            }
        }
        users
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn command_text(command: &Command) -> String {
    match command {
        Command::Shell(line) => line.clone(),
        Command::Exec(argv) => argv.join(" "),
    }
}
