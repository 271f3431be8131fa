//! Durable writes through the trait: `store_bench STATE CLIENTS SECONDS` prints one JSON object. The state is a
//! directory for the embedded engine, or the address of an etcd or a ZooKeeper.
//!
//! Each client waits for the acknowledgement of a put of 256 bytes before it makes the next one. Processor time is
//! that of the whole process, clients included.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kogge_store::backend::etcd::Etcd;
use kogge_store::backend::redb::{Embedded, Options};
use kogge_store::backend::zookeeper::{self, ZooKeeper};
use kogge_store::{Commit, Store};

const VALUE: [u8; 256] = [b'v'; 256];
/// Keys are written again and again, as a cloud's are.
const KEYS: u64 = 1_000;

/// Puts until the time is over; tells how many were acknowledged.
async fn client(store: Arc<dyn Store>, number: u64, clients: u64, until: Instant) -> Result<u64, String> {
    let mut done = 0;
    while Instant::now() < until {
        let key = format!("bench/{:010}", (done * clients + number) % KEYS);
        let commit = Commit::new().put(key, VALUE.to_vec());
        store.commit(commit).await.map_err(|error| error.to_string())?;
        done += 1;
    }
    Ok(done)
}

async fn load(store: &Arc<dyn Store>, clients: u64, time: Duration) -> Result<u64, Box<dyn Error>> {
    let until = Instant::now() + time;
    let all = (0..clients).map(|number| client(Arc::clone(store), number, clients, until));
    let done = futures_util::future::try_join_all(all).await?;
    Ok(done.into_iter().sum())
}

/// Nanoseconds on a processor of all threads, which all live as long as this is asked
/// (Documentation/scheduler/sched-stats.rst).
fn cpu_time() -> std::io::Result<Duration> {
    let mut sum = 0;
    for thread in std::fs::read_dir("/proc/self/task")? {
        let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        sum += text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(sum))
}

#[expect(clippy::print_stdout, reason = "standard output is what this program is for")]
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [state, clients, seconds] = words.as_slice() else {
        return Err(
            "usage: store_bench DIRECTORY|etcd://HOST:PORT/PREFIX|zk://HOST:PORT/PATH CLIENTS SECONDS".into(),
        );
    };
    let (clients, time): (u64, _) = (clients.parse()?, Duration::from_secs(seconds.parse()?));
    let store: Arc<dyn Store> = if state.starts_with("etcd") {
        Arc::new(Etcd::open(state.parse()?).await?)
    } else if state.starts_with("zk") {
        Arc::new(ZooKeeper::open(&state.parse()?, zookeeper::Options::default()).await?)
    } else {
        Arc::new(Embedded::open(&PathBuf::from(state), Options::default()).await?)
    };
    load(&store, clients, Duration::from_millis(200)).await?;
    let (begun, before) = (Instant::now(), cpu_time()?);
    let writes = load(&store, clients, time).await? as f64;
    let (wall, cpu) = (begun.elapsed().as_secs_f64(), (cpu_time()? - before).as_secs_f64());
    println!(
        r#"{{"clients":{clients},"writes_per_s":{:.1},"writes_per_cpu_s":{:.1},"wall_s":{wall:.3},"cpu_s":{cpu:.3}}}"#,
        writes / wall,
        writes / cpu
    );
    Ok(())
}
