//! Pulling from a registry: a small one in the test, which can also lie.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fixture::{Image, Layer, Packing, assert_clean, store, store_with};
use kogge_containers::image::{Credentials, FetchProgress, ImageError, Limits, Reference};
use kogge_model::digest::Digest;
use serde_json::json;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What the registry answers, by path: media type and content.
#[derive(Default)]
struct Content {
    files: BTreeMap<String, (String, Vec<u8>)>,
    /// `user:password` in base64, if it asks for one.
    secret: Option<&'static str>,
}

struct Registry {
    address: String,
    blobs_served: Arc<AtomicUsize>,
}

impl Content {
    fn image(mut self, name: &str, tag: &str, image: &Image) -> Self {
        self.document(name, tag, MANIFEST, &image.manifest);
        for blob in image.blobs() {
            let path = format!("/v2/{name}/blobs/{}", Digest::of(blob));
            self.files.insert(path, ("application/octet-stream".to_owned(), blob.clone()));
        }
        self
    }

    fn document(&mut self, name: &str, tag: &str, media_type: &str, bytes: &[u8]) {
        for reference in [tag.to_owned(), Digest::of(bytes).to_string()] {
            let path = format!("/v2/{name}/manifests/{reference}");
            self.files.insert(path, (media_type.to_owned(), bytes.to_vec()));
        }
    }

    fn serve(self) -> Registry {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let blobs_served = Arc::new(AtomicUsize::new(0));
        let (content, counter) = (Arc::new(self), Arc::clone(&blobs_served));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (content, counter) = (Arc::clone(&content), Arc::clone(&counter));
                std::thread::spawn(move || answer(stream.unwrap(), &content, &counter));
            }
        });
        Registry { address, blobs_served }
    }
}

fn answer(mut stream: TcpStream, content: &Content, blobs_served: &AtomicUsize) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let path = request.split(' ').nth(1).unwrap_or_default();
    let is_trusted = content.secret.is_none_or(|secret| {
        headers
            .iter()
            .any(|line| line.to_lowercase().starts_with("authorization: basic") && line.ends_with(secret))
    });
    let (status, extra, body) = if !is_trusted {
        ("401 Unauthorized", "WWW-Authenticate: Basic realm=\"test\"\r\n".to_owned(), Vec::new())
    } else if path == "/v2/" {
        ("200 OK", String::new(), b"{}".to_vec())
    } else if let Some((media_type, body)) = content.files.get(path) {
        if path.contains("/blobs/") {
            blobs_served.fetch_add(1, Ordering::Relaxed);
        }
        ("200 OK", format!("Content-Type: {media_type}\r\n"), body.clone())
    } else {
        (
            "404 Not Found",
            String::new(),
            br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"unknown"}]}"#.to_vec(),
        )
    };
    let head =
        format!("HTTP/1.1 {status}\r\n{extra}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}

fn image() -> Image {
    let layers = vec![
        (Layer::new().file("low", b"1").bytes(), Packing::Gzip),
        (Layer::new().file("high", &[7; 300_000]).bytes(), Packing::Zstd),
    ];
    Image::new(layers, json!({ "Cmd": ["/low"] }))
}

fn name(registry: &Registry, rest: &str) -> Reference {
    format!("{}/{rest}", registry.address).parse().unwrap()
}

#[tokio::test]
async fn an_image_is_pulled_once_and_known_by_its_digest() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    let image = image();
    let registry = Content::default().image("shop/web", "v1", &image).serve();
    let record =
        store.pull(&name(&registry, "shop/web:v1"), None, false, &FetchProgress::default()).await.unwrap();
    assert_eq!(record.manifest, Digest::of(&image.manifest));
    assert!(store.resolve(&name(&registry, "shop/web:v1")).await.unwrap().lower[0].join("high").exists());
    assert_eq!(registry.blobs_served.load(Ordering::Relaxed), 3);
    let by_digest = name(&registry, &format!("shop/web@{}", record.manifest));
    assert_eq!(
        store.pull(&by_digest, None, false, &FetchProgress::default()).await.unwrap().manifest,
        record.manifest
    );
    assert_eq!(registry.blobs_served.load(Ordering::Relaxed), 3, "what is here is not fetched again");
    assert_clean(root.path());
}

