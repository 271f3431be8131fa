//! Who may talk to etcd, and what those hear who may not.

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::{Commit, Consistency, Store};

use super::super::{ClientFiles, Config, Endpoint, Etcd, OpenError, TlsFiles, User};
use super::server::{Server, ServerTls};

/// A certificate authority with its files.
struct Authority {
    directory: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { directory: tempfile::tempdir().unwrap(), issuer };
        std::fs::write(authority.file("ca.pem"), authority.issuer.pem()).unwrap();
        authority
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Certificate and key in files.
    fn issue(&self, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let (chain, private) = (self.file(&format!("{name}.pem")), self.file(&format!("{name}.key")));
        std::fs::write(&chain, certificate.pem()).unwrap();
        std::fs::write(&private, key.serialize_pem()).unwrap();
        (chain, private)
    }
}

async fn fault(config: Config) -> OpenError {
    let (begun, deadline) = (Instant::now(), config.request_deadline);
    let error = Etcd::open(config).await.map(drop).unwrap_err();
    assert!(begun.elapsed() < deadline * 2 + Duration::from_secs(1), "no hang: {:?}", begun.elapsed());
    error
}

/// Two words, as most of etcd's administrative calls take.
#[derive(Clone, PartialEq, prost::Message)]
struct Words {
    #[prost(string, tag = "1")]
    first: String,
    #[prost(string, tag = "2")]
    second: String,
}

/// A role's right on the keys under a prefix.
#[derive(Clone, PartialEq, prost::Message)]
struct Grant {
    #[prost(string, tag = "1")]
    role: String,
    #[prost(message, tag = "2")]
    right: Option<Right>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Right {
    /// 2 is reading and writing.
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    key: String,
    #[prost(string, tag = "3")]
    range_end: String,
}

/// What is of no interest in an answer is skipped.
#[derive(Clone, PartialEq, prost::Message)]
struct Nothing {}

async fn administer<M: prost::Message + 'static>(store: &Etcd, call: &'static str, message: M) {
    let line = store.link.own_line().await.unwrap();
    let mut grpc = tonic::client::Grpc::with_origin(line.connection().clone(), line.connection().origin());
    grpc.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static(call);
    let codec = tonic_prost::ProstCodec::<M, Nothing>::default();
    grpc.unary(line.request(message), path, codec).await.unwrap();
}

/// Makes the users `root` and `cloud`, the second with rights on `/cloud:` only, and asks for passwords from now on.
async fn demand_passwords(store: &Etcd) {
    let words = |first: &str, second: &str| Words { first: first.to_owned(), second: second.to_owned() };
    let right = Right { kind: 2, key: "/cloud:".to_owned(), range_end: "/cloud;".to_owned() };
    administer(store, "/etcdserverpb.Auth/UserAdd", words("root", "toor")).await;
    administer(store, "/etcdserverpb.Auth/UserGrantRole", words("root", "root")).await;
    administer(store, "/etcdserverpb.Auth/RoleAdd", words("cloud", "")).await;
    let grant = Grant { role: "cloud".to_owned(), right: Some(right) };
    administer(store, "/etcdserverpb.Auth/RoleGrantPermission", grant).await;
    administer(store, "/etcdserverpb.Auth/UserAdd", words("cloud", "p@ss")).await;
    administer(store, "/etcdserverpb.Auth/UserGrantRole", words("cloud", "cloud")).await;
    administer(store, "/etcdserverpb.Auth/AuthEnable", words("", "")).await;
}

