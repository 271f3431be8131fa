//! Which task holds which host port. A new task waits until the one before has given its ports back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kogge_model::id::TaskId;
use kogge_model::port::Port;
use tokio::sync::Notify;

/// The host ports of this agent's tasks. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct PortLeases {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    held: Mutex<BTreeMap<Port, TaskId>>,
    freed: Notify,
}

impl PortLeases {
    /// Takes `ports` for `task`, all or none; else tells which one is held by whom.
    pub(crate) fn take(&self, task: &TaskId, ports: &[Port]) -> Result<(), (Port, TaskId)> {
        let mut held = self.held();
        for port in ports {
            if let Some(holder) = held.get(port).filter(|holder| *holder != task) {
                return Err((*port, holder.clone()));
            }
        }
        held.extend(ports.iter().map(|port| (*port, task.clone())));
        Ok(())
    }

    /// Takes `ports` for `task` as soon as all are free.
    pub(crate) async fn wait(&self, task: &TaskId, ports: &[Port]) {
        loop {
            let freed = self.inner.freed.notified();
            let mut freed = std::pin::pin!(freed);
            // From here on nothing is missed between the look and the wait.
            freed.as_mut().enable();
            if self.take(task, ports).is_ok() {
                return;
            }
            freed.await;
        }
    }

    /// Gives back everything `task` holds.
    pub(crate) fn give_back(&self, task: &TaskId) {
        self.held().retain(|_, holder| holder != task);
        self.inner.freed.notify_waiters();
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<Port, TaskId>> {
        self.inner.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_gets_all_its_ports_or_waits_for_them() {
        let port = |number| Port::new(number).unwrap();
        let (leases, a, b) = (PortLeases::default(), TaskId::new("a"), TaskId::new("b"));
        leases.take(&a, &[port(1), port(2)]).unwrap();
        assert_eq!(leases.take(&b, &[port(3), port(2)]), Err((port(2), a.clone())));
        leases.take(&a, &[port(3)]).unwrap();
        let wanted = [port(2), port(3)];
        let waiting = leases.wait(&b, &wanted);
        let mut waiting = std::pin::pin!(waiting);
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        leases.give_back(&a);
        waiting.await;
        assert!(leases.take(&a, &[port(3)]).is_err() && leases.take(&a, &[port(1)]).is_ok());
    }
}
