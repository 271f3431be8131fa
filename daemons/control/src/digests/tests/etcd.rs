//! Copies over a real etcd.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use kogge_store::backend::etcd::{Config, Endpoint, Etcd};

use super::*;

/// An etcd of one member, gone when the test is.
struct Server {
    process: Child,
    config: Config,
    _directory: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        // In memory where there is room for it: what is tested is not etcd's disk.
        let memory = Path::new("/dev/shm");
        let directory = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let directory = directory.unwrap();
        // On a loopback address of this process alone: nobody else takes its ports.
        let id = u16::try_from(std::process::id() % 50_000).unwrap().to_be_bytes();
        let ip = Ipv4Addr::new(127, 11 + id[0], id[1], 1);
        let listeners = [(); 2].map(|()| TcpListener::bind((ip, 0)).unwrap());
        let [client, peer] = listeners.map(|listener| listener.local_addr().unwrap());
        let [client_url, peer_url] = [client, peer].map(|address| format!("http://{address}"));
        // The process must not outlive a test run that is killed.
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "etcd", "--name", "alone", "--data-dir"])
            .arg(directory.path())
            .args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url])
            .args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url])
            .args(["--initial-cluster", &format!("alone={peer_url}")])
            .args(["--heartbeat-interval", "10", "--election-timeout", "100", "--logger", "zap"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("etcd is installed: dev/packages test");
        let endpoint = Endpoint { host: ip.to_string(), port: client.port() };
        let config =
            Config { request_deadline: Duration::from_secs(20), ..Config::new(vec![endpoint], "cloud") };
        Self { process, config, _directory: directory }
    }

    async fn cloud(&self, prefix: &str) -> Arc<dyn Store> {
        Arc::new(Etcd::open(Config { prefix: prefix.to_owned(), ..self.config.clone() }).await.unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[tokio::test]
async fn g5_over_etcd_only_a_damaged_copy_is_read_anew() {
    let server = Server::start();
    let neighbour = server.cloud("neighbour").await;
    let stores = [server.cloud("cloud").await, server.cloud("cloud").await];
    engines::find_out_only_the_damaged_copy(stores, &neighbour).await;
}