fn user(name: &str, password: &str) -> Option<User> {
    Some(User { name: name.to_owned(), password: password.to_owned() })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_and_passwords_are_spoken_and_their_faults_told_apart() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = Server::new();
    let (certificate, key) = authority.issue(&server.client().ip().to_string());
    let server = server.with_tls(ServerTls { certificate, key, clients: Some(authority.file("ca.pem")) });
    server.start();
    let (certificate, key) = authority.issue("kogge");
    let client = Some(ClientFiles { certificate, key });
    let tls = TlsFiles { authority: authority.file("ca.pem"), client };
    let open = Config { tls: Some(tls.clone()), ..server.config() };
    let admin = Etcd::open(open.clone()).await.unwrap();
    let cloud = Config { user: user("cloud", "p@ss"), ..open.clone() };
    let early = Etcd::open(cloud.clone()).await.expect("a user is no harm where none is asked for");
    demand_passwords(&admin).await;

    // Those who were there before are asked now; so are their watches.
    let revision = early.commit(Commit::new().put("k", "x")).await.unwrap();
    let store = Etcd::open(cloud.clone()).await.unwrap();
    let mut watch = store.watch("k".into(), revision);
    assert_eq!(watch.next().await.unwrap().revision(), Some(revision));
    assert_eq!(store.status().await.unwrap().keys, 1);
    let leading = store.campaign("leader", bytes::Bytes::new()).await.unwrap();
    store.commit(Commit::new().when(leading.guard()).put("k", "y")).await.unwrap();

    // A member that starts again has forgotten all tokens.
    server.kill();
    server.start();
    let found = store.get(&"k".into(), Consistency::Linearizable).await.unwrap();
    assert_eq!(found.entry.unwrap().value, "y");

    let quick = |config: Config| Config { request_deadline: Duration::from_secs(6), ..config };
    let wrong = fault(Config { user: user("cloud", "guess"), ..open.clone() }).await;
    assert!(matches!(wrong, OpenError::WrongCredentials { .. }), "{wrong:?}");
    assert_eq!(wrong.to_string(), "etcd does not know user \"cloud\" with this password");
    let nobody = fault(open.clone()).await.to_string();
    assert!(nobody.starts_with("the user our certificate names may not read"), "{nobody}");
    let elsewhere = fault(Config { prefix: "other".to_owned(), ..cloud.clone() }).await;
    assert_eq!(elsewhere.to_string(), "user \"cloud\" may not read the keys under \"/other:\" in etcd");
    for (files, words) in [
        (Some(TlsFiles { authority: stranger.file("ca.pem"), ..tls.clone() }), "invalid peer certificate"),
        (Some(TlsFiles { client: None, ..tls.clone() }), "ertificate"),
        (None, "wants TLS"),
    ] {
        let told = fault(quick(Config { tls: files, ..cloud.clone() })).await.to_string();
        assert!(told.contains(words) && !told.contains("p@ss"), "{told}");
    }
    let missing =
        fault(Config { tls: Some(TlsFiles { authority: "/none".into(), client: None }), ..open }).await;
    assert!(matches!(missing, OpenError::Tls(_)), "{missing:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_password_is_told_that_one_is_needed() {
    let server = Server::new();
    server.start();
    let store = Etcd::open(server.config()).await.unwrap();
    demand_passwords(&store).await;
    let nobody = fault(server.config()).await;
    assert!(matches!(nobody, OpenError::NoUser), "{nobody:?}");
    let late = store.commit(Commit::new().put("k", "x")).await.unwrap_err().to_string();
    assert_eq!(late, "state engine unavailable: etcd asks for a user, and none is configured");
    let stranger = fault(Config { user: user("nobody", "p@ss"), ..server.config() }).await;
    assert!(matches!(stranger, OpenError::WrongCredentials { .. }), "{stranger:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_that_cannot_be_reached_is_told_within_the_deadline() {
    let refuses = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // Takes connections and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = |port| Endpoint { host: "127.0.0.1".to_owned(), port };
    let endpoints = vec![endpoint(refuses.port()), endpoint(silent.local_addr().unwrap().port())];
    let config = Config { request_deadline: Duration::from_secs(2), ..Config::new(endpoints, "cloud") };
    let told = fault(config).await.to_string();
    assert!(told.starts_with("cannot reach etcd: "), "{told}");
    assert!(told.contains("refused") || told.contains("in time"), "{told}");
    let nowhere = fault(Config::new(Vec::new(), "cloud")).await;
    assert!(matches!(nowhere, OpenError::Config), "{nowhere:?}");
}
