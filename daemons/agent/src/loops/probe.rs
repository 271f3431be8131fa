//! Probes: one question to a task, one answer within the time.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use kogge_model::reason::Reason;
use kogge_model::task::Exit;
use kogge_node::ProbeTarget;
use kogge_shim::client::{Client, null_stdio};
use kogge_shim::protocol::ExecRequest;
use tokio::net::TcpStream;

/// Asks once. An answer that does not come in time is a failure.
pub(crate) async fn ask(shim: &Client, target: ProbeTarget, timeout: Duration) -> Result<(), Reason> {
    let asking = async {
        match target {
            ProbeTarget::Http { address, path } => http(address, &path).await,
            ProbeTarget::Tcp { address } => connect(address).await.map(drop),
            ProbeTarget::Command { argv } => command(shim, argv).await,
        }
    };
    match tokio::time::timeout(timeout, asking).await {
        Ok(result) => result,
        Err(_) => Err(Reason::new(format!("no answer within {} ms", timeout.as_millis()))),
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, Reason> {
    let stream = TcpStream::connect(address).await;
    stream.map_err(|error| Reason::new(format!("cannot connect to {address}: {error}")))
}

/// `GET path`: a status from 200 to 399 is a success.
async fn http(address: SocketAddr, path: &str) -> Result<(), Reason> {
    let stream = connect(address).await?;
    let asked = format!("GET {path} on {address}");
    let failed = |error: &dyn std::fmt::Display| Reason::new(format!("{asked}: {error}"));
    let request = http::Request::get(path)
        .header(http::header::HOST, address.to_string())
        .header(http::header::USER_AGENT, concat!("kogge-probe/", env!("CARGO_PKG_VERSION")))
        .header(http::header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| failed(&error))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    let mut response = pin!(sender.send_request(request));
    let mut connection = pin!(connection);
    let response = tokio::select! {
        response = &mut response => response,
        // The answer may have come together with the end of the connection.
        _ = &mut connection => response.await,
    };
    let status = response.map_err(|error| failed(&error))?.status();
    if (200..400).contains(&status.as_u16()) { Ok(()) } else { Err(failed(&format!("status {status}"))) }
}

/// Runs the command inside the container; it is killed when the time is up.
async fn command(shim: &Client, argv: Vec<String>) -> Result<(), Reason> {
    let told = argv.join(" ");
    let failed = |error: &dyn std::fmt::Display| Reason::new(format!("{told}: {error}"));
    let stdio = null_stdio().map_err(|error| failed(&error))?;
    let request = ExecRequest { args: argv, ..ExecRequest::default() };
    let mut running = shim.exec(request, Some(stdio)).await.map_err(|error| failed(&error))?;
    match running.wait().await.map_err(|error| failed(&error))? {
        Exit::Code { code: 0 } => Ok(()),
        exit => Err(failed(&exit)),
    }
}

#[cfg(test)]
mod tests {
    use kogge_host::tasks::{OnPanic, TaskGroup};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that gives one answer to everyone.
    async fn server(group: &TaskGroup, answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let token = group.token();
        group.spawn("server", OnPanic::Log, async move {
            let serve = async {
                loop {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    let _ = stream.read(&mut [0; 1024]).await;
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            };
            tokio::select! { () = serve => {}, () = token.cancelled() => {} }
        });
        address
    }

    async fn asked(target: ProbeTarget) -> Result<(), String> {
        ask(&Client::new("/nowhere"), target, Duration::from_millis(500)).await.map_err(|reason| reason.text)
    }

    #[tokio::test]
    async fn an_http_probe_goes_by_the_status() {
        let group = TaskGroup::new("test");
        let path = || "/up?deep=1".to_owned();
        for (answer, is_ok) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", true),
            ("HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n", true),
            ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", false),
            ("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\n\r\n", true),
            ("", false),
            ("nonsense\r\n\r\n", false),
        ] {
            let address = server(&group, answer).await;
            let result = asked(ProbeTarget::Http { address, path: path() }).await;
            assert_eq!(result.is_ok(), is_ok, "{answer:?}: {result:?}");
        }
        group.shutdown(Duration::from_secs(5)).await;
    }

    #[tokio::test]
    async fn a_probe_without_an_answer_ends_in_time_and_says_so() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let hung = asked(ProbeTarget::Http { address, path: "/".to_owned() }).await;
        assert_eq!(hung.unwrap_err(), "no answer within 500 ms");
        assert!(asked(ProbeTarget::Tcp { address }).await.is_ok());
        drop(listener);
        let refused = asked(ProbeTarget::Tcp { address }).await.unwrap_err();
        assert!(refused.starts_with(&format!("cannot connect to {address}")), "{refused}");
    }
}
