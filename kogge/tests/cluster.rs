//! Several machines as one cloud, tried on one: agents that join, servers that die.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod machines;

use std::time::{Duration, Instant};

use kogge_testkit::wait;
use machines::{Machine, PATIENCE, etcd};

#[test]
fn agents_that_join_run_route_and_answer_like_the_first_machine() {
    let first = Machine::first("m0");
    let (one, two) = (first.joined("a1"), first.joined("a2"));
    first.load_busybox("box:1");
    first.deploy_web(6);
    let nodes = first.json(&["node", "list"]);
    for node in nodes.as_array().unwrap().iter().filter(|node| node["role"] == "agent") {
        assert_eq!(node["tasks"].as_array().unwrap().len(), 2, "{node}");
    }
    // Each router knows the instances of all machines.
    for machine in [&first, &one, &two] {
        let mut seen = std::collections::BTreeSet::new();
        wait::until(&format!("answers of all instances through {}", machine.name), PATIENCE, || {
            seen.insert(machine.get("web.localhost").filter(|answer| answer.status == 200)?.text);
            (seen.len() == 6).then_some(())
        });
    }
    let lines = first.ok(&["logs", "web"]);
    assert_eq!(lines.matches("started").count(), 6, "{lines}");
    for number in 1..=6 {
        let name = first.ok(&["exec", &format!("web.{number}"), "--", "hostname"]);
        assert_eq!(name.trim(), format!("web-{number}"));
    }
    first.ok(&["destroy", "web", "--yes"]);
    one.leave();
    two.leave();
    first.down();
}

#[test]
fn g7_an_agents_death_touches_no_task_and_a_lost_machines_tasks_are_replaced() {
    let first = Machine::first("m0");
    let (one, two) = (first.joined("a1"), first.joined("a2"));
    first.load_busybox("box:1");
    first.deploy_web(3);
    let before = first.json(&["ps"]);
    one.kill();
    one.ok(&["agent", "--detach", "--doors", "ephemeral"]);
    first.agent_is("a1", "ready");
    assert_eq!(first.pids(&before), first.pids(&first.json(&["ps"])), "no task was touched");
    // A machine that dies takes its tasks with it.
    two.kill();
    two.kill_tasks();
    wait::until("a replacement elsewhere", PATIENCE, || {
        let instances = first.json(&["ps"]);
        let instances = instances.as_array().unwrap();
        let elsewhere = instances.iter().filter(|one| one["healthy"] == true && one["agent"] != "a2").count();
        (elsewhere == 3).then_some(())
    });
    first.agent_is("a2", "lost");
    // It comes back, and what it has too much ends (G10).
    two.ok(&["agent", "--detach", "--doors", "ephemeral"]);
    first.agent_is("a2", "ready");
    wait::until("three instances and no more", PATIENCE, || {
        let instances = first.json(&["ps"]);
        (instances.as_array().unwrap().len() == 3).then_some(())
    });
    first.ok(&["destroy", "web", "--yes"]);
    one.leave();
    two.leave();
    first.down();
}

#[test]
fn g11_a_drained_machine_is_emptied_without_a_lost_request_and_gets_work_back() {
    let first = Machine::first("m0");
    let one = first.joined("a1");
    first.load_busybox("box:1");
    first.deploy_web(4);
    let requests = machines::Requests::start(&first, "web.localhost");
    let tasks = |name: &str| {
        let nodes = first.json(&["node", "info", name]);
        nodes.as_array().unwrap_or(&vec![nodes.clone()])[0]["tasks"].as_array().unwrap().len()
    };
    assert_eq!(tasks("a1"), 2);
    first.ok(&["node", "drain", "a1", "--wait"]);
    assert_eq!((tasks("a1"), tasks("m0")), (0, 4));
    first.healthy("web", 4);
    assert_eq!(requests.failed(), Vec::<String>::new());
    // Nothing new goes there until it is wanted again.
    first.ok(&["scale", "web=6"]);
    assert_eq!(tasks("a1"), 0);
    first.ok(&["node", "undrain", "a1"]);
    wait::until("work on the machine that is back", PATIENCE, || (tasks("a1") >= 2).then_some(()));
    first.healthy("web", 6);
    // Gone and forgotten: it does not come in again.
    first.ok(&["destroy", "web", "--yes"]);
    wait::until("an empty machine", PATIENCE, || (tasks("a1") == 0).then_some(()));
    one.kill();
    assert!(first.fails(&["node", "forget", "a1", "--yes"]).contains("a1"), "it is not given up yet");
    first.agent_is("a1", "lost");
    first.ok(&["node", "forget", "a1", "--yes"]);
    one.ok(&["agent", "--detach", "--doors", "ephemeral"]);
    wait::until("the refusal", PATIENCE, || one.log().contains("not any more, a member").then_some(()));
    one.leave();
    first.down();
}

