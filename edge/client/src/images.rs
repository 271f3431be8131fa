//! Images in the cloud's own store.

use kogge_model::view::{BuildBaseRequest, ImageView, ProgressView};
use tokio::io::AsyncRead;

use crate::client::Client;
use crate::error::ClientError;
use crate::feed::Feed;
use crate::payload::Payload;
use crate::request::{IMAGE_DEADLINE, Request};
use crate::upload;

impl Client {
    /// All images.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn images(&self) -> Result<Vec<ImageView>, ClientError> {
        self.value(Request::get("/images")).await
    }

    /// Sends an archive (`docker save`, OCI layout) as it is read; `progress` is told the bytes sent so far.
    ///
    /// # Errors
    /// As every request, and when `archive` cannot be read.
    pub async fn load_image(
        &self,
        name: Option<&str>,
        archive: impl AsyncRead + Send + 'static,
        progress: impl FnMut(u64) + Send + 'static,
    ) -> Result<Vec<ImageView>, ClientError> {
        let mut request = Request::post("/images").within(IMAGE_DEADLINE);
        if let Some(name) = name {
            request = request.query("name", name);
        }
        let payload = Payload::stream("application/x-tar", upload::body(archive, progress));
        self.open(request, payload, &[]).await?.value().await
    }

    /// Forgets an image and tells which it was; with `is_plan` only tells.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn remove_image(&self, name: &str, is_plan: bool) -> Result<ImageView, ClientError> {
        self.value(Request::delete("/images").segment(name).flag("plan", is_plan)).await
    }

    /// Makes a base image of Debian packages; the last step has the image.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn build_base(&self, wish: &BuildBaseRequest) -> Result<Feed<ProgressView>, ClientError> {
        Ok(Feed::new(self.open(Request::post("/images/base"), Payload::json(wish), &[]).await?))
    }
}
