//! Apps: made, and destroyed with everything in them.

use std::collections::BTreeMap;

use kogge_model::caller::Caller;
use kogge_model::fault::{Fault, Faults};
use kogge_model::name::{AppId, ServiceId};
use kogge_model::reason::Reason;
use kogge_model::view::{AppView, ChangeView, CreateAppRequest, ServicesRequest};
use kogge_revisions::{Action, Edit, Expected, TreePath};

use crate::change::Wish;
use crate::cloud::Cloud;
use crate::handle::Handle;
use crate::refusal::Refusal;

impl Handle {
    /// Makes an app that can be pushed to. Making one that is there is refused.
    ///
    /// # Errors
    /// When the name breaks the rule, or the app exists.
    pub async fn create_app(
        &self,
        caller: &Caller,
        request: CreateAppRequest,
        is_plan: bool,
    ) -> Result<AppView, Refusal> {
        let app: AppId = request.name.parse().map_err(|error| Refusal::field("name", format!("{error}")))?;
        let wish = Wish { caller: caller.clone(), message: format!("create {app}"), is_plan };
        self.alter(move |cloud, round| {
            let path = TreePath::from(&app);
            if cloud.tree.digest(&path).is_some() {
                return Err(Refusal::Conflict(
                    Reason::new(format!("app {app} exists already"))
                        .with_hint(format!("push to {}", cloud.settings.git_url(&app, wish.caller.origin))),
                ));
            }
            let action =
                Action::SetMeta(BTreeMap::from([("created_by".to_owned(), wish.caller.name.clone())]));
            let edit = Edit { path, expected: Expected::Absent, action };
            cloud.change(&[edit], &wish, round)?;
            Ok(cloud.app_view(&app, wish.caller.origin))
        })
        .await
    }

    /// Destroys apps (named alone) and services (named `app/service`), with their instances.
    ///
    /// # Errors
    /// When one of them does not exist; then none is destroyed.
    pub async fn destroy(
        &self,
        caller: &Caller,
        request: ServicesRequest,
        is_plan: bool,
    ) -> Result<ChangeView, Refusal> {
        let message = format!("destroy {}", request.services.join(", "));
        let wish = Wish { caller: caller.clone(), message, is_plan };
        self.alter(move |cloud, round| {
            let edits = edits_of(cloud, &request.services)?;
            cloud.change(&edits, &wish, round)
        })
        .await
    }
}

fn edits_of(cloud: &Cloud, names: &[String]) -> Result<Vec<Edit>, Refusal> {
    let mut faults = Faults::default();
    let mut edits = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let path = name.parse::<AppId>().map(|app| TreePath::from(&app)).or_else(|_| {
            let service: Result<ServiceId, _> = name.parse();
            service.map(|service| TreePath::from(&service))
        });
        match path {
            Err(error) => faults.0.push(Fault { field: format!("services[{i}]"), rule: error.to_string() }),
            Ok(path) if cloud.tree.digest(&path).is_none() => return Err(cloud.unknown(name)),
            Ok(path) => edits.push(Edit::remove(path)),
        }
    }
    faults.check(!names.is_empty(), "services", || "name at least one".to_owned());
    Ok(faults.finish(edits)?)
}
