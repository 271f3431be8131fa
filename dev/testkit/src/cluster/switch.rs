//! The bridge that joins the namespaces, in one of its own.

use std::io::Write;
use std::net::Ipv4Addr;
use std::process::Stdio;
use std::time::Duration;

use super::link_faults::ruleset;
use super::program::run;
use super::{BedError, LinkFaults, Namespace, Rate, addresses};
use crate::wait::within;

/// The bridge; names of ports are those of nodes, and shorter than this interface is called.
const BRIDGE: &str = "bridge";
/// What every machine calls its end of the link.
const LINK: &str = "eth0";
/// How long packets may wait for their turn when a rate is set.
const QUEUE_MS: u32 = 200;
/// An interface that was set up carries packets within this, however busy the machine is.
const CARRIER: Duration = Duration::from_secs(30);

/// The switch of a bed.
#[derive(Debug, Clone)]
pub(crate) struct Switch {
    namespace: Namespace,
}

impl Switch {
    pub(crate) const fn in_namespace(namespace: Namespace) -> Self {
        Self { namespace }
    }

    pub(crate) fn create(&self) -> Result<(), BedError> {
        self.namespace.create()?;
        let name = self.namespace.name();
        // Without the usual delay, ports forward as soon as they are up.
        run(&format!("ip -n {name} link add {BRIDGE} type bridge forward_delay 0 stp_state 0"))?;
        run(&format!("ip -n {name} link set {BRIDGE} up")).map(drop)
    }

    /// A port, and the machine at it with its address.
    pub(crate) fn join(&self, port: &str, machine: &Namespace, address: Ipv4Addr) -> Result<(), BedError> {
        let (switch, machine) = (self.namespace.name(), machine.name());
        run(&format!("ip -n {switch} link add {port} type veth peer name {LINK} netns {machine}"))?;
        run(&format!("ip -n {switch} link set {port} master {BRIDGE} up"))?;
        run(&format!("ip -n {machine} addr add {address}/{} dev {LINK}", addresses::PREFIX))?;
        run(&format!("ip -n {machine} link set {LINK} up"))?;
        carries(switch, port)?;
        carries(machine, LINK)
    }

    /// Makes all links as bad as this says, and no worse.
    pub(crate) fn set<'a>(
        &self,
        links: impl Iterator<Item = (&'a str, &'a LinkFaults)>,
    ) -> Result<(), BedError> {
        let mut command = self.namespace.command("nft");
        command.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let cannot = || BedError::io("run nft");
        let mut child = command.spawn().map_err(cannot())?;
        let mut input = child.stdin.take().expect("its input is piped");
        input.write_all(ruleset(links).as_bytes()).map_err(cannot())?;
        drop(input);
        let output = child.wait_with_output().map_err(cannot())?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(BedError::Program { program: "nft".into(), said })
    }

    /// Lets so much pass along a link, each way; everything, without a rate.
    pub(crate) fn limit(&self, port: &str, machine: &Namespace, rate: Option<Rate>) -> Result<(), BedError> {
        for (namespace, interface) in [(&self.namespace, port), (machine, LINK)] {
            let name = namespace.name();
            // Whether there is one does not matter.
            let _ = run(&format!("tc -n {name} qdisc delete dev {interface} root"));
            if let Some(rate) = rate {
                let (bits, burst) = (rate.bits(), rate.burst_bytes());
                run(&format!(
                    "tc -n {name} qdisc add dev {interface} root tbf rate {bits}bit burst {burst}b latency {QUEUE_MS}ms"
                ))?;
            }
        }
        Ok(())
    }
}

/// Waits until an interface carries packets: the kernel sets it up first and finds its carrier later, in its own time,
/// and what is sent between the two is lost without a word (RFC 2863 §3.1.14, as the kernel's operational state).
fn carries(namespace: &str, interface: &str) -> Result<(), BedError> {
    let show = format!("ip -n {namespace} -o link show dev {interface}");
    let mut said = run(&show)?;
    let is_up = |said: &str| said.contains(" state UP ");
    if !is_up(&said) {
        let later = within(CARRIER, || run(&show).map(|now| is_up(&now).then_some(now)).transpose());
        said = later.transpose()?.unwrap_or(said);
    }
    if is_up(&said) {
        return Ok(());
    }
    let what = format!("{interface} in {namespace} carries packets");
    Err(BedError::NotReady { what, waited: CARRIER, said })
}
