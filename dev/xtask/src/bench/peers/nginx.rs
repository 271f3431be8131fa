//! nginx as a proxy with two workers and keep-alive on both sides.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;

use crate::bench::process::{Server, await_some};

const PROGRAM: &str = "/usr/sbin/nginx";

/// What a proxy tells a service of its client. Kogge's router sets the same, so both have the same work.
const HEADERS: &str = "proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; \
    proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $host; \
    proxy_set_header X-Forwarded-Port $server_port; proxy_set_header X-Request-Id $request_id;";

/// See the module.
pub(crate) struct Nginx {
    server: Server,
    address: String,
    _place: PathBuf,
}

impl Nginx {
    /// Passes everything on to these upstreams (`HOST:PORT`).
    pub(crate) fn proxy(place: &Path, upstreams: &[String]) -> anyhow::Result<Self> {
        std::fs::create_dir_all(place)?;
        let address = format!("127.0.0.1:{}", free_port()?);
        let servers: String = upstreams.iter().map(|upstream| format!("server {upstream};\n")).collect();
        let file = place.join("nginx.conf");
        std::fs::write(
            &file,
            format!(
                "daemon off; worker_processes 2; pid {pid}; error_log stderr error;
events {{ worker_connections 4096; }}
http {{
{paths}
access_log off; keepalive_requests 100000000;
upstream app {{ {servers} keepalive 128; keepalive_requests 100000000; }}
server {{
  listen {address};
  location / {{ proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection \"\"; {HEADERS} }}
}}
}}
",
                pid = place.join("pid").display(),
                paths = temporary_paths(&place.to_string_lossy()),
            ),
        )?;
        let talk = place.join("talk");
        let mut command = Command::new(PROGRAM);
        command.arg("-p").arg(place).arg("-c").arg(&file).arg("-e").arg("stderr");
        let mut server = Server::start(&mut command, &talk)?;
        await_some("nginx", || {
            server.must_live(&talk)?;
            Ok(TcpStream::connect(&address).ok())
        })?;
        Ok(Self { server, address, _place: place.to_owned() })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Master and workers.
    pub(crate) fn processes(&self) -> Vec<u32> {
        self.server.family()
    }

    /// Reads its configuration again, as after a change of routes.
    pub(crate) fn reload(&self) -> anyhow::Result<()> {
        self.server.signal(Signal::SIGHUP)
    }
}

/// A port nobody has.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Where nginx keeps what does not fit into memory.
fn temporary_paths(place: &str) -> String {
    let names = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    names.map(|name| format!("{name}_temp_path {place}/{name};")).join(" ")
}

/// A shell line for a service: a web server with one worker on `$PORT` that answers everything with a small page. A
/// plain command has a `/tmp` of its own, and may write nowhere else.
pub(crate) fn upstream_line() -> String {
    const PLACE: &str = "/tmp/upstream";
    let configuration = format!(
        "daemon off; master_process off; pid {PLACE}/pid; error_log stderr error; \
         events {{ worker_connections 4096; }} \
         http {{ {paths} access_log off; keepalive_requests 100000000; keepalive_timeout 600s; \
         server {{ listen 127.0.0.1:$PORT; location / {{ return 200 'hello from the bench'; }} }} }}",
        paths = temporary_paths(PLACE)
    );
    let start = format!("exec {PROGRAM} -p {PLACE} -e stderr -c {PLACE}/conf");
    format!("mkdir -p {PLACE} && echo \"{configuration}\" > {PLACE}/conf && {start}")
}
