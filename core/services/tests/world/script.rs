//! Scenarios as text: each line is something that happens, and the transcript says what followed.
//!
//! ```text
//! agent NAME CPUS [key=value …]     an agent with so many cpus
//! drain NAME · undrain NAME         the agent is wanted back, or not any more
//! behave VERSION manual|healthy|starting|crash|reject
//! router slow                       nobody says that a task is drained
//! tree closed|open                  whether a wish to go back is written
//! want SERVICE N VERSION [min=%] [surge=%] [cpus=N] [no-port] [CONSTRAINT …]
//! stop SERVICE · remove SERVICE
//! running|healthy|starting INSTANCE · unhealthy INSTANCE FAILURES
//! exit INSTANCE CODE · lost INSTANCE · killed INSTANCE · rejected INSTANCE
//! drained INSTANCE · wait TIME (5s, 500ms, 10min) · restart · forget-records
//! show SERVICE · why SERVICE|INSTANCE
//! ```

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use kogge_model::health::Health;
use kogge_model::id::TaskId;
use kogge_model::name::ServiceId;
use kogge_model::resources::CpuMillis;
use kogge_model::scheduler::Call;
use kogge_model::service::ServiceSpec;
use kogge_model::task::{Exit, Outcome};
use kogge_services::{Effect, Explanation, Input, Subject};

use super::{Behaviour, World, spec};

/// Runs a script; the transcript repeats each line and tells what followed.
pub fn run_script(script: &str) -> String {
    let mut world = World::new();
    let (mut transcript, start) = (String::new(), world.now);
    for line in script.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.is_empty() || line.starts_with('#') {
            writeln!(transcript, "{line}").unwrap();
            continue;
        }
        world.said.clear();
        let answer = step(&mut world, &words);
        world.drain();
        if !world.has_lost_records {
            world.check_saved();
        }
        let at = world.now.saturating_since(start).as_millis();
        writeln!(transcript, "> {line}").unwrap();
        for said in &world.said {
            writeln!(transcript, "  {said}").unwrap();
        }
        transcript.push_str(&answer);
        if words[0] == "wait" {
            writeln!(transcript, "  now +{at} ms").unwrap();
        }
    }
    world.kernel.check_all_acknowledged();
    transcript
}

fn step(world: &mut World, words: &[&str]) -> String {
    match *words {
        ["agent", name, cpus, ref attributes @ ..] => {
            let attributes: Vec<_> = attributes.iter().map(|pair| pair.split_once('=').unwrap()).collect();
            world.kernel.add_agent(name, cpus.parse().unwrap(), &attributes);
            world.input(Input::Tick);
        }
        ["drain", name] => {
            world.kernel.drain(name, true);
            world.input(Input::Tick);
        }
        ["undrain", name] => {
            world.kernel.drain(name, false);
            world.input(Input::Tick);
        }
        ["behave", version, how] => {
            let behaviour = match how {
                "manual" => Behaviour::Manual,
                "healthy" => Behaviour::Healthy,
                "starting" => Behaviour::Starting,
                "crash" => Behaviour::Crash,
                "reject" => Behaviour::Reject,
                other => panic!("no behaviour {other}"),
            };
            world.behaviours.insert(version.to_owned(), behaviour);
        }
        ["router", "slow"] => world.is_router_quick = false,
        ["tree", how] => world.is_tree_open = how == "open",
        ["want", service, count, version, ref options @ ..] => {
            let wanted = with_options(spec(version, count.parse().unwrap()), options);
            write(world, service, Some(wanted));
        }
        ["stop", service] => {
            let id: ServiceId = service.parse().unwrap();
            let stopped = ServiceSpec { is_stopped: true, ..world.tree[&id].as_ref().clone() };
            write(world, service, Some(stopped));
        }
        ["remove", service] => write(world, service, None),
        ["wait", time] => world.wait(duration(time)),
        ["restart"] => world.restart(),
        ["forget-records"] => world.lose_records(),
        ["refuse-launches", count] => world.kernel.refuse_next = count.parse().unwrap(),
        ["show", service] => return show(world, service),
        ["why", subject] => return why(world, subject),
        ["drained", instance] => {
            let task = world.task_of(instance);
            world.input(Input::Drained { task });
        }
        [verb, instance, ref rest @ ..] => {
            let task = world.task_of(instance);
            tell_of_task(world, verb, &task, rest);
            world.input(Input::Tick);
        }
        _ => panic!("no step {words:?}"),
    }
    String::new()
}

fn tell_of_task(world: &mut World, verb: &str, task: &TaskId, rest: &[&str]) {
    match (verb, rest) {
        ("healthy", []) => world.run(task, Health::Healthy),
        ("starting", []) => world.run(task, Health::Starting),
        ("unhealthy", [failures]) => {
            let failures = failures.parse().unwrap();
            world.run(task, Health::Unhealthy { failures, reason: "connection refused".into() });
        }
        ("exit", [code]) => {
            let code: i32 = code.parse().unwrap();
            let outcome = if code == 0 { Outcome::Finished } else { Outcome::Failed };
            world.end(task, outcome, Some(Exit::Code { code }));
        }
        ("killed", []) => world.end(task, Outcome::Killed, Some(Exit::Signal { signal: 15 })),
        ("lost", []) => world.end(task, Outcome::Lost, None),
        ("rejected", []) => world.end(task, Outcome::Rejected, None),
        _ => panic!("no step {verb} {rest:?}"),
    }
}

