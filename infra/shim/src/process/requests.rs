//! What clients ask, one function a request.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use kogge_host::clock;
use nix::sys::signal::Signal;
use serde::Deserialize;

use super::children::end_all_children;
use super::connection::Pending;
use super::exec::{Exec, ExecStage, plan_joining};
use super::helper::Helper;
use super::supervisor::{REMOVE_PATIENCE, Supervisor, Task};
use super::tenancy::{Eviction, Tenancy};
use crate::protocol::{
    Answer, ExecRequest, Failure, Fault, KillScope, LimitChange, PROTOCOL_VERSION, Request, RequestLine,
    TaskStats,
};
use crate::spec;
use crate::sys;

/// Execs at once.
const MAX_EXECS: usize = 64;

/// An answer now, or what the client waits for.
type Reply = Result<Answer, Pending>;

impl Supervisor {
    /// Handles one line of client `id`.
    pub(super) fn handle(&mut self, id: u64, line: &[u8], fds: Vec<OwnedFd>) -> Reply {
        let request = match parse(line) {
            Ok(request) => request,
            Err(failure) => return Ok(Answer::Failed(failure)),
        };
        let done = |result: Result<(), Failure>| Ok(result.map_or_else(Answer::Failed, |()| Answer::Done));
        match request {
            Request::Ping => Ok(self.ping()),
            Request::Wait { timeout_ms } => self.wait_for_end(timeout_ms),
            Request::Kill { signal, scope } => done(self.kill(signal, scope)),
            Request::Pause => done(self.set_paused(true)),
            Request::Resume => done(self.set_paused(false)),
            Request::Renew { until_ms } => done(self.renew(until_ms)),
            Request::Stats => Ok(self.stats().map_or_else(Answer::Failed, Answer::Stats)),
            Request::Update(change) => done(self.update(&change)),
            Request::Exec(exec) => self.exec(id, exec, fds),
            Request::Delete { is_forced } => done(self.delete(is_forced)),
        }
    }

    fn ping(&self) -> Answer {
        match &self.task {
            Task::Starting(_) => Answer::Failed(not_running("is being started")),
            Task::Running { pid, started_at, .. } => Answer::Pong(self.pong(*pid, *started_at)),
            Task::Ended(ended) => {
                let pid = i32::try_from(ended.pid).expect("it came from a process id");
                Answer::Pong(self.pong(nix::unistd::Pid::from_raw(pid), ended.started_at))
            }
        }
    }

    fn wait_for_end(&self, timeout_ms: Option<u64>) -> Reply {
        match &self.task {
            Task::Ended(ended) => Ok(Answer::Ended((**ended).clone())),
            Task::Starting(_) | Task::Running { .. } => {
                let until = timeout_ms.and_then(|ms| Instant::now().checked_add(Duration::from_millis(ms)));
                Err(Pending::End(until))
            }
        }
    }

    fn kill(&mut self, signal: i32, scope: KillScope) -> Result<(), Failure> {
        if !(1..=libc::SIGRTMAX()).contains(&signal) {
            return Err(Failure::new(Fault::BadRequest, format!("there is no signal {signal}")));
        }
        let result = match scope {
            KillScope::Exec(exec) => self.signal_exec(exec, signal)?,
            KillScope::Init | KillScope::All => {
                let Task::Running { pid, .. } = self.task else { return Err(self.not_running()) };
                self.asked_signal = Some(signal);
                match scope {
                    KillScope::All if signal == Signal::SIGKILL as i32 => self.cgroup.kill_all(),
                    KillScope::All => self.cgroup.signal_all(signal),
                    _ => sys::signal_child(pid, signal),
                }
            }
        };
        result.map_err(system("send the signal"))?;
        if self.is_paused && signal == Signal::SIGKILL as i32 {
            // On v1 the frozen die only when thawed.
            self.set_paused(false)?;
        }
        Ok(())
    }

