//! A cloud for one test.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kogge_api::Api;
use kogge_client::Client;
use kogge_control::{Config, Facts, Handle, Ports, ServerRecord};
use kogge_host::clock;
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_model::view::{DeployRequest, DoorsView};
use kogge_store::backend::redb::{Embedded, Options};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::agent;
use crate::ports::{EchoTasks, IdleRouter, MemoryImages};
use crate::troubled_store::TroubledStore;

pub(crate) struct TestCloud {
    pub(crate) address: SocketAddr,
    pub(crate) client: Client,
    pub(crate) handle: Handle,
    pub(crate) store: Arc<TroubledStore>,
    group: TaskGroup,
    _data: TempDir,
}

/// An answer as it came over the wire.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The fields that break rules, of a problem document.
    pub(crate) fn faults(&self) -> Vec<String> {
        assert!(self.head.contains("application/problem+json"), "{self:?}");
        let problem = self.json();
        let faults = problem["faults"].as_array().cloned().unwrap_or_default();
        faults.iter().map(|fault| fault["field"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

impl TestCloud {
    pub(crate) async fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = format!("http://{address}");
        let group = TaskGroup::new("test");
        let store = Embedded::open(&data.path().join("store"), Options::default()).await.unwrap();
        let store = Arc::new(TroubledStore::new(Arc::new(store)));
        let ports = Ports {
            agents: agent::start(&group),
            tasks: Arc::new(EchoTasks),
            images: Arc::new(MemoryImages::default()),
            routing: tokio::sync::watch::channel(Arc::default()).0,
            drains: Arc::new(IdleRouter),
        };
        let config = Config {
            domain: "localhost".into(),
            router_port: 80,
            api_url: url.clone(),
            is_alone: true,
            api_tls_url: Some("https://kogge.test:7400".into()),
            keep_revisions: 100,
        };
        let facts = Facts {
            doors: DoorsView([("api".to_owned(), url.clone())].into()),
            data_dir: data.path().display().to_string(),
            server: ServerRecord {
                name: "server".into(),
                door: None,
                api: url.clone(),
                version: "1.2.3".into(),
            },
            served: None,
            ends_tasks: true,
            started_at: clock::now(),
            version: "1.2.3".into(),
        };
        let handle = kogge_control::start(config, store.clone(), ports, facts, &group).await.unwrap();
        let router = kogge_api::router(Api { handle: handle.clone(), tasks: group.clone() });
        let token = group.token();
        group.spawn("door", OnPanic::Log, async move {
            let service = router.into_make_service_with_connect_info::<SocketAddr>();
            axum::serve(listener, service).with_graceful_shutdown(token.cancelled_owned()).await.unwrap();
        });
        Self { address, client: Client::new(&url).unwrap(), handle, store, group, _data: data }
    }

    /// Sends a request for `operation` (`GET /api/v1/apps/{app}`), its placeholders filled in order.
    pub(crate) async fn call(
        &self,
        operation: &str,
        fill: &[&str],
        query: &str,
        body: Option<Value>,
    ) -> Answer {
        let (method, template) = operation.split_once(' ').unwrap();
        let mut path = template.to_owned();
        for value in fill {
            let (before, rest) = path.split_once('{').unwrap();
            path = format!("{before}{value}{}", rest.split_once('}').unwrap().1);
        }
        let body = body.map(|body| body.to_string());
        let media_type = if body.is_some() { "Content-Type: application/json\r\n" } else { "" };
        let body = body.unwrap_or_default();
        let length = body.len();
        let host = self.address;
        self.raw(&format!(
            "{method} {path}{query} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{media_type}\
             Content-Length: {length}\r\n\r\n{body}"
        ))
        .await
    }

    /// Sends bytes, reads until the server closes.
    pub(crate) async fn raw(&self, request: &str) -> Answer {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(20), socket.read_to_end(&mut bytes)).await;
        read.expect("the server answers and closes in time").unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Answer { status, head: head.to_lowercase(), body: dechunk(head, body) }
    }

    /// The head of an answer that does not end by itself.
    pub(crate) async fn head(&self, operation: &str) -> String {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let request = format!("{operation} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = tokio::time::timeout(Duration::from_secs(20), socket.read_u8()).await;
            head.push(byte.expect("the head comes in time").unwrap());
        }
        String::from_utf8(head).unwrap().to_lowercase()
    }

    /// A service that runs a command, deployed to the end.
    pub(crate) async fn with_service(&self, name: &str, instances: u32) {
        let wish = DeployRequest {
            name: Some(name.into()),
            command: Some("serve".into()),
            ports: Some(vec![80]),
            instances: Some(instances),
            ..DeployRequest::default()
        };
        let change = self.client.deploy(&wish, false).await.unwrap();
        let id = &change.deployments[0].deployment;
        let deployment = self.client.deployment(id, Duration::from_secs(20)).await.unwrap();
        assert!(deployment.state.is_over(), "{deployment:?}");
        assert_eq!(deployment.healthy, instances, "{deployment:?}");
    }

    /// Waits until something holds.
    pub(crate) async fn until(&self, holds: impl AsyncFn() -> bool) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while !holds().await {
            assert!(tokio::time::Instant::now() < deadline, "it does not come to hold");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn end(self) {
        let laggards = self.group.shutdown(Duration::from_secs(20)).await;
        assert!(laggards.is_empty(), "{laggards:?}");
    }
}

fn dechunk(head: &str, body: &str) -> String {
    if !head.to_lowercase().contains("transfer-encoding: chunked") {
        return body.to_owned();
    }
    let (mut whole, mut rest) = (String::new(), body);
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        whole.push_str(&after[..size]);
        rest = after[size..].trim_start_matches("\r\n");
    }
    whole
}
