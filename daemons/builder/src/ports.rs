//! What the builder needs from others: small traits, adapted by the binary.

use std::path::PathBuf;
use std::pin::Pin;

use futures_util::Stream;
use kogge_model::image::ImageRef;
use kogge_model::name::AppId;
use kogge_model::reason::Reason;

/// A boxed future of a port's method.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The apps that can be pushed to.
pub trait Apps: Send + Sync {
    /// Whether there is such an app.
    fn exists(&self, app: AppId) -> Pending<'_, Result<bool, Reason>>;
    /// Rolls the image out and tells how it goes; the last news is [`News::Live`] or [`News::Failed`].
    fn release(&self, release: Release) -> Pin<Box<dyn Stream<Item = News> + Send + '_>>;
}

/// An image to roll out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The app.
    pub app: AppId,
    /// Its new image.
    pub image: ImageRef,
    /// The commit it was built from.
    pub commit: String,
    /// Who pushed it.
    pub pusher: String,
}

/// How a release goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A line for the pusher.
    Line(String),
    /// It answers there, if it is routed.
    Live {
        /// Its URL.
        url: Option<String>,
    },
    /// It did not come up; what ran before runs on.
    Failed(Reason),
}

/// The images of this cloud.
pub trait Images: Send + Sync {
    /// Writes the image of that name as an OCI layout into an empty directory; false when there is none.
    fn export(&self, name: String, layout: PathBuf) -> Pending<'_, Result<Option<ImageRef>, Reason>>;
    /// Takes the only image of an OCI layout under `name`.
    fn import(&self, layout: PathBuf, name: String) -> Pending<'_, Result<ImageRef, Reason>>;
}

/// A network for builds that reaches out, but none of the cloud's doors.
pub trait BuildNetwork: Send + Sync {
    /// A network namespace for the build of that id.
    fn open(&self, build: String) -> Pending<'_, Result<PathBuf, Reason>>;
    /// The build is over.
    fn close(&self, build: String) -> Pending<'_, ()>;
}
