//! The machine from inside: what is asked of it and of its cloud.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, bail};
use serde_json::Value;

use super::machine::Machine;

/// The cloud's API there, and its router.
pub(crate) const API: &str = "http://127.0.0.1:7400/api/v1";

/// See the module.
pub(crate) struct Guest {
    pub(crate) machine: Machine,
}

impl Guest {
    /// Runs a script that must succeed; gives its standard output, trimmed.
    pub(crate) fn ok(&self, script: &str) -> anyhow::Result<String> {
        let output = self.machine.shell(script)?;
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        if !output.status.success() {
            bail!("`{script}` failed there with {}\n{out}{err}", output.status);
        }
        Ok(out.trim().to_owned())
    }

    /// Runs a script that must fail; gives all it said.
    pub(crate) fn fails(&self, script: &str) -> anyhow::Result<String> {
        let output = self.machine.shell(script)?;
        let said = text(&output.stdout) + &text(&output.stderr);
        // 255 is ssh's own, 124 and 137 are of `timeout`: then nothing was refused.
        match output.status.code() {
            Some(0) => bail!("`{script}` was let through: {said}"),
            None | Some(124 | 137 | 255) => bail!("`{script}` was not decided: {} {said}", output.status),
            Some(_) => Ok(said),
        }
    }

    /// Runs a script; `expected` must be all it prints.
    pub(crate) fn prints(&self, script: &str, expected: &str) -> anyhow::Result<()> {
        let said = self.ok(script)?;
        if said != expected {
            bail!("`{script}` printed {said:?} and not {expected:?}");
        }
        Ok(())
    }

    /// Runs `kogge` with `--output json`.
    pub(crate) fn kogge(&self, words: &str) -> anyhow::Result<Value> {
        let text = self.ok(&format!("kogge {words} --output json"))?;
        serde_json::from_str(&text).with_context(|| format!("kogge {words} printed no JSON but {text:?}"))
    }

    /// Looks until `look` finds something.
    pub(crate) fn until<T>(
        &self,
        what: &str,
        mut look: impl FnMut(&Self) -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let limit = self.machine.patience();
        let deadline = Instant::now() + limit;
        loop {
            let seen = look(self);
            if let Ok(Some(found)) = seen {
                return Ok(found);
            }
            if Instant::now() > deadline {
                return match seen {
                    Err(error) => Err(error.context(format!("waited {limit:?} in vain: {what}"))),
                    Ok(_) => bail!("waited {limit:?} in vain: {what}"),
                };
            }
            std::thread::sleep(std::time::Duration::from_millis(500));
        }
    }

    /// Waits until the unit is active and its cloud answers.
    pub(crate) fn is_up(&self) -> anyhow::Result<Value> {
        self.until("the unit runs and its cloud answers", |guest| {
            guest.ok("systemctl is-active kogge")?;
            guest.kogge("status").map(Some)
        })
    }

    /// The instances of a service.
    pub(crate) fn instances(&self, service: &str) -> anyhow::Result<Vec<Value>> {
        let all = self.kogge("ps")?;
        let list = all.as_array().cloned().unwrap_or_default();
        Ok(list.into_iter().filter(|instance| instance["service"] == service).collect())
    }

    /// Waits until `count` instances of a service are healthy, and none is otherwise.
    pub(crate) fn healthy(&self, service: &str, count: usize) -> anyhow::Result<Vec<Value>> {
        self.until(&format!("{count} healthy instances of {service}"), |guest| {
            let instances = guest.instances(service)?;
            let healthy = instances.iter().filter(|instance| instance["healthy"] == true).count();
            Ok((healthy == count && instances.len() == count).then_some(instances))
        })
    }

    /// Task and process of all instances, with the time at which the process was started (proc(5), `stat`): a
    /// process id may be given again.
    pub(crate) fn processes(&self) -> anyhow::Result<BTreeMap<String, (u64, String)>> {
        let all = self.kogge("ps")?;
        let mut processes = BTreeMap::new();
        for instance in all.as_array().into_iter().flatten() {
            let (Some(task), Some(pid)) = (instance["task"].as_str(), instance["pid"].as_u64()) else {
                continue;
            };
            processes.insert(task.to_owned(), (pid, self.start_time(pid)?));
        }
        Ok(processes)
    }

    pub(crate) fn start_time(&self, pid: u64) -> anyhow::Result<String> {
        self.ok(&format!("sed 's/.*) //' /proc/{pid}/stat | cut -d' ' -f20"))
    }

    /// Fails unless the unit's process was started once since the unit was started: it did not die and come back.
    pub(crate) fn did_not_stumble(&self) -> anyhow::Result<()> {
        self.prints("systemctl show --value -p NRestarts kogge", "0")
    }

    /// For a run that failed: the end of the unit's journal and of the console.
    pub(crate) fn last_words(&self) -> String {
        let journal = self.ok("journalctl -u kogge -n 30 --no-pager -o cat; kogge ps; kogge status");
        let journal = journal.unwrap_or_else(|error| format!("(cannot be read: {error:#})"));
        format!("unit:\n{journal}\n{}", self.machine.last_words())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
