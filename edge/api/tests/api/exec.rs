//! Commands inside instances.

use kogge_client::ClientError;
use kogge_model::task::Exit;
use kogge_model::view::exec::{ExecInput, ExecOutput, ExecRequest};
use serde_json::json;

use crate::cloud::TestCloud;

fn wish(argv: &str) -> ExecRequest {
    ExecRequest { argv: vec![argv.into()], is_interactive: true, ..ExecRequest::default() }
}

#[tokio::test]
async fn input_goes_in_output_and_exit_code_come_out() {
    let cloud = TestCloud::start().await;
    cloud.with_service("shop", 1).await;
    let (mut sender, mut receiver) = cloud.client.exec("shop.1", &wish("cat")).await.unwrap();
    let long = vec![b'a'; 300_000];
    let mut got = Vec::new();
    for chunk in [&b"hello"[..], &long] {
        sender.send(&ExecInput::Stdin(chunk.to_vec())).await.unwrap();
        let whole = got.len() + chunk.len();
        while got.len() < whole {
            match receiver.next().await.unwrap() {
                Some(ExecOutput::Stdout(bytes)) => got.extend_from_slice(&bytes),
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(got.len(), 5 + long.len());
    sender.send(&ExecInput::CloseStdin).await.unwrap();
    assert_eq!(receiver.next().await.unwrap(), Some(ExecOutput::Exit(Exit::Code { code: 0 })));
    assert_eq!(receiver.next().await.unwrap(), None);
    cloud.end().await;
}

#[tokio::test]
async fn exit_codes_and_lost_commands_are_told_apart() {
    let cloud = TestCloud::start().await;
    cloud.with_service("shop", 1).await;
    let (_, mut failing) = cloud.client.exec("shop", &wish("false")).await.unwrap();
    assert_eq!(failing.next().await.unwrap(), Some(ExecOutput::Exit(Exit::Code { code: 1 })));
    let (_, mut lost) = cloud.client.exec("shop.1", &wish("lost")).await.unwrap();
    let told = lost.next().await.unwrap();
    assert!(matches!(&told, Some(ExecOutput::Failed(problem)) if problem.status == 503), "{told:?}");
    cloud.end().await;
}

#[tokio::test]
async fn what_cannot_be_run_is_refused_before_the_protocol_changes() {
    let cloud = TestCloud::start().await;
    cloud.with_service("shop", 1).await;
    let refused =
        async |instance: &str, request: &ExecRequest| match cloud.client.exec(instance, request).await {
            Err(ClientError::Refused(problem)) => problem.status,
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("{instance} was not refused"),
        };
    assert_eq!(refused("nothing.1", &wish("cat")).await, 404);
    assert_eq!(refused("shop.9", &wish("cat")).await, 409);
    assert_eq!(refused("shop.1", &ExecRequest::default()).await, 422);
    let plain =
        cloud.call("POST /api/v1/instances/{instance}/exec", &["shop.1"], "", Some(json!({"argv": ["x"]})));
    let plain = plain.await;
    assert_eq!(plain.status, 426);
    assert!(plain.head.contains("upgrade: kogge-exec/1"), "{plain:?}");
    cloud.end().await;
}

#[tokio::test]
async fn a_session_does_not_hold_up_the_end_of_the_cloud() {
    let cloud = TestCloud::start().await;
    cloud.with_service("shop", 1).await;
    let (_sender, mut receiver) = cloud.client.exec("shop.1", &wish("cat")).await.unwrap();
    cloud.end().await;
    assert!(matches!(receiver.next().await, Err(ClientError::ExecLost(_))));
}
