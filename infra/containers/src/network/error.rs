//! What can go wrong with networks.

use std::io;
use std::path::{Path, PathBuf};

use super::attachment::PublishedPort;

/// A failed network operation.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The id cannot name files.
    #[error("{task:?} cannot name a network namespace")]
    BadId {
        /// As given.
        task: String,
    },
    /// The task has a network already.
    #[error("task {task} is attached to the network already")]
    Attached {
        /// Which.
        task: String,
    },
    /// The subnet is used up.
    #[error("no free address in {subnet}")]
    NoAddress {
        /// Which.
        subnet: String,
    },
    /// Every candidate overlaps with something.
    #[error("no free subnet: all of 10.64.0.0/10 overlaps with routes of this machine")]
    NoSubnet,
    /// The subnet asked for is taken.
    #[error("the subnet {subnet} overlaps with {other}, which this machine routes already")]
    SubnetTaken {
        /// The one asked for.
        subnet: String,
        /// What it overlaps with.
        other: String,
    },
    /// Tasks run on another subnet.
    #[error("the subnet cannot become {asked} while tasks run in {subnet}")]
    SubnetInUse {
        /// The one asked for.
        asked: String,
        /// The one in use.
        subnet: String,
    },
    /// Not a subnet.
    #[error("{text:?} is not a subnet: expected a.b.c.d/n with n from 8 to 28")]
    BadSubnet {
        /// As given.
        text: String,
    },
    /// Someone listens there, or another task has it.
    #[error("host port {port} is in use{}", by.as_ref().map(|task| format!(" by task {task}")).unwrap_or_default())]
    PortInUse {
        /// Which.
        port: PublishedPort,
        /// Whose, if it is one of ours.
        by: Option<String>,
    },
    /// The kernel refused a change of links, addresses or routes.
    #[error("could not {action}")]
    Netlink {
        /// What was attempted, with names.
        action: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The `nft` program is missing.
    #[error("the program nft is missing")]
    NoNft {
        /// What the system said.
        source: io::Error,
    },
    /// The kernel or `nft` refused the rules.
    #[error("nft refused a change of the firewall: {message}")]
    Nft {
        /// What it printed, first line.
        message: String,
    },
    /// The network is being shut down.
    #[error("the network is shutting down")]
    Closed,
    /// A file of the network could not be used.
    #[error("could not {action} {}", path.display())]
    Io {
        /// A verb.
        action: &'static str,
        /// The object of the verb.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl NetworkError {
    /// A sentence on what to do about it, if there is something to do.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoNft { .. } => Some("install it: apt-get install nftables"),
            Self::Nft { message }
                if message.contains("not supported") || message.contains("No such file") =>
            {
                Some(
                    "the kernel lacks nf_tables or its NAT: modprobe nf_tables nft_chain_nat nft_masq nft_fib_inet",
                )
            }
            Self::Nft { message } if message.contains("not permitted") => Some("run as root"),
            Self::Netlink { source, .. } => match source.raw_os_error() {
                Some(libc_errno::EOPNOTSUPP) => {
                    Some("the kernel lacks a network driver: modprobe bridge veth")
                }
                Some(libc_errno::EPERM) => Some("run as root"),
                _ => None,
            },
            Self::NoSubnet | Self::SubnetTaken { .. } => Some("give a free one with --subnet 10.200.0.0/20"),
            Self::SubnetInUse { .. } => {
                Some("leave the subnet as it is, or stop the tasks first: kogge down")
            }
            Self::PortInUse { .. } => {
                Some("stop what listens there, or leave the host port out to get a free one")
            }
            _ => None,
        }
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }

    pub(crate) fn netlink(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::Netlink { action, source }
    }
}

/// Numbers of `errno` that hints look at, the same on every Linux architecture we build for.
mod libc_errno {
    pub(super) const EPERM: i32 = 1;
    pub(super) const EOPNOTSUPP: i32 = 95;
}
