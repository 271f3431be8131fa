//! The node's records on disk: one small file each.
//!
//! ```text
//! DATA/cluster.json         what the agent remembers of the cluster
//! DATA/tasks/TASK.json      what it remembers of a task
//! ```
//!
//! A record is renamed into place before anything is done or said because of it, so the next agent process finds it,
//! whatever end this one has. Of the two only the first is synced: no task outlives a loss of power, and after one the
//! node numbers its updates anew, so an old or missing record of a task does no harm. That keeps the disk out of the
//! way from an order to a running process and back.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use kogge_model::id::TaskId;
use kogge_node::{AgentRecord, TaskRecord};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::reserve::Reserve;

const AGENT_FILE: &str = "cluster.json";
pub(crate) const TASK_DIR: &str = "tasks";

/// Why records could not be read or kept.
#[derive(Debug, Error)]
pub enum RecordError {
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// A verb.
        action: &'static str,
        /// Its object.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// Where it stops making sense.
        source: serde_json::Error,
    },
}

impl RecordError {
    /// What to do about it, if there is something to do.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Io { .. } => None,
            Self::Damaged { path, .. } => Some(format!(
                "restore {} from a backup, or move it away and lose what it says",
                path.display()
            )),
        }
    }

    fn is_for_lack_of_room(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Self::Io { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded))
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// One change, in the order of the node's effects.
#[derive(Debug)]
pub(crate) enum Change {
    Agent(AgentRecord),
    Task(Box<TaskRecord>),
    Forget(TaskId),
}

/// Everything that was kept.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) agent: AgentRecord,
    pub(crate) tasks: Vec<TaskRecord>,
}

/// What was written and is not yet surely on the disk.
#[derive(Debug, Default)]
pub(crate) struct Unsynced {
    files: Vec<File>,
    dirs: Vec<PathBuf>,
}

/// The files.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    dir: PathBuf,
    tasks: PathBuf,
    reserve: Reserve,
}

