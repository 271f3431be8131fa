//! The door beyond loopback: TLS, and a token with each request.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kogge_api::{Api, TlsDoor};
use kogge_client::{Client, ClientError, Untrusted};
use kogge_host::clock;
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_link::TokenDoor;
use kogge_link::identity::{Authority, Lifetime, Peer, PrivateKey, Role};
use kogge_model::caller::Caller;
use kogge_model::digest::Digest;
use kogge_model::id::ClusterId;
use kogge_model::task::Exit;
use kogge_model::token::{MINT_BYTES, OperatorToken};
use kogge_model::view::exec::{ExecInput, ExecOutput, ExecRequest};
use kogge_model::view::{CreateTokenRequest, LogQuery};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};

use crate::cloud::TestCloud;

struct Door {
    api: String,
    address: std::net::SocketAddr,
    group: TaskGroup,
    files: TempDir,
}

impl Door {
    /// Opens one for the cloud, with a certificate of `authority`.
    async fn open_with(cloud: &TestCloud, authority: Arc<Authority>, lifetime: Lifetime) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let group = TaskGroup::new("door");
        let hosts = vec!["127.0.0.1".parse().unwrap(), "localhost".parse().unwrap()];
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("ca.pem"), authority.certificate().to_pem()).unwrap();
        let tls =
            kogge_link::token_door(authority, TokenDoor { server: "s1".into(), hosts, lifetime }, &group);
        let routes = kogge_api::router(Api { handle: cloud.handle.clone(), tasks: group.clone() })
            .fallback(kogge_api::not_found);
        let door = TlsDoor { listener, tls: tls.unwrap(), routes, handle: cloud.handle.clone() };
        group.spawn("door", OnPanic::Log, kogge_api::serve_tls(door, group.clone()));
        Self { api: format!("https://{address}"), address, group, files }
    }

    async fn open(cloud: &TestCloud) -> Self {
        Self::open_with(cloud, Arc::clone(cloud.handle.authority()), Lifetime::default()).await
    }

    fn client(&self, token: OperatorToken) -> Client {
        Client::with_token(&self.api, Some(token)).unwrap()
    }

    fn ca(&self) -> PathBuf {
        self.files.path().join("ca.pem")
    }

    /// What curl makes of it: head and body.
    async fn curl(&self, words: &[&str], path: &str) -> String {
        let mut curl = tokio::process::Command::new("curl");
        curl.args(["--silent", "--show-error", "--include", "--max-time", "20", "--cacert"]).arg(self.ca());
        let output = curl.args(words).arg(format!("{}{path}", self.api)).output().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        text(&output.stdout) + &text(&output.stderr)
    }

    async fn close(self) {
        let laggards = self.group.shutdown(Duration::from_secs(20)).await;
        assert!(laggards.is_empty(), "{laggards:?}");
    }
}

async fn token(cloud: &TestCloud, name: &str) -> OperatorToken {
    let wish = CreateTokenRequest { name: name.into(), ..CreateTokenRequest::default() };
    let made = cloud.handle.create_token(&Caller::local_operator(), wish).await.unwrap();
    made.secret.parse().unwrap()
}

