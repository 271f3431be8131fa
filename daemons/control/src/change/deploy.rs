//! A service wanted: its image resolved, its spec made, its revision written.

use kogge_model::caller::Caller;
use kogge_model::fault::{Fault, Faults};
use kogge_model::name::ServiceId;
use kogge_model::service::ServiceSpec;
use kogge_model::view::{ChangeView, DeployRequest};
use kogge_revisions::{Edit, Subtree, TreePath};

use crate::change::Wish;
use crate::handle::Handle;
use crate::ports::ImageFacts;
use crate::refusal::Refusal;

impl Handle {
    /// Makes or changes a service. The image's name is resolved now; the spec keeps the digest it stood for.
    ///
    /// # Errors
    /// When the image is not to be had, fields break rules, or the tree cannot take it.
    pub async fn deploy(
        &self,
        caller: &Caller,
        mut request: DeployRequest,
        is_plan: bool,
    ) -> Result<ChangeView, Refusal> {
        let service = request.service_id()?;
        let image = match request.image.clone() {
            Some(name) => Some(self.inner.images.resolve(name).await.map_err(Refusal::NotFound)?),
            None => None,
        };
        let what = image.as_ref().map_or("a command", |facts| facts.image.name.as_str());
        let message = request.message.take().unwrap_or_else(|| format!("deploy {service}: {what}"));
        let wish = Wish { caller: caller.clone(), message, is_plan };
        self.alter(move |cloud, round| {
            let standing = cloud.tree.service(&service).cloned();
            let spec = spec_of(request, standing.as_deref(), image)?;
            cloud.check_fixed_ports(&service, &spec)?;
            let edit = Edit::put(TreePath::from(&service), Subtree::service(spec));
            cloud.change(&[edit], &wish, round)
        })
        .await
    }
}

fn spec_of(
    mut request: DeployRequest,
    standing: Option<&ServiceSpec>,
    image: Option<ImageFacts>,
) -> Result<ServiceSpec, Faults> {
    if let (None, None, Some(facts)) = (standing, &request.ports, &image) {
        let exposed: Vec<u16> = facts.exposed_ports.iter().map(|port| port.get()).collect();
        request.ports = (!exposed.is_empty()).then_some(exposed);
    }
    let has_own_command = image.as_ref().is_none_or(|facts| facts.command.is_some());
    let spec = request.onto(standing, image.map(|facts| facts.image))?;
    if !has_own_command && spec.template.command.is_none() {
        let rule = "is needed: the image does not say what to run".to_owned();
        return Err(Faults(vec![Fault { field: "command".to_owned(), rule }]));
    }
    Ok(spec)
}

impl crate::cloud::Cloud {
    /// A host port that must be a certain one can be only one service's, and only one instance's on each agent.
    fn check_fixed_ports(&self, service: &ServiceId, spec: &ServiceSpec) -> Result<(), Refusal> {
        let fixed = |spec: &ServiceSpec| -> Vec<u16> {
            spec.template.ports.iter().filter_map(|port| port.host_port).map(|port| port.get()).collect()
        };
        let wanted = fixed(spec);
        if wanted.is_empty() {
            return Ok(());
        }
        let mut faults = Faults::default();
        for (other, standing) in self.tree.services() {
            let taken: Vec<u16> = fixed(&standing).into_iter().filter(|port| wanted.contains(port)).collect();
            faults.check(other == *service || taken.is_empty(), "ports", || {
                format!("host port {} belongs to service {other}", taken[0])
            });
        }
        Ok(faults.finish(())?)
    }
}