impl Records {
    /// Opens the records in `dir`. After a reboot a task's record may be half written: then it is as if it had never
    /// been, and its task is gone anyhow.
    pub(crate) fn open(dir: &Path, is_after_reboot: bool) -> Result<(Self, Kept), RecordError> {
        let tasks = dir.join(TASK_DIR);
        fs::create_dir_all(&tasks).map_err(RecordError::io("make", &tasks))?;
        let records = Self { dir: dir.to_owned(), tasks, reserve: Reserve::open(dir) };
        let agent = read(&dir.join(AGENT_FILE))?.unwrap_or_default();
        let mut tasks = Vec::new();
        let entries = fs::read_dir(&records.tasks).map_err(RecordError::io("read", &records.tasks))?;
        for entry in entries {
            let path = entry.map_err(RecordError::io("read", &records.tasks))?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                fs::remove_file(&path).map_err(RecordError::io("remove", &path))?;
                continue;
            }
            match read(&path) {
                Ok(task) => tasks.extend(task),
                Err(RecordError::Damaged { .. }) if is_after_reboot => {
                    tracing::warn!(path = %path.display(), "dropped a record that a loss of power left unfinished");
                    fs::remove_file(&path).map_err(RecordError::io("remove", &path))?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok((records, Kept { agent, tasks }))
    }

    /// Puts changes into place, in order. On a full disk it takes of its reserve.
    pub(crate) fn apply(&self, changes: &[Change]) -> Result<Unsynced, RecordError> {
        let mut unsynced = Unsynced::default();
        for change in changes {
            loop {
                match self.apply_one(change, &mut unsynced) {
                    Err(error) if error.is_for_lack_of_room() && self.reserve.give() => {}
                    done => break done?,
                }
            }
        }
        Ok(unsynced)
    }

    fn apply_one(&self, change: &Change, unsynced: &mut Unsynced) -> Result<(), RecordError> {
        match change {
            Change::Agent(record) => {
                unsynced.wrote(replace(&self.dir.join(AGENT_FILE), record)?, &self.dir);
            }
            Change::Task(record) => drop(replace(&self.task_path(&record.task), record)?),
            Change::Forget(task) => {
                let path = self.task_path(task);
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(RecordError::io("remove", &path)(error));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// For full disks.
    pub(crate) const fn reserve(&self) -> &Reserve {
        &self.reserve
    }

    fn task_path(&self, task: &TaskId) -> PathBuf {
        self.tasks.join(format!("{task}.json"))
    }
}

impl Unsynced {
    fn wrote(&mut self, file: File, dir: &Path) {
        self.files.push(file);
        if !self.dirs.iter().any(|known| known == dir) {
            self.dirs.push(dir.to_owned());
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Waits until everything is on the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.files.iter().try_for_each(File::sync_data)?;
        self.dirs.iter().try_for_each(|dir| File::open(dir)?.sync_all())
    }
}

/// Writes `record` beside `path` and renames it into place.
pub(crate) fn replace(path: &Path, record: &impl Serialize) -> Result<File, RecordError> {
    let text = serde_json::to_vec(record).expect("a record is plain data with text keys");
    let temporary = path.with_extension("tmp");
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(&text)?;
        fs::rename(&temporary, path)?;
        Ok(file)
    };
    write().map_err(RecordError::io("write", path))
}

/// Writes `record` to `path`, and returns when it is on the disk.
pub(crate) fn replace_durably(path: &Path, record: &impl Serialize) -> Result<(), RecordError> {
    let mut unsynced = Unsynced::default();
    unsynced.wrote(replace(path, record)?, path.parent().unwrap_or(path));
    unsynced.sync().map_err(RecordError::io("sync", path))
}

/// The record in `path`, none if there is none.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, RecordError> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|source| RecordError::Damaged { path: path.to_owned(), source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(RecordError::io("read", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use kogge_model::id::{ClusterId, RunId, Term};
    use kogge_model::reason::Reason;
    use kogge_model::time::Timestamp;
    use kogge_node::Recorded;

    use super::*;

    fn record(task: &str, sequence: u64) -> Change {
        Change::Task(Box::new(TaskRecord {
            task: TaskId::new(task),
            run: RunId(1),
            spec: None,
            boot_id: "b".into(),
            sequence,
            at: Timestamp::ZERO,
            recorded: Recorded::Starting,
            reason: Reason::new("why"),
            is_acknowledged: false,
        }))
    }

    #[test]
    fn the_newest_of_each_record_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let (records, kept) = Records::open(dir.path(), false).unwrap();
        assert!(kept.tasks.is_empty() && kept.agent == AgentRecord::default());
        let agent =
            AgentRecord { cluster: Some(ClusterId::new("c")), term: Term(3), forgotten_run: RunId(2) };
        let changes = [record("a", 1), record("b", 1), record("a", 2), Change::Agent(agent.clone())];
        records.apply(&changes).unwrap().sync().unwrap();
        records.apply(&[Change::Forget(TaskId::new("b")), Change::Forget(TaskId::new("b"))]).unwrap();
        let (_, kept) = Records::open(dir.path(), false).unwrap();
        assert_eq!(kept.agent, agent);
        assert_eq!(kept.tasks.len(), 1);
        assert_eq!((kept.tasks[0].task.as_str(), kept.tasks[0].sequence), ("a", 2));
    }

    /// A file system of its own, as small as one likes.
    struct Small(tempfile::TempDir);

    impl Small {
        fn new(size: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let mut mount = std::process::Command::new("mount");
            let mount = mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(dir.path());
            assert!(mount.status().unwrap().success());
            Self(dir)
        }

        fn make_files(&self) {
            let path = |number: u32| self.0.path().join(format!("file{number}"));
            let made = (0..).take_while(|number| File::create_new(path(*number)).is_ok()).count();
            assert!(made < 10_000);
        }

        fn fill(&self) {
            let rest = self.0.path().join("rest");
            let mut rest = File::options().append(true).create(true).open(rest).unwrap();
            while rest.write_all(&[1; 4096]).is_ok() {}
        }
    }

    impl Drop for Small {
        fn drop(&mut self) {
            let _ = std::process::Command::new("umount").arg(self.0.path()).status();
        }
    }

    #[test]
    fn on_a_full_disk_records_take_of_the_reserve_and_give_it_back_when_there_is_room() {
        let disk = Small::new("4m");
        let (records, _) = Records::open(disk.0.path(), false).unwrap();
        assert!(!records.reserve().is_short());
        disk.fill();
        for number in 0..200 {
            records.apply(&[record(&format!("t{number}"), 1), record("same", number)]).unwrap();
        }
        assert!(records.reserve().is_short());
        let mut written = 200;
        while records.apply(&[record(&format!("t{written}"), 1)]).is_ok() {
            written += 1;
            disk.fill();
        }
        let (again, kept) = Records::open(disk.0.path(), false).unwrap();
        assert!(kept.tasks.len() > written, "whatever was told to be written is there");
        assert!(again.reserve().fill().is_err() && again.reserve().is_short());
        fs::remove_file(disk.0.path().join("rest")).unwrap();
        again.reserve().fill().unwrap();
        assert!(!again.reserve().is_short());
    }

    #[test]
    fn without_inodes_records_take_of_the_reserve_too() {
        let disk = Small::new("16m,nr_inodes=500");
        let (records, _) = Records::open(disk.0.path(), false).unwrap();
        records.apply(&[record("same", 0)]).unwrap();
        disk.make_files();
        for number in 1..100 {
            records.apply(&[record("same", number)]).unwrap();
        }
        for number in 0..20 {
            records.apply(&[record(&format!("t{number}"), 1)]).unwrap();
        }
        assert!(records.reserve().is_short());
        let (again, kept) = Records::open(disk.0.path(), false).unwrap();
        assert_eq!(kept.tasks.len(), 21);
        fs::remove_dir_all(disk.0.path().join(TASK_DIR)).unwrap();
        for number in 0..100 {
            let _ = fs::remove_file(disk.0.path().join(format!("file{number}")));
        }
        again.reserve().fill().unwrap();
        assert!(!again.reserve().is_short());
    }

    #[test]
    fn half_a_record_is_an_error_except_after_a_loss_of_power() {
        let dir = tempfile::tempdir().unwrap();
        let (records, _) = Records::open(dir.path(), false).unwrap();
        records.apply(&[record("a", 1)]).unwrap();
        fs::write(dir.path().join("tasks/b.json"), "").unwrap();
        fs::write(dir.path().join("tasks/c.tmp"), "{").unwrap();
        assert!(matches!(Records::open(dir.path(), false), Err(RecordError::Damaged { .. })));
        let (_, kept) = Records::open(dir.path(), true).unwrap();
        assert_eq!(kept.tasks.len(), 1);
        assert!(!dir.path().join("tasks/b.json").exists() && !dir.path().join("tasks/c.tmp").exists());
    }
}