#[tokio::test]
async fn whoever_shows_a_token_does_everything_under_its_name() {
    let cloud = TestCloud::start().await;
    let door = Door::open(&cloud).await;
    let client = door.client(token(&cloud, "ann").await);
    let app = client.create_app("empty", false).await.unwrap();
    assert_eq!(app.git_url, "https://kogge.test:7400/git/empty.git", "pushes go where the caller came from");
    assert!(cloud.client.app("empty").await.unwrap().git_url.starts_with("http://127.0.0.1"));
    assert_eq!(client.revisions(1).await.unwrap()[0].author, "ann");
    cloud.with_service("shop", 1).await;

    let mut events = client.events().await.unwrap();
    client.stop(vec!["empty".into()], false).await.unwrap_err();
    client.restart(vec!["shop".into()], false).await.unwrap();
    assert!(events.next().await.unwrap().is_some());

    let query = LogQuery { of: Some("shop".into()), ..LogQuery::default() };
    assert!(client.logs(&query).await.unwrap().next().await.unwrap().is_some());

    let wish = ExecRequest { argv: vec!["cat".into()], is_interactive: true, ..ExecRequest::default() };
    let (mut sender, mut receiver) = client.exec("shop.1", &wish).await.unwrap();
    sender.send(&ExecInput::Stdin(b"hello".to_vec())).await.unwrap();
    assert_eq!(receiver.next().await.unwrap(), Some(ExecOutput::Stdout(b"hello".to_vec())));
    sender.send(&ExecInput::CloseStdin).await.unwrap();
    assert_eq!(receiver.next().await.unwrap(), Some(ExecOutput::Exit(Exit::Code { code: 0 })));

    let archive = std::io::Cursor::new([b"TAR".to_vec(), vec![7; 3 << 20]].concat());
    client.load_image(Some("x:1"), archive, |_| {}).await.unwrap();
    door.close().await;
    cloud.end().await;
}