fn write(world: &mut World, service: &str, wanted: Option<ServiceSpec>) {
    let input = world.write([(service.parse().unwrap(), wanted.map(Arc::new))]);
    world.input(input);
}

fn with_options(mut spec: ServiceSpec, options: &[&str]) -> ServiceSpec {
    for option in options {
        match option.split_once('=') {
            Some(("min", percent)) => spec.upgrade.min_healthy_percent = percent.parse().unwrap(),
            Some(("surge", percent)) => spec.upgrade.max_surge_percent = percent.parse().unwrap(),
            Some(("cpus", cpus)) => {
                spec.template.limits.cpu_millis = CpuMillis(cpus.parse::<u64>().unwrap() * 1_000);
            }
            _ if *option == "no-port" => {
                spec.template.ports.clear();
                spec.template.health = None;
            }
            _ => spec.constraints.push(option.parse().unwrap()),
        }
    }
    spec
}

fn duration(text: &str) -> Duration {
    let number = |unit| text.strip_suffix(unit).and_then(|number| number.parse::<u64>().ok());
    let millis = number("ms").map(Duration::from_millis);
    let minutes = number("min").map(|minutes| Duration::from_secs(60 * minutes));
    millis.or(minutes).or_else(|| number("s").map(Duration::from_secs)).expect("a time")
}

fn show(world: &World, service: &str) -> String {
    let Some(service) = world.services.get(&service.parse().unwrap()) else {
        return "  no such service\n".to_owned();
    };
    let mut table = String::new();
    for instance in service.instances.values() {
        let version = match &instance.template.command {
            Some(kogge_model::template::Command::Shell(version)) => version.as_str(),
            _ => "",
        };
        let agent = instance.attempt().map_or("-".to_owned(), |attempt| attempt.agent.to_string());
        let (id, phase, restarts) = (&instance.id, instance.phase.word(), instance.restarts);
        writeln!(table, "  {id:<8} {version:<4} {phase:<9} {agent:<3} restarts {restarts}").unwrap();
    }
    if let Some(deployment) = service.deployment() {
        let (id, state) = (&deployment.id, deployment.state.word());
        let good = service.record.last_good.as_ref().map_or(0, |good| good.revision.0);
        writeln!(table, "  {id} {state}, last good revision {good}").unwrap();
    }
    table
}

fn why(world: &World, subject: &str) -> String {
    let told = match subject.contains('.') {
        true => world.services.why_instance(&subject.parse().unwrap(), world.now),
        false => world.services.why(&subject.parse().unwrap(), world.now),
    };
    let Explanation { sentences, hints } = told.expect("something to explain");
    let mut text = String::new();
    for sentence in sentences {
        writeln!(text, "  {}", without_chance(&sentence)).unwrap();
    }
    for hint in hints {
        writeln!(text, "  hint: {hint}").unwrap();
    }
    text
}

/// What an effect says, if it says something to the world.
pub(super) fn tell(effect: &Effect) -> Option<String> {
    let said = match effect {
        Effect::Announce(announcement) => {
            let subject = match &announcement.subject {
                Subject::Deployment(id) => format!("deployment {id}"),
                Subject::Instance { number, .. } => format!("{}.{number}", announcement.service),
            };
            format!("{subject} {}: {}", announcement.state, announcement.text)
        }
        Effect::Call(Call::Kill { task, .. }) => format!("kernel ◀ kill {task}"),
        Effect::Call(Call::Accept { launches, .. }) => {
            let tasks: Vec<String> = launches.iter().map(|launch| launch.task.to_string()).collect();
            format!("kernel ◀ launch {}", tasks.join(" "))
        }
        Effect::Call(Call::Revive) => "kernel ◀ revive".to_owned(),
        Effect::Call(Call::Suppress) => "kernel ◀ suppress".to_owned(),
        Effect::Call(Call::Resume { known, .. }) => format!("kernel ◀ resume with {}", known.len()),
        Effect::Call(Call::Reconcile(tasks)) => format!("kernel ◀ reconcile {}", tasks.len()),
        Effect::Explain(decision) => match decision.verb.as_str() {
            "wait" | "move" | "stay" | "adopt" | "report" | "ignore" | "refused" | "remove" => {
                format!("{}: {}", decision.verb, decision.reason)
            }
            _ => return None,
        },
        Effect::RollBack { service, undone, reason, .. } => {
            format!("tree ◀ take back {undone} of {service}: {reason}")
        }
        Effect::Call(_)
        | Effect::SaveService(_)
        | Effect::ForgetService(_)
        | Effect::SaveInstance(_)
        | Effect::ForgetInstance(_) => return None,
    };
    Some(without_chance(&said))
}

/// Task ids without the letters drawn by chance.
fn without_chance(text: &str) -> String {
    let is_chance =
        |word: &str| word.len() == 8 && word.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'));
    let words = text.split(' ').map(|word| match word.rsplit_once('-') {
        Some((instance, chance)) if instance.contains('.') && is_chance(chance) => format!("{instance}-…"),
        _ => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}
