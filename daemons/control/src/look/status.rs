//! The cloud as a whole.

use std::borrow::Cow;
use std::collections::BTreeSet;

use kogge_host::clock;
use kogge_kernel::Phase;
use kogge_model::digest::Digest;
use kogge_model::image::ImageRef;
use kogge_model::reason::Reason;
use kogge_model::view::{DoorsView, RevisionView, StatusView};
use kogge_services::ServiceRecord;
use kogge_store::Entry;

use crate::cloud::Cloud;
use crate::handle::Handle;
use crate::refusal::Refusal;
use crate::{keys, load};

impl Handle {
    /// What `kogge status` shows.
    ///
    /// # Errors
    /// When control is ending.
    pub async fn status(&self) -> Result<StatusView, Refusal> {
        let facts = self.inner.facts.clone();
        self.look(move |cloud, _| {
            let services = cloud.tree.services();
            let view = cloud.kernel.view();
            Ok(StatusView {
                pid: std::process::id(),
                version: facts.version,
                uptime_s: clock::now().saturating_since(facts.started_at).as_secs(),
                cluster: cloud.settings.cluster.to_string(),
                data_dir: facts.data_dir,
                agents: u32::try_from(view.agents().filter(|agent| agent.phase().is_registered()).count())
                    .unwrap_or(u32::MAX),
                services: u32::try_from(services.len()).unwrap_or(u32::MAX),
                instances: services.values().map(|spec| spec.wish()).sum(),
                healthy: cloud.services.iter().map(|service| service.tally().healthy()).sum(),
                revision: cloud.tree.head().map_or(0, |head| head.id.0),
                warnings: cloud.warnings(),
            })
        })
        .await
    }

    /// The images that services want, or could go back to, as far as this server knows. It has a copy of the state to look
    /// at if it is not alone, and asks nobody.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn images_wanted(&self) -> Result<BTreeSet<ImageRef>, Refusal> {
        let Some(copy) = &self.inner.copy else { return Ok(BTreeSet::new()) };
        let entries: Vec<Entry> = copy.image().under(keys::SERVICES).map(Cow::into_owned).collect();
        let mut wanted = BTreeSet::new();
        for entry in &entries {
            let record: ServiceRecord =
                load::parse(entry).map_err(|error| Refusal::Unavailable(Reason::new(error.to_string())))?;
            wanted.extend(record.versions().filter_map(|version| version.template.image.clone()));
        }
        Ok(wanted)
    }

    /// The digests of the same.
    ///
    /// # Errors
    /// When control is ending.
    pub async fn images_in_use(&self) -> Result<BTreeSet<Digest>, Refusal> {
        self.look(|cloud, _| Ok(cloud.kept_images().into_iter().map(|(_, image)| image.digest).collect()))
            .await
    }

    /// Door → URL.
    #[must_use]
    pub fn doors(&self) -> DoorsView {
        self.inner.facts.doors.clone()
    }

    /// The newest revisions of the tree, the newest first.
    ///
    /// # Errors
    /// When control is ending.
    pub async fn revisions(&self, limit: usize) -> Result<Vec<RevisionView>, Refusal> {
        self.look(move |cloud, _| {
            Ok(cloud.tree.revisions().rev().take(limit).map(RevisionView::from).collect())
        })
        .await
    }
}

impl Cloud {
    fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = Vec::new();
        for agent in
            self.kernel.view().agents().filter(|agent| matches!(agent.phase(), Phase::Suspect | Phase::Lost))
        {
            warnings.push(format!("agent {} does not answer", agent.info().name));
        }
        for service in self.services.iter() {
            let tally = service.tally();
            if tally.healthy() < tally.wish {
                let id = service.id();
                warnings.push(format!(
                    "{id} has {} of {} instances healthy: see `kogge why {id}`",
                    tally.healthy(),
                    tally.wish
                ));
            }
        }
        warnings
    }

    /// Every image that a service runs, ran last, or could go back to (G21).
    pub(crate) fn kept_images(&self) -> Vec<(String, ImageRef)> {
        let mut kept = Vec::new();
        for service in self.services.iter() {
            let wanted = service.record.versions().filter_map(|version| version.template.image.clone());
            let running = service.instances.values().filter_map(|instance| instance.template.image.clone());
            kept.extend(wanted.chain(running).map(|image| (service.id().to_string(), image)));
        }
        kept
    }
}
