//! Getting in, and being kept out.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kogge_host::tasks::{OnPanic, TaskGroup};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::{Commit, Consistency, Store};

use super::super::open::OpenError;
use super::super::wire::Op;
use super::server::{free_port, fresh_path, shared, standalone};
use super::{Config, Options, ZooKeeper, open, put};

async fn refused(config: &Config) -> OpenError {
    ZooKeeper::open(config, Options::default()).await.unwrap_err()
}

fn with_user(config: &Config, credentials: &str) -> Config {
    let host = &config.hosts[0];
    format!("zk://{credentials}@{host}{}", config.root).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ensemble_that_is_not_there_is_named_within_the_deadline() {
    let config = fresh_path(&[free_port(), free_port()]);
    let begun = Instant::now();
    let error = refused(&config).await;
    assert!(begun.elapsed() < Duration::from_secs(12), "took {:?}", begun.elapsed());
    let text = error.to_string();
    assert!(matches!(error, OpenError::Unreachable { .. }) && text.contains("refused"), "{text}");
    assert!(config.hosts.iter().all(|host| text.contains(&host.to_string())), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_in_without_the_password_and_no_message_repeats_it() {
    // Not below what other tests use: who makes a node with a password owns it.
    let config = Config { root: "/owned/store".to_owned(), ..shared().await.fresh() };
    let owner = with_user(&config, "kogge:xyzzy");
    let store = open(&owner).await;
    put(&store, "k", "1").await;
    for wrong in [with_user(&config, "kogge:plugh"), with_user(&config, "other:xyzzy"), config.clone()] {
        let begun = Instant::now();
        let error = refused(&wrong).await;
        let text = format!("{error} {error:?}");
        assert!(matches!(error, OpenError::NotAllowed { .. }), "{text}");
        assert!(!text.contains("xyzzy") && !text.contains("plugh"), "{text}");
        assert!(begun.elapsed() < Duration::from_secs(5), "at once");
    }
    assert!(!format!("{store:?} {:?}", store.engine).contains("xyzzy"), "nothing prints it");
    let again = open(&owner).await;
    let leadership = again.campaign("only", Bytes::new()).await.unwrap();
    again.commit(Commit::new().when(leadership.guard()).put("k", "2")).await.unwrap();
}

/// Answers `srvr` as an old member would, and carries everything else to a real one.
async fn pretend_old(port: u16, tasks: &TaskGroup) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    let (group, token) = (tasks.clone(), tasks.token());
    let accept = async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let serve = async move {
                let mut word = [0; 4];
                client.read_exact(&mut word).await.unwrap();
                if &word == b"srvr" {
                    let answer = b"Zookeeper version: 3.4.13-5--1, built on 06/2019\nMode: standalone\n";
                    return client.write_all(answer).await.unwrap();
                }
                let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                server.write_all(&word).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            };
            group.spawn("serve", OnPanic::Log, serve);
        }
    };
    tasks.spawn("accept", OnPanic::Log, async move {
        tokio::select! {
            () = accept => {}
            () = token.cancelled() => {}
        }
    });
    own
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_from_before_3_6_is_refused() {
    let tasks = TaskGroup::new("pretender");
    let port = pretend_old(shared().await.port, &tasks).await;
    let error = refused(&fresh_path(&[port])).await;
    let expected = format!("zookeeper at 127.0.0.1:{port} has version 3.4.13, the oldest that works is 3.6");
    assert_eq!(error.to_string(), expected);
    tasks.token().cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_newer_program_wrote_and_what_is_no_store_is_left_alone() {
    let config = shared().await.fresh();
    let store = open(&config).await;
    put(&store, "k", "1").await;
    let head = store.engine.layout.head();
    for (data, expected) in [(&[2u8][..], "format 2"), (b"\0something", "malformed")] {
        let set = Op::SetData { path: head.clone(), data: Bytes::copy_from_slice(data), version: -1 };
        store.engine.session.multi(vec![set]).await.unwrap();
        let text = refused(&config).await.to_string();
        assert!(text.contains(expected) && text.contains(&config.root), "{text}");
    }
    // Who has it open goes on answering from its copy, and says why it does not write.
    let stale = store.get(&"k".into(), Consistency::Stale).await.unwrap();
    assert_eq!(&stale.entry.unwrap().value[..], b"1");
    let error = store.commit(Commit::new().put("k", "2")).await.unwrap_err();
    assert!(error.to_string().contains("malformed"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_processes_may_make_the_store_at_once() {
    let config = shared().await.fresh();
    let stores = futures_util::future::join_all((0..6).map(|_| open(&config))).await;
    for (n, store) in stores.iter().enumerate() {
        put(store, &format!("k{n}"), "x").await;
    }
    assert_eq!(stores[0].status().await.unwrap().keys, 6);
}

/// Writes an authority, a certificate of the server, and one of ours.
fn make_certificates(directory: &Path) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(directory.join("ca.pem"), issuer.pem()).unwrap();
    for (name, host) in [("server", "127.0.0.1"), ("client", "kogge.test")] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let pem = params.signed_by(&key, &issuer).unwrap().pem();
        std::fs::write(directory.join(format!("{name}.pem")), format!("{}{pem}", key.serialize_pem()))
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_with_certificates_on_both_sides_works_and_without_ours_nobody_gets_in() {
    let directory = tempfile::tempdir().unwrap();
    make_certificates(directory.path());
    let (port, at) = (free_port(), directory.path().display());
    let mut server = standalone(
        &directory.path().join("data"),
        &format!(
            "secureClientPort={port}\nsecureClientPortAddress=127.0.0.1\n\
             serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory\n\
             ssl.keyStore.location={at}/server.pem\nssl.keyStore.type=PEM\n\
             ssl.trustStore.location={at}/ca.pem\nssl.trustStore.type=PEM\nssl.clientAuth=need\n"
        ),
    );
    server.start();
    server.serves().await;
    let url = format!("zks://user:secret@127.0.0.1:{port}/kogge?ca={at}/ca.pem");
    let whole: Config = format!("{url}&cert={at}/client.pem&key={at}/client.pem").parse().unwrap();
    let store = open(&whole).await;
    put(&store, "k", "over tls").await;
    let lookup = store.get(&"k".into(), Consistency::Linearizable).await.unwrap();
    assert_eq!(&lookup.entry.unwrap().value[..], b"over tls");
    assert_eq!(store.status().await.unwrap().engine, "zookeeper");
    let error = refused(&url.parse().unwrap()).await;
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error}");
    let other = format!("{url}&cert={at}/none.pem&key={at}/none.pem").parse().unwrap();
    let error = refused(&other).await;
    assert!(matches!(error, OpenError::Tls(_)), "{error}");
}