#[test]
fn whoever_has_no_good_token_stays_outside_and_hears_why() {
    let (first, other) = (Machine::new("m0"), Machine::new("n0"));
    for machine in [&first, &other] {
        machine.ok(&["up", "--detach", "--doors", "ephemeral", "--agents-bind", "127.0.0.1:0"]);
    }
    let door = first.door("agents");
    let stranger = Machine::new("a1");
    let refused = |token: Option<&str>, door: &str| {
        let mut command = stranger.command(&["join", door, "--no-start"]);
        if let Some(token) = token {
            command.env("KOGGE_TOKEN", token);
        }
        let output = command.output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(refused(None, &door).contains("a token is needed"), "{}", refused(None, &door));
    assert!(refused(Some("kogge1.nothing"), &door).contains("not a join token"));
    let foreign = other.token(&[]);
    let text = refused(Some(&foreign), &door);
    assert!(text.contains("is not believed") && text.contains("hint:"), "{text}");
    let used = first.token(&[]);
    let guest = Machine::new("a2");
    guest.join(&door, &used);
    let text = refused(Some(&used), &door);
    assert!(text.contains("the token was used at") && text.contains("kogge node token"), "{text}");
    let short = first.token(&["--ttl", "1s"]);
    let minted = Instant::now();
    wait::until("its end", PATIENCE, || (minted.elapsed() > Duration::from_secs(1)).then_some(()));
    let text = refused(Some(&short), &door);
    assert!(text.contains("the token expired at"), "{text}");
    let text = refused(Some(&used), "127.0.0.1:1");
    assert!(text.contains("cannot reach server 127.0.0.1:1"), "{text}");
    // An agent is no operator: its data directory opens no API.
    assert!(guest.fails(&["agent", "--data", "/nonexistent-kogge"]).contains("join first"));
    guest.leave();
    for machine in [first, other] {
        machine.down();
    }
}

#[test]
fn g8_servers_take_over_from_each_other_and_no_request_notices() {
    let engine = etcd();
    let servers: Vec<Machine> = ["s1", "s2", "s3"].map(Machine::new).into();
    for server in &servers {
        server.serve(&engine.address);
    }
    let agents = [servers[1].joined("a1"), servers[2].joined("a2")];
    servers[0].load_busybox("box:1");
    servers[2].deploy_web(4);
    let pids = servers[1].pids(&servers[1].json(&["ps"]));
    assert_eq!(pids.len(), 4);
    let requests = machines::Requests::start(&agents[0], "web.localhost");

    // Killed: another one takes over, and takes writes.
    assert_eq!(servers[1].leader().as_deref(), Some("s1"));
    wait::until("the image on the other servers", PATIENCE, || {
        let has = |server: &Machine| server.log().contains("fetched from another server");
        (has(&servers[1]) && has(&servers[2])).then_some(())
    });
    servers[0].kill();
    let died = Instant::now();
    // Reads of a standby go on all the while.
    assert_eq!(servers[1].pids(&servers[1].json(&["ps"])), pids);
    wait::until("a write", PATIENCE, || {
        servers[2].run(&["scale", "web=5", "--detach"]).status.success().then_some(())
    });
    assert!(died.elapsed() < Duration::from_secs(20), "it took {:?}", died.elapsed());
    servers[2].healthy("web", 5);
    let second = servers[2].leader().unwrap();
    assert_ne!(second, "s1");

    // It comes back and follows; the leader steps down, and another one leads.
    servers[0].serve(&engine.address);
    assert_eq!(servers[0].leader().as_ref(), Some(&second));
    servers[0].ok(&["server", "step-down"]);
    wait::until("another leader", PATIENCE, || servers[0].leader().filter(|leader| *leader != second));
    servers[0].ok(&["scale", "web=4"]);
    servers[0].healthy("web", 4);
    let now = servers[1].pids(&servers[1].json(&["ps"]));
    assert!(pids.iter().filter(|pid| now.contains(pid)).count() >= 3, "{pids:?} {now:?}");

    // A copy says how new it is.
    let follower = servers.iter().find(|server| server.leader().as_deref() != Some(&server.name)).unwrap();
    let answer = kogge_testkit::cloud::get(&follower.door("api"), "localhost", "/api/v1/services").unwrap();
    assert!(
        answer.text.contains("kogge-index: ") && answer.text.contains("kogge-age-ms: "),
        "{}",
        answer.text
    );

    assert_eq!(requests.failed(), Vec::<String>::new());
    servers[1].ok(&["destroy", "web", "--yes"]);
    for agent in agents {
        agent.leave();
    }
    for server in servers {
        server.stop();
    }
}

#[test]
fn a_second_server_of_the_same_name_does_not_start_and_the_name_is_free_again_later() {
    let engine = etcd();
    let (first, twin) = (Machine::new("s1"), Machine::new("s1"));
    first.serve(&engine.address);
    let words = ["server", "--doors", "ephemeral", "--state", &engine.address, "--name", "s1"];
    let text = twin.fails(&words);
    let is_told =
        text.contains("another server called s1 runs at 127.0.0.1:") && text.contains("hint: give each");
    assert!(is_told, "{text}");
    assert_eq!(first.leader().as_deref(), Some("s1"));
    first.stop();
    twin.serve(&engine.address);
    wait::until("the other one to lead", PATIENCE, || twin.leader().filter(|leader| leader == "s1"));
    twin.stop();
}

#[test]
fn g4_a_server_of_a_cluster_refuses_a_state_that_is_empty_or_of_another_one() {
    let engine = etcd();
    let (first, other) = (Machine::new("s1"), Machine::new("s2"));
    first.serve(&engine.address);
    first.kill();
    let elsewhere = format!("{}-other", engine.address);
    let words = ["server", "--doors", "ephemeral", "--state", &elsewhere, "--name", "s1"];
    let text = first.fails(&words);
    assert!(text.contains("the state is empty, and this server is one of cluster"), "{text}");
    assert!(text.contains("hint: ") && text.contains("kogge state restore"), "{text}");
    // Whoever knows of no cluster founds one.
    other.serve(&elsewhere);
    let text = first.fails(&words);
    assert!(text.contains("the state is that of cluster"), "{text}");
    other.stop();
    first.serve(&engine.address);
    first.stop();
}

/// Hears which copies live: each says its `KOGGE_FENCE` again and again.
fn register() -> (u16, std::sync::Arc<std::sync::Mutex<Vec<u64>>>) {
    use std::io::Read;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let book = std::sync::Arc::clone(&heard);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut line = String::new();
            let _ = stream.unwrap().read_to_string(&mut line);
            if let Ok(fence) = line.trim().parse() {
                book.lock().unwrap().push(fence);
            }
        }
    });
    (port, heard)
}