    fn signal_exec(&self, id: u64, signal: i32) -> Result<std::io::Result<()>, Failure> {
        let exec = self.execs.iter().find(|exec| exec.id == id);
        match exec.map(|exec| &exec.stage) {
            Some(ExecStage::Running(pid)) => Ok(sys::signal_child(*pid, signal)),
            Some(ExecStage::Joining(_)) => {
                Err(Failure::new(Fault::WrongState, format!("exec {id} is being started")))
            }
            None => Err(Failure::new(Fault::WrongState, format!("exec {id} does not run"))),
        }
    }

    fn set_paused(&mut self, is_paused: bool) -> Result<(), Failure> {
        self.expect_running()?;
        self.cgroup.freeze(is_paused).map_err(system(if is_paused { "pause" } else { "resume" }))?;
        self.is_paused = is_paused;
        Ok(())
    }

    fn renew(&mut self, until_ms: u64) -> Result<(), Failure> {
        if matches!(self.task, Task::Ended(_)) {
            return Err(self.not_running());
        }
        let Some(tenancy) = &mut self.tenancy else {
            return Err(Failure::new(Fault::WrongState, "the task lives on no lease"));
        };
        match tenancy.renew(until_ms).map_err(system("set the timer"))? {
            true => Ok(()),
            false => Err(Failure::new(Fault::WrongState, "the task's lease is over")),
        }
    }

    /// Ends a single-copy task in time, whoever else is there to do it.
    ///
    /// # Errors
    /// When its lease is over before it was started: nobody is left then who could start it.
    pub(super) fn keep_lease(&mut self) -> Result<(), String> {
        if matches!(self.task, Task::Ended(_)) {
            return Ok(());
        }
        let Some(eviction) = self.tenancy.as_mut().and_then(Tenancy::due) else { return Ok(()) };
        match (eviction, &self.task) {
            (Eviction::Ask, Task::Running { pid, .. }) => {
                self.asked_signal = Some(Signal::SIGTERM as i32);
                let _ = sys::signal_child(*pid, Signal::SIGTERM as i32);
            }
            (Eviction::Ask, Task::Starting(_) | Task::Ended(_)) => {}
            (Eviction::Kill, Task::Starting(_)) => {
                end_all_children(&self.cgroup);
                return Err("its lease was over before it was started".to_owned());
            }
            (Eviction::Kill, _) => {
                self.asked_signal = Some(Signal::SIGKILL as i32);
                let _ = self.cgroup.kill_all();
                if self.is_paused {
                    // On v1 the frozen die only when thawed.
                    let _ = self.set_paused(false);
                }
            }
        }
        Ok(())
    }

    fn stats(&self) -> Result<TaskStats, Failure> {
        self.expect_running()?;
        let mut stats = TaskStats {
            at: clock::now(),
            logged: self.logs.logged(),
            log_lost: self.logs.lost(),
            ..TaskStats::default()
        };
        self.cgroup.measure(&mut stats).map_err(system("read the cgroup"))?;
        Ok(stats)
    }

    fn update(&self, change: &LimitChange) -> Result<(), Failure> {
        self.expect_running()?;
        self.cgroup.update(change).map_err(system("change the limits"))
    }

    fn exec(&mut self, id: u64, request: ExecRequest, fds: Vec<OwnedFd>) -> Reply {
        match self.start_exec(id, request, fds) {
            Ok(()) => Err(Pending::Exec),
            Err(failure) => Ok(Answer::Failed(failure)),
        }
    }

    fn start_exec(&mut self, id: u64, request: ExecRequest, fds: Vec<OwnedFd>) -> Result<(), Failure> {
        self.expect_running()?;
        if self.is_paused {
            return Err(not_running("is paused"));
        }
        if self.execs.len() >= MAX_EXECS {
            return Err(Failure::new(Fault::Busy, format!("{MAX_EXECS} execs run already")));
        }
        let is_detached = request.is_detached;
        let spec = spec::load_spec(&self.config.bundle)
            .map_err(|error| Failure::new(Fault::System, format!("cannot read the OCI spec: {error}")))?;
        let joining = plan_joining(&spec, request, fds)?;
        let (engine, container) = (self.config.engine.engine(), &self.container);
        let helper = Helper::start(|| engine.join(container, joining)).map_err(system("start a helper"))?;
        let stage = ExecStage::Joining(helper);
        self.execs.push(Exec { id: self.next_exec, connection: Some(id), is_detached, stage });
        self.next_exec += 1;
        Ok(())
    }

