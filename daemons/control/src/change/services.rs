//! Services that stand: more or fewer instances, started again, stopped.

use std::sync::Arc;

use kogge_model::caller::Caller;
use kogge_model::fault::{Fault, Faults};
use kogge_model::name::ServiceId;
use kogge_model::service::ServiceSpec;
use kogge_model::view::{ChangeView, ScaleRequest, ServicesRequest};
use kogge_revisions::{Edit, Subtree, TreePath};

use crate::change::Wish;
use crate::cloud::Cloud;
use crate::handle::Handle;
use crate::refusal::Refusal;

impl Handle {
    /// Sets numbers of instances; all in one revision or none. A stopped service starts.
    ///
    /// # Errors
    /// When a service does not exist or a number is out of bounds.
    pub async fn scale(
        &self,
        caller: &Caller,
        request: ScaleRequest,
        is_plan: bool,
    ) -> Result<ChangeView, Refusal> {
        let wanted: Vec<String> = request.instances.iter().map(|(name, n)| format!("{name}={n}")).collect();
        let wish = Wish { caller: caller.clone(), message: format!("scale {}", wanted.join(" ")), is_plan };
        let names: Vec<String> = request.instances.keys().cloned().collect();
        self.change_services(names, wish, move |name, spec| {
            spec.instances = request.instances.get(name).copied().unwrap_or(spec.instances);
            spec.is_stopped = false;
        })
        .await
    }

    /// Replaces all instances, one after the other within the service's bounds; starts a stopped service.
    ///
    /// # Errors
    /// When a service does not exist.
    pub async fn restart(
        &self,
        caller: &Caller,
        request: ServicesRequest,
        is_plan: bool,
    ) -> Result<ChangeView, Refusal> {
        let message = format!("restart {}", request.services.join(", "));
        let wish = Wish { caller: caller.clone(), message, is_plan };
        self.change_services(request.services, wish, |_, spec| {
            spec.template.restart_count += u64::from(!spec.is_stopped);
            spec.is_stopped = false;
        })
        .await
    }

    /// Stops all instances; the wish for their number is remembered.
    ///
    /// # Errors
    /// When a service does not exist.
    pub async fn stop(
        &self,
        caller: &Caller,
        request: ServicesRequest,
        is_plan: bool,
    ) -> Result<ChangeView, Refusal> {
        let message = format!("stop {}", request.services.join(", "));
        let wish = Wish { caller: caller.clone(), message, is_plan };
        self.change_services(request.services, wish, |_, spec| spec.is_stopped = true).await
    }

    async fn change_services(
        &self,
        names: Vec<String>,
        wish: Wish,
        change: impl Fn(&str, &mut ServiceSpec) + Send + 'static,
    ) -> Result<ChangeView, Refusal> {
        self.alter(move |cloud, round| {
            let mut edits = Vec::new();
            for (name, service, spec) in standing(cloud, &names)? {
                let mut spec = spec.as_ref().clone();
                change(&name, &mut spec);
                edits.push(Edit::put(TreePath::from(&service), Subtree::service(spec)));
            }
            cloud.change(&edits, &wish, round)
        })
        .await
    }
}

type Standing = (String, ServiceId, Arc<ServiceSpec>);

fn standing(cloud: &Cloud, names: &[String]) -> Result<Vec<Standing>, Refusal> {
    let mut faults = Faults::default();
    let mut found = Vec::new();
    for name in names {
        match name.parse::<ServiceId>() {
            Err(error) => faults.0.push(Fault { field: format!("services.{name}"), rule: error.to_string() }),
            Ok(service) => match cloud.tree.service(&service) {
                Some(spec) => found.push((name.clone(), service, Arc::clone(spec))),
                None => return Err(cloud.unknown(name)),
            },
        }
    }
    faults.check(!names.is_empty(), "services", || "name at least one".to_owned());
    Ok(faults.finish(found)?)
}
