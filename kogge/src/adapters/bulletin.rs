//! Routing tables on their way to the routers of agents, and what those make of them.
//!
//! A table travels whole, packed, newest only; the note back says which table a router obeys and which retired
//! instances still have something to do there.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kogge_control::ports::{Drains, Pending};
use kogge_discovery::RoutingTable;
use kogge_host::tasks::{OnPanic, TaskGroup};
use kogge_link::{MAX_BULLETIN_BYTES, Notes};
use kogge_model::id::{AgentId, Generation, RunId};
use kogge_router::Router;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Fast, and small enough.
const LEVEL: i32 = 1;
/// Tables that come in bursts travel as one: between two of them at least so much time passes.
const BURST: Duration = Duration::from_millis(20);
/// Between two looks for retired instances that have become idle.
const LOOK: Duration = Duration::from_millis(100);

/// What a router makes of the tables.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    /// The table it obeys.
    generation: Generation,
    /// Runs with requests in flight.
    busy: BTreeSet<RunId>,
}

type Tables = watch::Receiver<Arc<RoutingTable>>;

/// Packs each table for the agents.
pub(crate) fn pack(mut tables: Tables, group: &TaskGroup) -> watch::Receiver<Bytes> {
    let (bulletins, receiver) = watch::channel(Bytes::new());
    let token = group.token();
    group.spawn("tables for agents", OnPanic::StopGroup, async move {
        let packing = async {
            while tables.changed().await.is_ok() {
                let table = Arc::clone(&tables.borrow_and_update());
                match packed(&table) {
                    Ok(bytes) => drop(bulletins.send_replace(bytes)),
                    Err(error) => tracing::error!(%error, "the routing table cannot be sent to agents"),
                }
                tokio::time::sleep(BURST).await;
            }
        };
        tokio::select! {
            () = token.cancelled() => {}
            () = packing => {}
        }
    });
    receiver
}

fn packed(table: &RoutingTable) -> io::Result<Bytes> {
    let json = serde_json::to_vec(table)?;
    let bytes = zstd::bulk::compress(&json, LEVEL)?;
    if bytes.len() > MAX_BULLETIN_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes.into())
}

fn unpacked(bytes: &[u8]) -> io::Result<RoutingTable> {
    let decoder = zstd::stream::read::Decoder::new(bytes)?;
    let bounded = io::Read::take(decoder, 64 * MAX_BULLETIN_BYTES as u64);
    let table: RoutingTable = serde_json::from_reader(bounded)?;
    if table.is_sound() { Ok(table) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Unpacks each table for the router of an agent; one that is older than the last is skipped.
pub(crate) fn unpack(mut bulletins: watch::Receiver<Bytes>, group: &TaskGroup) -> Tables {
    let (tables, receiver) = watch::channel(Arc::new(RoutingTable::default()));
    let token = group.token();
    group.spawn("tables of the servers", OnPanic::StopGroup, async move {
        let unpacking = async {
            while bulletins.changed().await.is_ok() {
                let bulletin = bulletins.borrow_and_update().clone();
                match unpacked(&bulletin) {
                    Ok(table) => {
                        tables.send_if_modified(|known| {
                            let is_newer = table.generation() > known.generation();
                            if is_newer {
                                *known = Arc::new(table);
                            }
                            is_newer
                        });
                    }
                    Err(error) => tracing::error!(%error, "a routing table of the servers cannot be used"),
                }
            }
        };
        tokio::select! {
            () = token.cancelled() => {}
            () = unpacking => {}
        }
    });
    receiver
}

/// Tells what `router` makes of its tables, whenever that changes.
pub(crate) fn note(router: &Router, mut tables: Tables, group: &TaskGroup) -> watch::Receiver<Bytes> {
    let (notes, receiver) = watch::channel(Bytes::new());
    let (router, token) = (router.clone(), group.token());
    group.spawn("notes on tables", OnPanic::StopGroup, async move {
        let mut last = Note::default();
        loop {
            let retired = router.instances().into_iter().filter(|one| one.is_retired && one.in_flight > 0);
            let busy = retired.map(|one| one.run).collect();
            let now = Note { generation: router.generation(), busy };
            if now != last {
                notes.send_replace(serde_json::to_vec(&now).unwrap_or_default().into());
            }
            let is_settled = now.busy.is_empty() && now.generation == tables.borrow().generation();
            last = now;
            tokio::select! {
                () = token.cancelled() => return,
                changed = tables.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(LOOK), if !is_settled => {}
            }
        }
    });
    receiver
}

/// The newest note of each agent that follows.
pub(crate) struct AgentNotes(watch::Sender<BTreeMap<AgentId, Note>>);

impl Default for AgentNotes {
    fn default() -> Self {
        Self(watch::channel(BTreeMap::new()).0)
    }
}

impl Notes for AgentNotes {
    fn heard(&self, agent: &AgentId, note: Bytes) {
        match serde_json::from_slice::<Note>(&note) {
            Ok(note) => self.0.send_modify(|notes| drop(notes.insert(agent.clone(), note))),
            Err(error) => tracing::warn!(%agent, %error, "a note cannot be read"),
        }
    }

    fn gone(&self, agent: &AgentId) {
        self.0.send_modify(|notes| drop(notes.remove(agent)));
    }
}

/// When all routers are done with an instance: the one in this process, and those of all agents that follow.
pub(crate) struct CloudDrains {
    pub(crate) local: Option<Router>,
    pub(crate) agents: Arc<AgentNotes>,
}

impl Drains for CloudDrains {
    fn drained(&self, generation: Generation, run: RunId) -> Pending<'static, ()> {
        let (local, mut notes) = (self.local.clone(), self.agents.0.subscribe());
        Box::pin(async move {
            if let Some(local) = local {
                local.drained(generation, run).await;
            }
            let are_done = |notes: &BTreeMap<AgentId, Note>| {
                notes.values().all(|note| note.generation >= generation && !note.busy.contains(&run))
            };
            // Without the sender the process ends.
            let _ = notes.wait_for(are_done).await;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_survives_the_way_and_what_is_none_is_refused() {
        let table = RoutingTable::default();
        assert_eq!(unpacked(&packed(&table).unwrap()).unwrap(), table);
        assert!(unpacked(b"something else").is_err());
        let wild = r#"{"generation":1,"services":[],"exact":{"a":[{"path":"","service":7}]},"wildcard":{},"any":[]}"#;
        assert!(unpacked(&zstd::bulk::compress(wild.as_bytes(), LEVEL).unwrap()).is_err());
    }

    #[tokio::test]
    async fn an_instance_is_drained_when_all_agents_say_so_or_have_gone() {
        let notes = Arc::new(AgentNotes::default());
        let drains = CloudDrains { local: None, agents: Arc::clone(&notes) };
        let (one, two) = (AgentId::new("a1"), AgentId::new("a2"));
        let say = |agent: &AgentId, generation, busy: &[u64]| {
            let note =
                Note { generation: Generation(generation), busy: busy.iter().copied().map(RunId).collect() };
            notes.heard(agent, serde_json::to_vec(&note).unwrap().into());
        };
        say(&one, 4, &[]);
        say(&two, 5, &[7]);
        let mut waiting = Box::pin(drains.drained(Generation(5), RunId(7)));
        let mut is_done = async || futures_util::poll!(waiting.as_mut()).is_ready();
        assert!(!is_done().await);
        say(&one, 5, &[]);
        assert!(!is_done().await);
        notes.gone(&two);
        assert!(is_done().await);
    }
}
