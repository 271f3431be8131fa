//! Images.

use kogge_client::ClientError;
use kogge_model::view::{BuildBaseRequest, DeployRequest};
use serde_json::json;

use crate::cloud::TestCloud;

#[tokio::test]
async fn an_archive_is_loaded_as_it_is_read() {
    let cloud = TestCloud::start().await;
    // Longer than the bound of ordinary bodies.
    let mut archive = vec![b'x'; 3 << 20];
    archive[..3].copy_from_slice(b"TAR");
    let (told, progress) = std::sync::mpsc::sync_channel(1_000);
    let images = cloud.client.load_image(Some("hello:latest"), std::io::Cursor::new(archive), move |bytes| {
        told.try_send(bytes).unwrap();
    });
    assert_eq!(images.await.unwrap()[0].size_bytes, 3 << 20);
    assert_eq!(progress.try_iter().last(), Some(3 << 20));
    let list = cloud.call("GET /api/v1/images", &[], "", None).await.json();
    assert_eq!(list[0]["name"], "hello:latest");
    let refused = cloud.call("POST /api/v1/images", &[], "?name=x", Some(json!("no archive"))).await;
    assert_eq!((refused.status, refused.faults()), (422, vec!["archive".to_owned()]));
    cloud.end().await;
}

#[tokio::test]
async fn an_archive_that_cannot_be_read_is_our_own_failure() {
    struct Torn;
    impl tokio::io::AsyncRead for Torn {
        fn poll_read(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::task::Poll::Ready(Err(std::io::Error::other("the disk is torn")))
        }
    }
    let cloud = TestCloud::start().await;
    let error = cloud.client.load_image(None, Torn, |_| {}).await.unwrap_err();
    assert!(
        matches!(&error, ClientError::Upload(cause) if cause.to_string() == "the disk is torn"),
        "{error:?}"
    );
    cloud.end().await;
}

#[tokio::test]
async fn an_image_in_use_is_kept() {
    let cloud = TestCloud::start().await;
    for name in ["used", "spare"] {
        let archive = std::io::Cursor::new(format!("TAR{name}").into_bytes());
        cloud.client.load_image(Some(name), archive, |_| {}).await.unwrap();
    }
    let wish = DeployRequest { image: Some("used".into()), ..DeployRequest::default() };
    cloud.client.deploy(&wish, false).await.unwrap();
    let remove = "DELETE /api/v1/images/{image}";
    let used = cloud.call(remove, &["used"], "", None).await;
    assert_eq!(used.status, 409, "{used:?}");
    assert_eq!(cloud.call(remove, &["spare"], "?plan=true", None).await.status, 200);
    assert_eq!(cloud.client.images().await.unwrap().len(), 2, "a plan changes nothing");
    assert_eq!(cloud.call(remove, &["spare"], "", None).await.status, 200);
    assert_eq!(cloud.call(remove, &["spare"], "", None).await.status, 404);
    cloud.end().await;
}

#[tokio::test]
async fn a_base_image_is_made_step_by_step() {
    let cloud = TestCloud::start().await;
    let mut feed = cloud.client.build_base(&BuildBaseRequest::default()).await.unwrap();
    assert_eq!(feed.next().await.unwrap().unwrap().text.as_deref(), Some("fetching"));
    let image = feed.next().await.unwrap().unwrap().image.unwrap();
    assert_eq!(image.name.as_deref(), Some("kogge/base:12"));
    assert!(feed.next().await.unwrap().is_none());
    let failed = cloud.call("POST /api/v1/images/base", &[], "", Some(json!({"suite": "moon"}))).await;
    assert!(failed.head.contains("application/x-ndjson"), "{failed:?}");
    let last: serde_json::Value = serde_json::from_str(failed.body.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["problem"]["detail"], &last["problem"]["hint"]),
        (&json!("there is no suite moon"), &json!("bookworm"))
    );
    cloud.end().await;
}
