//! Engines that hold the state: how their members are started, and how it is seen that they serve.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use super::{BedError, Launch, Node};

const JARS: &str = "/usr/share/java/zookeeper.jar";
/// How long one question to a member may take.
const STEP: Duration = Duration::from_secs(2);

/// A kind of engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// etcd, of the package `etcd-server`.
    Etcd,
    /// Apache ZooKeeper, of the package `libzookeeper-java`.
    ZooKeeper,
}

impl FromStr for Engine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "etcd" => Ok(Self::Etcd),
            "zookeeper" | "zk" => Ok(Self::ZooKeeper),
            _ => Err(format!("{text:?} is no engine: choose etcd or zookeeper")),
        }
    }
}

impl Engine {
    const fn client_port(self) -> u16 {
        match self {
            Self::Etcd => 2379,
            Self::ZooKeeper => 2181,
        }
    }

    /// Where servers find a state of their own at these members.
    #[must_use]
    pub fn address(self, members: &[&Node], path: &str) -> String {
        let scheme = match self {
            Self::Etcd => "etcd",
            Self::ZooKeeper => "zk",
        };
        let port = self.client_port();
        let hosts: Vec<String> = members.iter().map(|member| format!("{}:{port}", member.address)).collect();
        format!("{scheme}://{}/{path}", hosts.join(","))
    }

    /// How a member is started, among all members.
    pub(crate) fn launch(self, member: &Node, members: &[&Node]) -> Result<Launch, BedError> {
        match self {
            Self::Etcd => Ok(etcd(member, members)),
            Self::ZooKeeper => zookeeper(member, members),
        }
    }

    /// Whether a member is part of a majority and serves.
    ///
    /// # Errors
    /// What it says instead.
    pub fn serves(self, member: &Node) -> Result<(), String> {
        let (question, proof) = match self {
            Self::Etcd => ("GET /health HTTP/1.0\r\n\r\n", r#""health":"true""#),
            Self::ZooKeeper => ("srvr", "Mode: "),
        };
        let answer = ask(member, self.client_port(), question).map_err(|error| error.to_string())?;
        if answer.contains(proof) {
            Ok(())
        } else {
            Err(answer.lines().last().unwrap_or_default().to_owned())
        }
    }
}

fn ask(member: &Node, port: u16, question: &str) -> std::io::Result<String> {
    let at = SocketAddr::from((member.address, port));
    let mut stream = member.network().connect(at, STEP)?;
    stream.write_all(question.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn etcd(member: &Node, members: &[&Node]) -> Launch {
    let url = |address: Ipv4Addr, port: u16| format!("http://{address}:{port}");
    let cluster: Vec<String> =
        members.iter().map(|member| format!("{}={}", member.name, url(member.address, 2380))).collect();
    let (client, peer) = (url(member.address, 2379), url(member.address, 2380));
    let doors = format!("{client},{}", url(Ipv4Addr::LOCALHOST, 2379));
    let data = member.data.display().to_string();
    let words =
        ["etcd", "--name", &member.name, "--data-dir", &data, "--logger", "zap", "--log-level", "warn"];
    let listen = ["--listen-client-urls", &doors, "--advertise-client-urls", &client];
    let peers = ["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer];
    let cluster = ["--initial-cluster", &cluster.join(",")];
    Launch::new(words.into_iter().chain(listen).chain(peers).chain(cluster))
}

fn zookeeper(member: &Node, members: &[&Node]) -> Result<Launch, BedError> {
    if !Path::new(JARS).exists() {
        return Err(BedError::Refused("ZooKeeper is not installed: run dev/packages test".into()));
    }
    let number = members.iter().position(|other| other.name == member.name).map_or(0, |at| at + 1);
    // Sessions of three seconds are asked for; a server grants no less than two ticks.
    let mut config = format!(
        "tickTime=500\ninitLimit=40\nsyncLimit=6\nmaxClientCnxns=0\nstandaloneEnabled=false\ndataDir={}\n\
         4lw.commands.whitelist=srvr\n",
        member.data.display()
    );
    for (at, other) in members.iter().enumerate() {
        let address = other.address;
        config.push_str(&format!("server.{}={address}:2888:3888;0.0.0.0:2181\n", at + 1));
    }
    let file = member.data.join("zoo.cfg");
    fs::write(&file, config).map_err(BedError::file("write", &file))?;
    let id = member.data.join("myid");
    fs::write(&id, number.to_string()).map_err(BedError::file("write", &id))?;
    let java = ["java", "-Xms32m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
    let words = ["-Dzookeeper.admin.enableServer=false", "-cp", JARS];
    let main =
        ["org.apache.zookeeper.server.quorum.QuorumPeerMain", &file.display().to_string()].map(str::to_owned);
    Ok(Launch::new(java.into_iter().chain(words).map(str::to_owned).chain(main)))
}