#[test]
fn g9_a_single_copy_that_is_cut_off_ends_by_itself_before_another_one_lives() {
    let first = Machine::new("m0");
    first.ok(&["up", "--detach", "--doors", "ephemeral", "--agents-bind", "127.0.0.1:0", "--name", "m0"]);
    let agents = [first.joined("a1"), first.joined("a2")];
    for name in ["a1", "a2"] {
        first.ok(&["node", "label", name, "copies=yes"]);
    }
    first.load_busybox("box:1");
    let (port, heard) = register();
    let command = format!("while true; do echo $KOGGE_FENCE | nc 127.0.0.1 {port}; sleep 0.05; done");
    first.ok(&[
        "deploy",
        "--image",
        "box:1",
        "--name",
        "ledger",
        "--single",
        "--lease",
        "4s",
        "--on",
        "copies=yes",
        "--network",
        "host",
        "--command",
        &command,
    ]);
    assert!(first.fails(&["scale", "ledger=2"]).contains("single"));
    let before = first.json(&["ps"]);
    let (holder, pid) = (before[0]["agent"].as_str().unwrap().to_owned(), first.pids(&before)[0]);
    let lives = || std::path::Path::new(&format!("/proc/{pid}")).exists();

    // Renewed, it outlives its first lease.
    let begun = Instant::now();
    wait::until("more than a lease", PATIENCE, || (begun.elapsed() > Duration::from_secs(5)).then_some(()));
    assert!(lives());

    // Nobody is left on its machine but its supervisor.
    let agent = agents.iter().find(|agent| agent.name == holder).unwrap();
    agent.kill();
    let cut_off = Instant::now();
    assert!(lives(), "the agent's death alone touches no task");
    wait::until("its end", PATIENCE, || (!lives()).then_some(()));
    assert!(cut_off.elapsed() < Duration::from_secs(4), "it lived for {:?}", cut_off.elapsed());
    let last = heard.lock().unwrap().len();
    wait::until("a copy elsewhere", PATIENCE, || {
        let now = first.json(&["ps"]);
        (now[0]["healthy"] == true && now[0]["agent"] != holder.as_str()).then_some(())
    });
    assert!(cut_off.elapsed() > Duration::from_secs(4), "replaced after {:?}", cut_off.elapsed());
    wait::until("its word", PATIENCE, || (heard.lock().unwrap().len() > last + 3).then_some(()));
    let fences = heard.lock().unwrap().clone();
    assert!(fences.is_sorted() && fences.first() < fences.last(), "{fences:?}");
    assert!(first.ok(&["why", "ledger"]).contains("lease"), "{}", first.ok(&["why", "ledger"]));

    // The machine's agent is back, and there is still one copy.
    agent.ok(&["agent", "--detach", "--doors", "ephemeral"]);
    first.agent_is(&holder, "ready");
    first.healthy("ledger", 1);
    first.ok(&["destroy", "ledger", "--yes"]);
    for agent in agents {
        agent.leave();
    }
    first.down();
}

