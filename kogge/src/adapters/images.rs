//! The image store, as control asks for it.

use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use futures_util::StreamExt;
use kogge_containers::image::{
    FetchProgress, ImageError, ImageRecord, ImageStore, LoadRequest, Protocol, Reference,
};
use kogge_control::ports::{BaseImageWish, Flow, ImageFacts, Images, Pending, Progress};
use kogge_host::tasks::TaskGroup;
use kogge_model::image::ImageRef;
use kogge_model::port::Port;
use kogge_model::reason::Reason;
use kogge_model::template::Command;
use kogge_model::view::ImageView;
use tokio_util::io::StreamReader;

use super::base_image;

/// The images of this machine.
pub(crate) struct CloudImages {
    pub(crate) store: ImageStore,
    /// For what takes place while images are made.
    pub(crate) scratch: PathBuf,
    pub(crate) group: TaskGroup,
}

/// An error with its causes, and what to do.
pub(super) fn reason(error: &ImageError) -> Reason {
    told(error, error.hint())
}

/// The same of any error.
pub(super) fn told(error: &dyn std::error::Error, hint: Option<&'static str>) -> Reason {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(&format!(": {source}"));
        cause = source.source();
    }
    let reason = Reason::new(text);
    match hint {
        Some(hint) => reason.with_hint(hint),
        None => reason,
    }
}

/// An image for people.
pub(super) fn view(record: &ImageRecord) -> ImageView {
    ImageView {
        name: Some(record.reference.to_string()),
        digest: record.manifest.to_string(),
        size_bytes: record.size_bytes,
        added_at: Some(record.created_at.into()),
        used_by: Vec::new(),
    }
}

impl CloudImages {
    async fn find(&self, name: &str) -> Result<ImageFacts, ImageError> {
        let reference: Reference = name.parse()?;
        let image = match self.store.resolve(&reference).await {
            Err(ImageError::NotFound { .. }) if reference.registry().is_some() => {
                self.store.pull(&reference, None, false, &FetchProgress::default()).await?;
                self.store.resolve(&reference).await?
            }
            found => found?,
        };
        let argv = image.config.default_argv();
        let tcp = image.config.exposed_ports.iter().filter(|port| port.protocol == Protocol::Tcp);
        let mut exposed_ports: Vec<Port> = tcp.filter_map(|port| Port::new(port.port)).collect();
        exposed_ports.sort_unstable();
        Ok(ImageFacts {
            image: ImageRef { name: reference.to_string(), digest: image.manifest },
            command: (!argv.is_empty()).then_some(Command::Exec(argv)),
            exposed_ports,
        })
    }
}

impl Images for CloudImages {
    fn resolve(&self, name: String) -> Pending<'_, Result<ImageFacts, Reason>> {
        Box::pin(async move { self.find(&name).await.map_err(|error| reason(&error)) })
    }

    fn list(&self) -> Pending<'_, Result<Vec<ImageView>, Reason>> {
        Box::pin(async move {
            let records = self.store.list().await.map_err(|error| reason(&error))?;
            Ok(records.iter().map(view).collect())
        })
    }

    fn load(
        &self,
        archive: Flow<io::Result<Bytes>>,
        name: Option<String>,
    ) -> Pending<'_, Result<Vec<ImageView>, Reason>> {
        Box::pin(async move {
            let load = async {
                let name = name.map(|name| name.parse::<Reference>()).transpose()?;
                let request = LoadRequest { name, ..LoadRequest::default() };
                self.store.load_archive(StreamReader::new(archive.boxed()), request).await
            };
            let records = load.await.map_err(|error| reason(&error))?;
            Ok(records.iter().map(view).collect())
        })
    }

    fn remove(&self, name: String) -> Pending<'_, Result<(), Reason>> {
        Box::pin(async move {
            let remove = async { self.store.remove(&name.parse::<Reference>()?).await };
            remove.await.map_err(|error| reason(&error))
        })
    }

    fn build_base(&self, wish: BaseImageWish) -> Pending<'_, Result<Flow<Progress>, Reason>> {
        Box::pin(base_image::build(self, wish))
    }
}
