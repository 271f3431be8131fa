//! The image store, as the builder asks for it.

use std::path::PathBuf;

use kogge_builder::ports::{Images, Pending};
use kogge_containers::image::{ImageError, ImageStore, LoadRequest, Reference};
use kogge_model::image::ImageRef;
use kogge_model::reason::Reason;

use super::images::reason;

/// The images of this machine.
pub(crate) struct BuildImages(pub(crate) ImageStore);

impl Images for BuildImages {
    fn export(&self, name: String, layout: PathBuf) -> Pending<'_, Result<Option<ImageRef>, Reason>> {
        Box::pin(async move {
            // A name that is none of ours is left to the registry it may belong to.
            let Ok(reference) = name.parse::<Reference>() else { return Ok(None) };
            let image = match self.0.resolve(&reference).await {
                Err(ImageError::NotFound { .. }) => return Ok(None),
                found => found.map_err(|error| reason(&error))?,
            };
            self.0.export_layout(&reference, layout).await.map_err(|error| reason(&error))?;
            Ok(Some(ImageRef { name: reference.to_string(), digest: image.manifest }))
        })
    }

    fn import(&self, layout: PathBuf, name: String) -> Pending<'_, Result<ImageRef, Reason>> {
        Box::pin(async move {
            let load = async {
                let reference: Reference = name.parse()?;
                let request = LoadRequest { name: Some(reference.clone()), ..LoadRequest::default() };
                let records = self.0.load_layout(layout, request).await?;
                let record = records.into_iter().next();
                record.ok_or(ImageError::NotFound { reference: reference.to_string() })
            };
            let record = load.await.map_err(|error| reason(&error))?;
            Ok(ImageRef { name: record.reference.to_string(), digest: record.manifest })
        })
    }
}
