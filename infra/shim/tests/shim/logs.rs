//! The output under load.

use std::fs;
use std::time::{Duration, Instant};

use kogge_model::log_record::{LogCount, LogRecord};
use kogge_shim::config::LogLimits;
use kogge_shim::protocol::KillScope;

use crate::fixture::{Fixture, wait_until};

fn segments(fixture: &Fixture) -> Vec<std::path::PathBuf> {
    let mut names: Vec<_> =
        fs::read_dir(fixture.dir.join("log")).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    names
}

/// What the segments say was written, lost or kept.
fn accounted(fixture: &Fixture) -> LogCount {
    let mut total = LogCount::default();
    for (index, path) in segments(fixture).iter().enumerate() {
        for line in fs::read(path).unwrap().split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match LogRecord::decode(line).unwrap() {
                LogRecord::Head { before, .. } if index == 0 => total = before,
                LogRecord::Head { before, .. } => {
                    assert_eq!(before, total, "heads agree with what came before")
                }
                LogRecord::Gap { lost, .. } => total = total.plus(lost),
                LogRecord::Text { text, .. } => {
                    let bytes = u64::try_from(text.len()).unwrap();
                    total = total.plus(LogCount { records: 1, bytes });
                }
            }
        }
    }
    total
}

#[test]
fn a_flood_is_bounded_on_disk_counted_exactly_and_cheap() {
    let mut fixture = Fixture::shell("yes 'a line of a flood that is about as long as real lines are'");
    fixture.config.logs =
        LogLimits { segment_bytes: 1 << 20, total_bytes: 4 << 20, bytes_per_second: 16 << 20 };
    let client = fixture.start();
    let shim = fixture.block_on(client.ping()).unwrap().shim_pid;
    let (begin, used) = (Instant::now(), cpu_ticks(shim));
    wait_until("two seconds of flood", || begin.elapsed() > Duration::from_secs(2));
    let busy = cpu_ticks(shim) - used;
    println!("a flood costs the shim {busy} of {} ticks", begin.elapsed().as_millis() / 10);
    assert!(busy < 100, "less than half a core: {busy} ticks in 2 s");
    fixture.block_on(client.kill(9, KillScope::All)).unwrap();
    let ended = fixture.block_on(client.wait()).unwrap();
    let bytes: u64 = segments(&fixture).iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!(bytes <= 4 << 20, "{bytes} bytes on disk");
    assert!(ended.logged.bytes > 4 << 20, "more than may stay was written: {:?}", ended.logged);
    assert_eq!((accounted(&fixture), ended.log_lost), (ended.logged, LogCount::default()));
    let private = kogge_host::memory::footprint(shim).unwrap().private_bytes;
    // Text that no other shim runs just then counts, too; what must not stay is the flood.
    assert!(private < 4 << 20, "{private} bytes after a flood");
}

#[test]
fn a_flood_of_tiny_unbuffered_writes_is_cheap_too() {
    let fixture = Fixture::shell("while :; do echo; done");
    let client = fixture.start();
    let shim = fixture.block_on(client.ping()).unwrap().shim_pid;
    let (begin, used) = (Instant::now(), cpu_ticks(shim));
    wait_until("two seconds of flood", || begin.elapsed() > Duration::from_secs(2));
    let busy = cpu_ticks(shim) - used;
    assert!(busy < 60, "{busy} ticks in 2 s");
}

#[test]
fn a_disk_in_trouble_never_stops_the_task() {
    let fixture = Fixture::shell("n=0; while [ $n -lt 20000 ]; do echo line $n; n=$((n+1)); done; exit 9");
    fixture.write();
    // A file where the segments' directory should be grows full at once.
    let log = fixture.dir.join("log");
    fs::create_dir_all(&log).unwrap();
    let _full = Full::mount(&log);
    let client = fixture.start();
    let ended = fixture.block_on(client.wait()).unwrap();
    assert_eq!(ended.exit, kogge_model::task::Exit::Code { code: 9 });
    assert_eq!(ended.logged.records, 20_000);
    assert!(ended.log_lost.records > 0 && ended.log_lost.records < 20_000, "{:?}", ended.log_lost);
    let kept = fixture.log().lines().count();
    assert_eq!(u64::try_from(kept).unwrap() + ended.log_lost.records, 20_000);
}

#[test]
fn an_unfinished_line_is_shown_before_its_end_comes() {
    let fixture = Fixture::shell("printf 'password: '; sleep 1000");
    let _client = fixture.start();
    fixture.wait_for_log("password: ");
}

/// A tiny file system, unmounted on drop.
struct Full(std::path::PathBuf);

impl Full {
    fn mount(path: &std::path::Path) -> Self {
        let options = c"size=64k";
        rustix::mount::mount("tmpfs", path, "tmpfs", rustix::mount::MountFlags::empty(), options).unwrap();
        Self(path.to_owned())
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}

/// Processor time of a process in ticks of 10 ms (proc(5), fields 14 and 15).
fn cpu_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
