//! No machine carries more than it has, whatever anybody believes.

use std::collections::BTreeSet;

use crate::machine::{self, Machine};

pub(super) fn fits(machine: &Machine) -> Result<(), String> {
    let total = machine::info(machine.index, machine.size).resources;
    let (mut cpu, mut mem, mut disk) = (0, 0, 0);
    let mut ports = BTreeSet::new();
    for (task, container) in machine.present() {
        let needs = &container.spec.resources;
        cpu += needs.cpu_millis.0;
        mem += needs.mem_bytes.0;
        disk += needs.disk_bytes.0;
        for port in needs.ports.iter() {
            if !ports.insert(port) {
                return Err(format!(
                    "over-commit: port {port} of m{} is held twice, by {task}",
                    machine.index
                ));
            }
        }
    }
    if cpu > total.cpu_millis.0 || mem > total.mem_bytes.0 || disk > total.disk_bytes.0 {
        return Err(format!("over-commit: m{} carries {cpu} of {total}", machine.index));
    }
    Ok(())
}