fn problem(error: ClientError) -> (u16, String, String) {
    match error {
        ClientError::Refused(problem) => (problem.status, problem.detail, problem.hint.unwrap_or_default()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn tokens_that_open_nothing_are_told_why_in_a_sentence() {
    let cloud = TestCloud::start().await;
    let door = Door::open(&cloud).await;
    let ann = token(&cloud, "ann").await;
    let client = door.client(ann.clone());
    assert!(client.status().await.is_ok());
    cloud.handle.revoke_token(&Caller::local_operator(), "ann".into()).await.unwrap();
    let (status, told, hint) = problem(client.status().await.unwrap_err());
    assert!(status == 401 && told.starts_with("the token ann was revoked at "), "{status} {told}");
    assert!(hint.contains("kogge token create"), "{hint}");

    let short = CreateTokenRequest { name: "bob".into(), expires_in_ms: Some(1), never_expires: false };
    let bob = cloud.handle.create_token(&Caller::local_operator(), short).await.unwrap();
    let (status, told, _) = problem(door.client(bob.secret.parse().unwrap()).status().await.unwrap_err());
    assert!(status == 401 && told.starts_with("the token bob expired at "), "{status} {told}");

    let forged = OperatorToken::mint(&[7; MINT_BYTES], ann.authority());
    let (status, told, _) = problem(door.client(forged).status().await.unwrap_err());
    assert_eq!((status, told.as_str()), (401, "the token is wrong: this cluster knows no such token"));

    let foreign = OperatorToken::mint(&[7; MINT_BYTES], Digest::of(b"another cluster"));
    let shown = format!("Authorization: Bearer {}", foreign.reveal());
    let answer = door.curl(&["--header", &shown], "/api/v1/status").await;
    assert!(answer.contains(" 401 ") && answer.contains("the token is another cluster's"), "{answer}");
    door.close().await;
    cloud.end().await;
}

#[tokio::test]
async fn a_client_tells_nothing_to_servers_of_another_cluster() {
    let cloud = TestCloud::start().await;
    let ann = token(&cloud, "ann").await;
    let other = Arc::new(Authority::create(&ClusterId::new("other"), clock::now()).unwrap());
    let door = Door::open_with(&cloud, other, Lifetime::default()).await;
    let error = door.client(ann).status().await.unwrap_err();
    assert!(matches!(error, ClientError::Untrusted { why: Untrusted::OtherCluster, .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("different clusters"));
    door.close().await;
    cloud.end().await;
}

#[tokio::test]
async fn curl_gets_in_with_the_authoritys_certificate_and_a_token_and_not_otherwise() {
    let cloud = TestCloud::start().await;
    let door = Door::open(&cloud).await;
    let ann = token(&cloud, "ann").await;
    let bearer = format!("Authorization: Bearer {}", ann.reveal());
    let pem = door.client(ann.clone()).authority().await.unwrap();
    assert_eq!(pem, std::fs::read_to_string(door.ca()).unwrap(), "the client can tell the certificate");

    for version in ["--http1.1", "--http2"] {
        let answer = door.curl(&[version, "--header", &bearer], "/api/v1/status").await;
        let expected = if version == "--http2" { "HTTP/2 200" } else { "HTTP/1.1 200" };
        assert!(answer.starts_with(expected), "{version}: {answer}");
        let answer = door.curl(&[version], "/api/v1/status").await.to_lowercase();
        assert!(answer.contains(" 401"), "{version}: {answer}");
        assert!(answer.contains("www-authenticate: bearer") && answer.contains("\"hint\""), "{answer}");
    }
    for path in ["/healthz", "/metrics", "/api/openapi.json", "/nowhere", "/"] {
        let answer = door.curl(&[], path).await;
        assert!(answer.contains(" 401"), "{path}: {answer}");
    }
    let user = format!("x:{}", ann.reveal());
    let answer = door.curl(&["--user", &user], "/api/v1/status").await;
    assert!(answer.contains(" 401"), "a password is for git only: {answer}");
    let foreign_page =
        door.curl(&["--header", &bearer, "--header", "Origin: https://evil.example"], "/healthz").await;
    assert!(foreign_page.contains(" 403"), "{foreign_page}");
    door.close().await;
    cloud.end().await;
}

/// The agent's certificate is good, and good for nothing here.
#[tokio::test]
async fn a_certificate_of_an_agent_opens_nothing() {
    let cloud = TestCloud::start().await;
    let door = Door::open(&cloud).await;
    let authority = cloud.handle.authority();
    let key = PrivateKey::generate().unwrap();
    let peer = Peer::new(authority.certificate().cluster().clone(), Role::Agent, "a1").unwrap();
    let request = key.signing_request().unwrap();
    let issued = authority.issue(&request, &peer, clock::now(), Lifetime::default()).unwrap();
    let write = |name: &str, text: String| {
        let file = door.files.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    let (certificate, key) = (write("agent.pem", issued.to_pem()), write("agent.key", key.to_pem()));
    let answer = door.curl(&["--cert", &certificate, "--key", &key], "/api/v1/status").await;
    assert!(answer.contains(" 401"), "{answer}");
    door.close().await;
    cloud.end().await;
}

#[tokio::test]
async fn certificates_are_renewed_before_they_end() {
    let cloud = TestCloud::start().await;
    let lifetime = Lifetime { validity: Duration::from_secs(4), backdate: Duration::from_secs(1) };
    let door = Door::open_with(&cloud, Arc::clone(cloud.handle.authority()), lifetime).await;
    let client = door.client(token(&cloud, "ann").await);
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(8) {
        client.status().await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    door.close().await;
    cloud.end().await;
}

#[tokio::test]
async fn whoever_says_nothing_delays_nobody() {
    let cloud = TestCloud::start().await;
    let door = Door::open(&cloud).await;
    let client = door.client(token(&cloud, "ann").await);
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(door.address).await.unwrap());
    }
    let asked = tokio::time::timeout(Duration::from_secs(5), client.status()).await;
    asked.expect("an answer in time").unwrap();
    drop(silent);
    door.close().await;
    cloud.end().await;
}

#[tokio::test]
async fn a_client_in_clear_is_told_that_the_door_speaks_tls() {
    let cloud = TestCloud::start().await;
    let door = Door::open(&cloud).await;
    let error = Client::new(&format!("http://{}", door.address)).unwrap().status().await.unwrap_err();
    assert!(error.hint().unwrap().contains("https://"), "{error:?}");
    let plain = Client::with_token(&format!("https://{}", cloud.address), Some(token(&cloud, "ann").await));
    let error = plain.unwrap().status().await.unwrap_err();
    assert!(
        matches!(error, ClientError::Handshake { .. }) && error.hint().unwrap().contains("api_tls"),
        "{error:?}"
    );
    door.close().await;
    cloud.end().await;
}
