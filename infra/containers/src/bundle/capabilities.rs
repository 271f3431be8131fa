//! What root may do inside a container: change owners and ids, bind low ports, signal its own processes.
//!
//! Docker's default set without MKNOD (new devices), NET_RAW (forged packets), SETPCAP, SETFCAP, SYS_CHROOT and
//! AUDIT_WRITE, which the usual servers do not need.

use std::collections::HashSet;

use oci_spec::OciSpecError;
use oci_spec::runtime::{Capability, LinuxCapabilities, LinuxCapabilitiesBuilder};

const KEPT: [Capability; 8] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::NetBindService,
    Capability::Setgid,
    Capability::Setuid,
];

/// For a process with the user id `uid`: root has the set, others have none and can gain none.
pub(crate) fn for_user(uid: u32) -> Result<LinuxCapabilities, OciSpecError> {
    let kept: HashSet<Capability> = if uid == 0 { KEPT.into_iter().collect() } else { HashSet::new() };
    LinuxCapabilitiesBuilder::default()
        .bounding(kept.clone())
        .effective(kept.clone())
        .permitted(kept)
        .inheritable(HashSet::new())
        .ambient(HashSet::new())
        .build()
}