    fn delete(&mut self, is_forced: bool) -> Result<(), Failure> {
        if !matches!(self.task, Task::Ended(_)) && !is_forced {
            return Err(Failure::new(Fault::WrongState, "the task still runs"));
        }
        if matches!(self.task, Task::Running { .. }) {
            self.asked_signal = Some(Signal::SIGKILL as i32);
        }
        self.cgroup.remove(REMOVE_PATIENCE).map_err(system("remove the cgroup"))?;
        self.reap();
        let engine = self.config.engine.engine();
        engine.forget(&self.container).map_err(|error| Failure::new(Fault::System, super::chain(&error)))?;
        self.is_done = true;
        Ok(())
    }

    fn expect_running(&self) -> Result<(), Failure> {
        if matches!(self.task, Task::Running { .. }) { Ok(()) } else { Err(self.not_running()) }
    }

    fn not_running(&self) -> Failure {
        not_running(if matches!(self.task, Task::Starting(_)) { "is being started" } else { "has ended" })
    }
}

fn not_running(state: &str) -> Failure {
    Failure::new(Fault::WrongState, format!("the task {state}"))
}

fn system(action: &'static str) -> impl FnOnce(std::io::Error) -> Failure {
    move |error| Failure::new(Fault::System, format!("cannot {action}: {error}"))
}

/// Tells a request that is not known from one that is wrong: the first comes from a newer client.
fn parse(line: &[u8]) -> Result<Request, Failure> {
    #[derive(Deserialize)]
    struct Envelope {
        v: u32,
        request: serde_json::Value,
    }
    let malformed =
        |error: serde_json::Error| Failure::new(Fault::BadRequest, format!("malformed request: {error}"));
    let error = match serde_json::from_slice::<RequestLine>(line) {
        Ok(line) => return Ok(line.request),
        Err(error) => error,
    };
    let envelope: Envelope = serde_json::from_slice(line).map_err(malformed)?;
    let name = match &envelope.request {
        serde_json::Value::String(name) => Some(name),
        serde_json::Value::Object(fields) => fields.keys().next(),
        _ => None,
    };
    match name {
        Some(name) if !is_known(name) => Err(Failure::new(
            Fault::UnknownRequest,
            format!(
                "unknown request {name} of version {}: this supervisor speaks {PROTOCOL_VERSION}",
                envelope.v
            ),
        )),
        _ => Err(malformed(error)),
    }
}

/// Whether `name` is a request of this version, whatever its fields.
fn is_known(name: &str) -> bool {
    let probe = serde_json::json!({ "v": PROTOCOL_VERSION, "request": name });
    let error = serde_json::from_value::<RequestLine>(probe).err();
    !error.is_some_and(|error| error.to_string().contains("unknown variant"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_clients_request_is_told_from_a_wrong_one() {
        for (line, fault) in [
            (r#"{"v":9,"request":{"renew_lease":{"ms":5}}}"#, Fault::UnknownRequest),
            (r#"{"v":9,"request":"renew_lease"}"#, Fault::UnknownRequest),
            (r#"{"v":1,"request":{"kill":{"signal":"x"}}}"#, Fault::BadRequest),
            (r#"{"request":"ping"}"#, Fault::BadRequest),
            ("nonsense", Fault::BadRequest),
        ] {
            assert_eq!(parse(line.as_bytes()).unwrap_err().kind, fault, "{line}");
        }
    }

    #[test]
    fn fields_of_a_newer_client_are_ignored() {
        let line = r#"{"v":7,"lease":1,"request":{"wait":{"timeout_ms":5,"because":"new"}}}"#;
        assert_eq!(parse(line.as_bytes()).unwrap(), Request::Wait { timeout_ms: Some(5) });
    }
}
