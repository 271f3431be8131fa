//! etcd (Debian's etcd-server) and a client that keeps a number of puts in flight on one connection.
//!
//! The client speaks gRPC over HTTP/2 as far as `KV.Put` needs it, with nothing compressed. Its work does not count:
//! only the server's processor time does.

use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::bench::process::{PATIENCE, Server, await_some, cpu_seconds};

const PROGRAM: &str = "/usr/bin/etcd";
const VALUE_BYTES: usize = 256;
/// Keys are written again and again, as a cloud's are.
const KEYS: u32 = 1_000;

/// See the module.
pub(crate) struct Etcd {
    server: Server,
    address: String,
}

/// What a load made of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) per_second: f64,
    pub(crate) per_cpu: f64,
}

impl Etcd {
    /// Starts one with its data in that directory, and waits until it takes a write.
    pub(crate) fn start(directory: &Path) -> anyhow::Result<Self> {
        let [client, peer] = [free_address()?, free_address()?];
        let mut command = member("default", directory, &client, &peer, &format!("default=http://{peer}"));
        let talk: PathBuf = directory.with_extension("talk");
        let mut server = Server::start(&mut command, &talk)?;
        await_some("etcd", || {
            server.must_live(&talk)?;
            let one = Connection::open(&client).and_then(|mut connection| connection.put(1, Duration::ZERO));
            Ok(one.ok())
        })?;
        Ok(Self { server, address: client })
    }

    /// Keeps `clients` puts in flight for that long.
    pub(crate) fn load(&self, clients: u32, time: Duration) -> anyhow::Result<Seen> {
        let mut connection = Connection::open(&self.address)?;
        connection.put(clients, Duration::from_millis(200))?;
        let family = self.server.family();
        let (begun, before) = (Instant::now(), cpu_seconds(&family));
        let writes = f64::from(connection.put(clients, time)?);
        let (wall, used) = (begun.elapsed().as_secs_f64(), cpu_seconds(&family) - before);
        ensure!(used > 0.0, "etcd used no processor time");
        Ok(Seen { per_second: writes / wall, per_cpu: writes / used })
    }
}

/// A member of the ensemble `cluster`, not started yet. Addresses are a host and a port.
pub(crate) fn member(name: &str, directory: &Path, client: &str, peer: &str, cluster: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["--name", name, "--data-dir"]).arg(directory);
    for (option, address) in [
        ("--listen-client-urls", client),
        ("--advertise-client-urls", client),
        ("--listen-peer-urls", peer),
        ("--initial-advertise-peer-urls", peer),
    ] {
        command.arg(option).arg(format!("http://{address}"));
    }
    command.args(["--initial-cluster", cluster]);
    // Debian's build refuses some processors unless told otherwise.
    command.env("ETCD_UNSUPPORTED_ARCH", std::env::consts::ARCH);
    command
}

pub(crate) fn free_address() -> anyhow::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// An HTTP/2 connection (RFC 9113).
struct Connection {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
    out: Vec<u8>,
    next_stream: u32,
    head: Vec<u8>,
    sent: u32,
    received_bytes: u32,
    answered: u32,
    ended: u32,
}

struct Frame {
    kind: u8,
    flags: u8,
    payload: Vec<u8>,
}

impl Connection {
    fn open(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).context("cannot reach etcd")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let reader = BufReader::new(stream.try_clone()?);
        let mut connection = Self {
            stream,
            reader,
            out: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            next_stream: 1,
            head: head(address),
            sent: 0,
            received_bytes: 0,
            answered: 0,
            ended: 0,
        };
        connection.frame(SETTINGS, 0, 0, &[]);
        Ok(connection)
    }

    /// Puts with so many in flight until the time is over, then waits for those; at least one each. Tells how many
    /// were acknowledged.
    fn put(&mut self, in_flight: u32, time: Duration) -> anyhow::Result<u32> {
        let begun = Instant::now();
        (0..in_flight).for_each(|_| self.request());
        let (mut open, mut done) = (in_flight, 0);
        while open > 0 {
            if self.reader.buffer().is_empty() {
                self.stream.write_all(&self.out).context("cannot send to etcd")?;
                self.out.clear();
            }
            if self.receive()? {
                done += 1;
                if begun.elapsed() < time { self.request() } else { open -= 1 }
            }
        }
        Ok(done)
    }

    fn request(&mut self) {
        let (id, head) = (self.next_stream, std::mem::take(&mut self.head));
        self.frame(HEADERS, END_HEADERS, id, &head);
        self.head = head;
        let message = put_request(self.sent % KEYS);
        self.frame(DATA, END_STREAM, id, &message);
        self.next_stream += 2;
        self.sent += 1;
    }

    /// Takes one frame; whether it acknowledged a put.
    fn receive(&mut self) -> anyhow::Result<bool> {
        let frame = self.read()?;
        match frame.kind {
            DATA => {
                self.answered += 1;
                self.received_bytes += u32::try_from(frame.payload.len())?;
                if self.received_bytes > 16_384 {
                    let increment = self.received_bytes.to_be_bytes();
                    self.frame(WINDOW_UPDATE, 0, 0, &increment);
                    self.received_bytes = 0;
                }
                Ok(false)
            }
            HEADERS if frame.flags & END_STREAM != 0 => {
                self.ended += 1;
                // Only a good answer has a body before its trailers.
                ensure!(self.answered >= self.ended, "etcd refused a put");
                Ok(true)
            }
            SETTINGS if frame.flags & ACK == 0 => {
                self.frame(SETTINGS, ACK, 0, &[]);
                Ok(false)
            }
            PING if frame.flags & ACK == 0 => {
                self.frame(PING, ACK, 0, &frame.payload);
                Ok(false)
            }
            RESET | GO_AWAY => bail!("etcd gave up on the connection"),
            _ => Ok(false),
        }
    }

    fn read(&mut self) -> anyhow::Result<Frame> {
        let mut head = [0; 9];
        self.reader.read_exact(&mut head).context("etcd does not answer")?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length)?];
        self.reader.read_exact(&mut payload)?;
        Ok(Frame { kind: head[3], flags: head[4], payload })
    }

    /// Queues a frame (section 4.1).
    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("our frames are small").to_be_bytes();
        self.out.extend_from_slice(&length[1..]);
        self.out.extend_from_slice(&[kind, flags]);
        self.out.extend_from_slice(&stream.to_be_bytes());
        self.out.extend_from_slice(payload);
    }
}

/// The header of every request: literals that are never indexed (RFC 7541, section 6.2.3).
fn head(authority: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/etcdserverpb.KV/Put"),
        (":authority", authority),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ] {
        out.push(0x10);
        for text in [name, value] {
            out.push(u8::try_from(text.len()).expect("short texts"));
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

/// A message of gRPC with etcd's `PutRequest`: field 1 the key, field 2 the value.
fn put_request(number: u32) -> Vec<u8> {
    let key = format!("bench/{number:010}");
    let mut message = vec![0x0a, u8::try_from(key.len()).expect("a short key")];
    message.extend_from_slice(key.as_bytes());
    // 256 as a varint.
    message.extend_from_slice(&[0x12, 0x80, 0x02]);
    message.resize(message.len() + VALUE_BYTES, b'v');
    let length = u32::try_from(message.len()).expect("a short message").to_be_bytes();
    [&[0], &length[..], &message[..]].concat()
}
