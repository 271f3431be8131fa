//! Apps: the groups of the tree below an environment.

use std::collections::BTreeMap;

use kogge_model::caller::{Caller, Origin};
use kogge_model::digest::Digest;
use kogge_model::name::{AppId, ServiceId};
use kogge_model::view::AppView;
use kogge_revisions::{Node, TreePath};

use crate::cloud::Cloud;
use crate::handle::Handle;
use crate::refusal::Refusal;

impl Handle {
    /// All apps, in order.
    ///
    /// # Errors
    /// When control is ending.
    pub async fn apps(&self, caller: &Caller) -> Result<Vec<AppView>, Refusal> {
        let origin = caller.origin;
        self.look(move |cloud, _| Ok(cloud.apps().iter().map(|app| cloud.app_view(app, origin)).collect()))
            .await
    }

    /// Whether there is such an app.
    ///
    /// # Errors
    /// When control is ending.
    pub async fn has_app(&self, app: AppId) -> Result<bool, Refusal> {
        self.look(move |cloud, _| Ok(cloud.tree.digest(&TreePath::from(&app)).is_some())).await
    }
}

impl Cloud {
    /// Every app in the tree.
    pub(crate) fn apps(&self) -> Vec<AppId> {
        let Some(head) = self.tree.head() else { return Vec::new() };
        let children = |digest: Digest| match self.tree.node(&digest).map(AsRef::as_ref) {
            Some(Node::Group(group)) => group.children.clone(),
            Some(Node::Service(_)) | None => BTreeMap::new(),
        };
        let environments = children(head.root).into_iter();
        environments
            .flat_map(|(environment, digest)| {
                children(digest).into_keys().map(move |app| AppId { environment: environment.clone(), app })
            })
            .collect()
    }

    /// One app, for somebody who came in that way.
    pub(crate) fn app_view(&self, app: &AppId, origin: Origin) -> AppView {
        let services: Vec<ServiceId> =
            self.tree.services().into_keys().filter(|service| service.app == *app).collect();
        let wished = services.iter().filter_map(|service| self.tree.service(service)).map(|spec| spec.wish());
        let healthy = services.iter().filter_map(|service| self.services.get(service));
        let default = app.default_service();
        let is_routed = self.tree.service(&default).is_some_and(|spec| !spec.template.ports.is_empty());
        let history = self.tree.history(&TreePath::from(app), 1);
        AppView {
            app: app.to_string(),
            path: app.path(),
            git_url: self.settings.git_url(app, origin),
            url: is_routed.then(|| self.settings.url(&self.settings.host(&default))),
            instances: wished.sum(),
            healthy: healthy.map(|service| service.tally().healthy()).sum(),
            services: services.iter().map(ToString::to_string).collect(),
            changed_at: history.first().map(|version| version.revision.at.into()),
        }
    }
}