#[test]
fn g9_a_single_copy_waits_for_a_machine_that_may_have_an_ordinary_one() {
    let first = Machine::first("m0");
    let agents = [first.joined("a1"), first.joined("a2")];
    for name in ["a1", "a2"] {
        first.ok(&["node", "label", name, "copies=yes"]);
    }
    first.load_busybox("box:1");
    let ordinary = [
        "deploy",
        "--image",
        "box:1",
        "--name",
        "ledger",
        "--on",
        "copies=yes",
        "--command",
        "exec sleep 1000",
    ];
    first.ok(&ordinary);
    let before = first.json(&["ps"]);
    let (holder, pid) = (before[0]["agent"].as_str().unwrap().to_owned(), first.pids(&before)[0]);
    let lives = || std::path::Path::new(&format!("/proc/{pid}")).exists();
    let agent = agents.iter().find(|agent| agent.name == holder).unwrap();
    agent.kill();
    first.agent_is(&holder, "lost");

    // Nobody can end the old copy, and nobody knows whether it lives.
    let mut deploying = first.command(&[&ordinary[..], &["--single"]].concat()).spawn().unwrap();
    let why = wait::until("the reason to wait", PATIENCE, || {
        let why = first.ok(&["why", "ledger"]);
        why.contains(&format!("kogge node forget {holder}")).then_some(why)
    });
    assert!(why.contains(&format!("may live on agent {holder}, which is not heard of")), "{why}");
    assert_eq!(first.json(&["ps"])[0]["healthy"], false);
    assert!(lives() && deploying.try_wait().unwrap().is_none());

    agent.ok(&["agent", "--detach", "--doors", "ephemeral"]);
    assert!(deploying.wait().unwrap().success());
    assert!(!lives(), "it was ended first");
    first.healthy("ledger", 1);
    first.ok(&["destroy", "ledger", "--yes"]);
    for agent in agents {
        agent.leave();
    }
    first.down();
}