#[tokio::test]
async fn of_an_index_the_own_platform_is_pulled() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    let (own, other) = (image(), Image::one_layer(Layer::new().file("foreign", b"")));
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let mut entries =
        [fixture::descriptor(MANIFEST, &other.manifest), fixture::descriptor(MANIFEST, &own.manifest)];
    entries[0]["platform"] = json!({ "os": "linux", "architecture": "s390x" });
    entries[1]["platform"] = json!({ "os": "linux", "architecture": architecture });
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries }).to_string();
    let mut content = Content::default().image("multi", "other", &other).image("multi", "own", &own);
    content.document("multi", "v1", INDEX, index.as_bytes());
    let registry = content.serve();
    let record =
        store.pull(&name(&registry, "multi:v1"), None, false, &FetchProgress::default()).await.unwrap();
    assert_eq!(record.manifest, Digest::of(&own.manifest));
    let pinned = name(&registry, &format!("multi@{}", Digest::of(index.as_bytes())));
    assert_eq!(
        store.pull(&pinned, None, false, &FetchProgress::default()).await.unwrap().manifest,
        record.manifest,
        "an index by its digest"
    );
}

#[tokio::test]
async fn a_lying_registry_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    let image = image();
    let mut content = Content::default().image("lie", "v1", &image);
    let layer = format!("/v2/lie/blobs/{}", Digest::of(&image.layers[1]));
    content.files.get_mut(&layer).unwrap().1[100] ^= 1;
    let other = Image::one_layer(Layer::new().file("other", b""));
    let promised = format!("/v2/lie/manifests/{}", Digest::of(&image.manifest));
    content.files.insert(promised, (MANIFEST.to_owned(), other.manifest.clone()));
    let registry = content.serve();
    let error =
        store.pull(&name(&registry, "lie:v1"), None, false, &FetchProgress::default()).await.unwrap_err();
    assert!(!error.to_string().is_empty(), "{error}");
    let by_digest = name(&registry, &format!("lie@{}", Digest::of(&image.manifest)));
    assert!(store.pull(&by_digest, None, false, &FetchProgress::default()).await.is_err());
    assert!(store.list().await.unwrap().is_empty());
    assert!(store.blobs().size(&Digest::of(&image.layers[1])).is_none(), "the bent layer was not kept");
    assert_clean(root.path());
}

#[tokio::test]
async fn unknown_images_bounds_and_silence_are_errors() {
    let root = tempfile::tempdir().unwrap();
    let small = store_with(root.path(), Limits { blob_bytes: 1_000, ..Limits::default() });
    let big = Image::new(vec![(Layer::new().file("f", &[1; 2_000]).bytes(), Packing::Plain)], json!({}));
    let registry = Content::default().image("big", "v1", &big).serve();
    let error =
        small.pull(&name(&registry, "big:v1"), None, false, &FetchProgress::default()).await.unwrap_err();
    assert!(matches!(error, ImageError::TooLarge { .. }), "{error}");
    let error =
        small.pull(&name(&registry, "big:v2"), None, false, &FetchProgress::default()).await.unwrap_err();
    assert!(matches!(error, ImageError::Registry { .. }) && error.hint().is_some(), "{error}");
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = small
        .pull(&format!("{nobody}/x:1").parse().unwrap(), None, false, &FetchProgress::default())
        .await
        .unwrap_err();
    assert!(matches!(error, ImageError::Registry { .. }), "{error}");
    assert_clean(root.path());
}

#[tokio::test]
async fn credentials_open_a_closed_registry() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    // base64 of "me:secret"
    let content = Content { secret: Some("bWU6c2VjcmV0"), ..Content::default() };
    let registry = content.image("closed", "v1", &image()).serve();
    let reference = name(&registry, "closed:v1");
    assert!(store.pull(&reference, None, false, &FetchProgress::default()).await.is_err());
    let credentials = Credentials { username: "me".to_owned(), password: "secret".to_owned() };
    assert!(!format!("{credentials:?}").contains("secret"));
    store.pull(&reference, Some(&credentials), false, &FetchProgress::default()).await.unwrap();
}
