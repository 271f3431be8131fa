//! Pulling from a registry (distribution-spec v1.1, "Pull").

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use kogge_model::digest::Digest;
use oci_client::Client;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::manifest::OciDescriptor;
use oci_client::secrets::RegistryAuth;

use super::super::blob::check;
use super::super::error::ImageError;
use super::super::lease::Lease;
use super::super::manifest::{ACCEPTED, Descriptor, Document, MAX_DOCUMENT_BYTES};
use super::super::reference::Reference;
use super::intake::Intake;

/// Layers fetched at the same time.
const PARALLEL_LAYERS: usize = 3;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// Name and password for a registry.
#[derive(Clone)]
pub struct Credentials {
    /// The account.
    pub username: String,
    /// A password or token.
    pub password: String,
}

/// Passwords do not belong into logs.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// One pull.
pub(crate) struct Pull<'a> {
    pub(crate) reference: &'a Reference,
    pub(crate) credentials: Option<&'a Credentials>,
    pub(crate) intake: Intake<'a>,
}

struct Session<'a> {
    pull: &'a Pull<'a>,
    client: Client,
    address: oci_client::Reference,
    auth: RegistryAuth,
}

impl Pull<'_> {
    /// The manifest's bytes, after its config and layers have been taken in, held by `lease`.
    pub(crate) async fn run(&self, lease: &mut Lease) -> Result<Vec<u8>, ImageError> {
        let session = self.session()?;
        let bytes = session.manifest().await?;
        let Document::Manifest(manifest) = Document::parse(&bytes, "the manifest")? else {
            return Err(ImageError::malformed("the manifest", "an index leads to another index"));
        };
        let parts: Vec<Descriptor> = std::iter::once(manifest.config).chain(manifest.layers).collect();
        for part in &parts {
            lease.add(part.digest);
        }
        self.intake.expect(&parts);
        let fetches = futures_util::stream::iter(parts).map(|part| session.blob(part));
        fetches.buffer_unordered(PARALLEL_LAYERS).try_collect::<Vec<()>>().await?;
        Ok(bytes.to_vec())
    }

    fn session(&self) -> Result<Session<'_>, ImageError> {
        // Only the first call in a process has an effect; every part of Kogge installs the same provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let text = self.reference.to_string();
        let address: oci_client::Reference = text
            .parse()
            .map_err(|_| ImageError::BadReference { text, why: "no registry can be asked for it" })?;
        let protocol =
            if self.reference.is_loopback() { ClientProtocol::Http } else { ClientProtocol::Https };
        let config = ClientConfig {
            protocol,
            connect_timeout: Some(CONNECT_TIMEOUT),
            read_timeout: Some(Duration::from_secs(self.intake.limits.idle_seconds)),
            user_agent: concat!("kogge/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        let client = Client::try_from(config).map_err(|source| self.failed(source))?;
        let auth = self.credentials.map_or(RegistryAuth::Anonymous, |credentials| {
            RegistryAuth::Basic(credentials.username.clone(), credentials.password.clone())
        });
        Ok(Session { pull: self, client, address, auth })
    }

    fn failed(&self, source: OciDistributionError) -> ImageError {
        ImageError::Registry { reference: self.reference.to_string(), source: Box::new(source) }
    }
}

impl Session<'_> {
    /// The manifest for this machine, through an index if there is one.
    async fn manifest(&self) -> Result<Bytes, ImageError> {
        let bytes = self.document(&self.address, self.pull.reference.digest()).await?;
        match Document::parse(&bytes, "the manifest")? {
            Document::Manifest(_) => Ok(bytes),
            Document::Index(index) => {
                let chosen = index.for_this_machine(&self.pull.reference.to_string())?.digest;
                let address = oci_client::Reference::with_digest(
                    self.address.registry().to_owned(),
                    self.address.repository().to_owned(),
                    chosen.to_string(),
                );
                self.document(&address, Some(chosen)).await
            }
        }
    }

    async fn document(
        &self,
        address: &oci_client::Reference,
        expected: Option<Digest>,
    ) -> Result<Bytes, ImageError> {
        let pulled = self.client.pull_manifest_raw(address, &self.auth, &ACCEPTED).await;
        let (bytes, _) = pulled.map_err(|source| self.pull.failed(source))?;
        if bytes.len() as u64 > MAX_DOCUMENT_BYTES {
            let what = format!("the manifest of {}", self.pull.reference);
            return Err(ImageError::TooLarge { what, limit: MAX_DOCUMENT_BYTES, unit: "bytes" });
        }
        check("the manifest", expected.as_ref(), &Digest::of(&bytes))?;
        Ok(bytes)
    }

    async fn blob(&self, part: Descriptor) -> Result<(), ImageError> {
        if self.pull.intake.is_here(&part)? {
            return Ok(());
        }
        let asked = OciDescriptor {
            media_type: part.media_type.clone(),
            digest: part.digest.to_string(),
            size: i64::try_from(part.size).unwrap_or(i64::MAX),
            ..OciDescriptor::default()
        };
        let pulled = self.client.pull_blob_stream(&self.address, &asked).await;
        let pieces = pulled.map_err(|source| self.pull.failed(source))?.stream;
        self.pull.intake.take(&part, pieces).await
    }
}
