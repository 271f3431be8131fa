//! Copies over a real ZooKeeper.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use kogge_store::backend::zookeeper::{Options, ZooKeeper};

use super::*;

const JAR: &str = "/usr/share/java/zookeeper.jar";

/// A ZooKeeper of one member, gone when the test is.
struct Server {
    process: Child,
    address: String,
    _directory: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        assert!(std::path::Path::new(JAR).exists(), "ZooKeeper is missing: dev/packages test");
        let directory = tempfile::tempdir().unwrap();
        // On a loopback address of this process alone: nobody else takes its ports.
        let id = u16::try_from(std::process::id() % 50_000).unwrap().to_be_bytes();
        let ip = Ipv4Addr::new(127, 11 + id[0], id[1], 2);
        let port = TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap().port();
        let data = directory.path().display();
        let config = directory.path().join("zoo.cfg");
        let text = format!(
            "tickTime=200\ndataDir={data}\nclientPortAddress={ip}\nclientPort={port}\nmaxClientCnxns=0\n"
        );
        std::fs::write(&config, text).unwrap();
        // The process must not outlive a test run that is killed.
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "java", "-Xms32m", "-Xmx256m", "-XX:+UseSerialGC"])
            .args(["-XX:TieredStopAtLevel=1", "-Dzookeeper.admin.enableServer=false", "-cp", JAR])
            .arg("org.apache.zookeeper.server.ZooKeeperServerMain")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Java is installed: dev/packages test");
        Self { process, address: format!("{ip}:{port}"), _directory: directory }
    }

    /// A client of its own for the cloud at `path`, as soon as the server answers.
    async fn cloud(&self, path: &str) -> Arc<dyn Store> {
        let config = format!("zk://{}/{path}", self.address).parse().unwrap();
        let begun = Instant::now();
        loop {
            match ZooKeeper::open(&config, Options::default()).await {
                Ok(store) => return Arc::new(store),
                Err(error) => assert!(begun.elapsed() < DEADLINE, "it does not serve: {error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[tokio::test]
async fn g5_over_zookeeper_only_a_damaged_copy_is_read_anew() {
    let server = Server::start();
    let neighbour = server.cloud("neighbour").await;
    let stores = [server.cloud("cloud").await, server.cloud("cloud").await];
    engines::find_out_only_the_damaged_copy(stores, &neighbour).await;
}
