//! The protocol from line to line, against the control core and no kernel; and who may connect.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{
    future::Future,
    io::{self, BufRead as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use plink_common::{
    abi::{FlowEntry, FrontendStats},
    drop_reason::DropReason,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    Backend, Client, Flow, Server, Site, Transport as _,
    protocol::{Answer, Envelope, MAX_LINE, Request},
    serve_stream,
    view::{MapFill, StatusView},
};
use crate::{
    control::{
        Command, Reply,
        testing::{Scene, World, consumer, name, provider},
    },
    model::{Account, AccountId, ControlError, State},
};

/// The control core alone, with a reconciler that is never done.
struct Core {
    site: Site,
    world: Mutex<World>,
}

impl Core {
    fn new(world: World) -> Self {
        let account = |(id, name): (&AccountId, &str)| Account {
            id: *id,
            name: name.to_owned(),
            access_key_id: String::new(),
            secret_access_key: String::new(),
        };
        let accounts = world.accounts.iter().zip(["provider", "consumer", "stranger"]).map(account).collect();
        Self { site: Site { name: "test".to_owned(), accounts, zones: world.zones.clone() }, world: Mutex::new(world) }
    }
}

impl Backend for Core {
    fn site(&self) -> &Site {
        &self.site
    }

    fn state(&self) -> Arc<State> {
        Arc::new(self.world.lock().unwrap().state.clone())
    }

    async fn execute(&self, caller: AccountId, command: Command) -> Result<Reply, ControlError> {
        self.world.lock().unwrap().run(caller, command)
    }

    async fn settled(&self, timeout: Duration) -> Result<(), Vec<String>> {
        Err(vec![format!("not done within {} ms", timeout.as_millis())])
    }

    fn status(&self) -> StatusView {
        StatusView::default()
    }

    fn drops(&self) -> Vec<(DropReason, u64)> {
        DropReason::ALL.iter().map(|reason| (*reason, 2)).collect()
    }

    fn frontend_stats(&self, _slot: u32) -> FrontendStats {
        FrontendStats::default()
    }

    fn flows(&self, _limit: usize, _keep: &(dyn Fn(&FlowEntry) -> bool + Sync)) -> Vec<Flow> {
        Vec::new()
    }

    fn now(&self) -> u32 {
        0
    }

    fn map_fill(&self) -> Vec<MapFill> {
        Vec::new()
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// All lines that the agent answers to these bytes.
fn conversation(core: &Core, input: &[u8]) -> Vec<Value> {
    let output = block_on(async {
        let (client, server) = tokio::io::duplex(1 << 16);
        let (mut from_server, mut to_server) = tokio::io::split(client);
        let (from_client, to_client) = tokio::io::split(server);
        let send = async {
            // The agent may hang up before it has read all.
            let _ = to_server.write_all(input).await;
            let _ = to_server.shutdown().await;
        };
        let receive = async {
            let mut output = String::new();
            from_server.read_to_string(&mut output).await.unwrap();
            output
        };
        // Takes its two halves with it when it ends, which closes the stream.
        let serve = async move {
            let _ = serve_stream(core, from_client, to_client).await;
        };
        let ((), output, ()) = tokio::join!(send, receive, serve);
        output
    });
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The answer to one request.
fn ask(core: &Core, envelope: &Value) -> Value {
    let mut answers = conversation(core, format!("{envelope}\n").as_bytes());
    assert_eq!(answers.len(), 1, "{answers:?}");
    answers.remove(0)
}

fn scene() -> (Core, String) {
    let mut scene = Scene::new(true);
    let endpoint = scene.endpoint();
    let tag = Command::Tag { resource: endpoint.to_string(), set: name("orders"), remove: vec![] };
    scene.world.run(consumer(), tag).unwrap();
    (Core::new(scene.world), endpoint.to_string())
}

#[test]
fn lines_are_answered_in_order_until_the_client_ends() {
    let (core, endpoint) = scene();
    let input = format!(
        "{}\n\n  \n{}\n{}",
        json!({"request": {"status": {}}}),
        json!({"request": {"show": {"kind": "endpoint", "object": "orders"}}}),
        json!({"request": {"list": {"kind": "vpc"}}}),
    );
    let answers = conversation(&core, input.as_bytes());
    assert_eq!(answers.len(), 3, "a blank line is none, the last needs no end: {answers:?}");
    let status = &answers[0]["ok"]["status"];
    assert_eq!((&status["objects"]["vpcs"], &status["objects"]["accounts"]), (&json!(2), &json!(3)));
    assert_eq!(status["endpoints"], json!({"pendingAcceptance": 1}));
    assert_eq!(status["drops"], json!(2 * DropReason::ALL.len()));
    assert_eq!(answers[1]["ok"]["objects"]["endpoints"][0]["id"], json!(endpoint));
    assert_eq!(answers[2]["ok"]["objects"]["vpcs"].as_array().unwrap().len(), 2);
}

#[test]
fn what_is_no_request_is_refused_and_the_next_line_is_read() {
    let core = Core::new(World::new());
    for (line, expected) in [
        ("hello", "expected value at line 1 column 1"),
        ("{\"request\": {\"stauts\": {}}}", "unknown variant `stauts`"),
        ("{\"request\": {\"status\": {}}, \"acount\": \"x\"}", "unknown field `acount`"),
        ("{}", "missing field `request`"),
        ("\u{0}\u{7f}", "expected value"),
    ] {
        let answers = conversation(&core, format!("{line}\n{{\"request\": {{\"drops\": {{}}}}}}\n").as_bytes());
        assert_eq!(answers[0]["error"]["code"], "MalformedRequest", "{line}");
        let message = answers[0]["error"]["message"].as_str().unwrap();
        assert!(message.contains(expected), "{line}: {message}");
        assert!(answers[1]["ok"]["drops"].is_array(), "{line}: {:?}", answers[1]);
    }
    let answers = conversation(&core, b"\xff\xfe\n");
    assert_eq!(answers[0]["error"]["code"], "MalformedRequest");
}

#[test]
fn a_line_beyond_the_bound_ends_the_connection() {
    let core = Core::new(World::new());
    let request = json!({"request": {"status": {}}}).to_string();
    let padded = format!("{}{request}\n", " ".repeat(MAX_LINE - request.len()));
    assert!(conversation(&core, padded.as_bytes())[0]["ok"]["status"].is_object(), "the longest line is read");
    let answers = conversation(&core, format!("{}\n{request}\n", "x".repeat(MAX_LINE + 1)).as_bytes());
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers[0]["error"]["message"], format!("the request is longer than {MAX_LINE} bytes"));
}

#[test]
fn without_an_account_the_owner_acts_and_with_one_it_has_to_be_the_owner() {
    let (core, endpoint) = scene();
    let accept = json!({"accept-endpoint": {"endpoint": "orders"}});
    let refused = ask(&core, &json!({"account": "consumer", "request": accept}));
    assert_eq!(refused["error"]["code"], "UnauthorizedOperation", "{refused}");
    let unknown = ask(&core, &json!({"account": "provder", "request": accept}));
    assert_eq!(unknown["error"]["field"], "account");
    assert_eq!(unknown["error"]["hint"], "did you mean `provider`?");
    assert_eq!(state_of(&core, &endpoint), "pendingAcceptance");
    // The service's owner, although the endpoint is the consumer's.
    ask(&core, &json!({"request": accept}));
    assert_eq!(state_of(&core, &endpoint), "available");
    ask(&core, &json!({"account": "111122223333", "request": {"reject-endpoint": {"endpoint": endpoint}}}));
    assert_eq!(state_of(&core, &endpoint), "rejected");
}

fn state_of(core: &Core, endpoint: &str) -> String {
    let shown = ask(core, &json!({"request": {"show": {"kind": "endpoint", "object": endpoint}}}));
    shown["ok"]["objects"]["endpoints"][0]["state"].as_str().unwrap().to_owned()
}

#[test]
fn an_object_that_hangs_on_no_other_needs_an_account() {
    let core = Core::new(World::new());
    let create = json!({"create-vpc": {"cidr": "10.0.0.0/16", "tags": {"Name": "main"}}});
    let refused = ask(&core, &json!({"request": create}));
    assert_eq!(refused["error"]["field"], "account");
    assert_eq!(refused["error"]["message"], "an account is needed, one of: provider, consumer, stranger");
    for account in ["provider", "444455556666"] {
        let made = ask(&core, &json!({"account": account, "wait-ms": 0, "request": create}));
        assert!(made["ok"]["changed"]["id"].as_str().unwrap().starts_with("vpc-"), "{made}");
    }
    // Both are called `main`: the account decides, or the ID.
    let delete = json!({"delete": {"kind": "vpc", "object": "main"}});
    let refused = ask(&core, &json!({"request": delete}));
    assert_eq!((&refused["error"]["code"], &refused["error"]["hint"]), (&json!("Ambiguous"), &json!("use the ID")));
    ask(&core, &json!({"account": "consumer", "request": delete}));
    let left = ask(&core, &json!({"request": {"list": {"kind": "vpc"}}}));
    let left = left["ok"]["objects"]["vpcs"].as_array().unwrap();
    assert_eq!((left.len(), &left[0]["account"]["name"]), (1, &json!("provider")));
}

#[test]
fn a_refusal_names_the_field_and_changes_nothing() {
    let (core, _) = scene();
    let before = core.state();
    let vpc = before.vpcs.values().find(|vpc| vpc.owner == provider()).unwrap().id.to_string();
    for (request, field, expected) in [
        (json!({"create-vpc": {"cidr": "10.0.0.0/33"}}), "cidr", "`10.0.0.0/33` is not an IPv4 network"),
        (
            json!({"create-subnet": {"vpc": vpc, "cidr": "10.0.9.0/24", "zone": "eu-west-1a"}}),
            "zone",
            "only: us-east-1a",
        ),
        (json!({"create-subnet": {"vpc": vpc, "cidr": "10.0.1.0/25"}}), "cidr", "overlaps"),
        (json!({"create-subnet": {"vpc": "orders", "cidr": "10.0.9.0/24"}}), "vpc", "no vpc with the ID or name"),
        (json!({"create-load-balancer": {"name": "x", "subnets": []}}), "subnets", "at least one subnet"),
        (
            json!({"create-listener": {"load-balancer": "nlb", "protocol": "TCP", "port": 65536, "target-group": "web"}}),
            "port",
            "port 65536 is out of range: 1 to 65535",
        ),
        (
            json!({"create-listener": {"load-balancer": "nlb", "protocol": "SCTP", "port": 1, "target-group": "web"}}),
            "protocol",
            "not one of",
        ),
        (
            json!({"create-listener": {"load-balancer": "nlb", "protocol": "TCP", "port": 1, "target-group": "wbe"}}),
            "target-group",
            "no target-group with the ID or name `wbe`",
        ),
        (
            json!({"register-targets": {"target-group": "web", "targets": [{"target": "10.0.1.9", "port": 0}]}}),
            "port",
            "0",
        ),
        (json!({"delete": {"kind": "account", "object": "provider"}}), "kind", "the agent's configuration"),
        (json!({"modify-service": {"service": "vpce-svc-1"}}), "service", "no service"),
    ] {
        let answer = ask(&core, &json!({"account": "provider", "request": request}));
        assert_eq!(answer["error"]["field"], field, "{request}: {answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(expected), "{request}: {answer}");
    }
    assert_eq!(*core.state(), *before);
}

#[test]
fn a_change_says_what_the_kernel_does_not_hold_yet_unless_told_not_to_wait() {
    let core = Core::new(World::new());
    let create = |wait: Value| json!({"account": "provider", "wait-ms": wait, "request": {"create-vpc": {"cidr": "10.0.0.0/16"}}});
    let problems = |answer: &Value| answer["ok"]["changed"]["problems"].clone();
    assert_eq!(problems(&ask(&core, &create(json!(0)))), json!([]));
    assert_eq!(problems(&ask(&core, &create(json!(70)))), json!(["not done within 70 ms"]));
    assert_eq!(problems(&ask(&core, &create(Value::Null))), json!(["not done within 10000 ms"]));
    let settle = json!({"wait-ms": u64::MAX, "request": {"settle": {}}});
    assert_eq!(problems(&ask(&core, &settle)), json!(["not done within 300000 ms"]), "the wait has a bound");
    let (core, _) = scene();
    let accept = json!({"request": {"accept-endpoint": {"endpoint": "orders"}}});
    assert_eq!(problems(&ask(&core, &accept)), json!([]), "its door is written before the answer");
}

/// Serves at a socket while `work` runs.
fn serving<R>(socket: &Path, work: impl FnOnce() -> R) -> R {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = {
        let _entered = runtime.enter();
        Server::bind(socket, None).unwrap()
    };
    let task = runtime.spawn(server.run(Arc::new(Core::new(World::new()))));
    let result = work();
    task.abort();
    runtime.shutdown_timeout(Duration::from_secs(5));
    result
}

fn run_dir() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("plink.sock");
    (folder, socket)
}

#[test]
fn the_socket_is_closed_to_others_and_replaced_when_nobody_listens() {
    let (folder, socket) = run_dir();
    // What a killed agent leaves.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    serving(&socket, || {
        assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
        let second = {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let _entered = runtime.enter();
            Server::bind(&socket, None).unwrap_err().to_string()
        };
        assert!(second.contains("another agent listens at"), "{second}");
        let mut client = Client::connect(folder.path()).unwrap();
        for _ in 0..2 {
            assert!(matches!(client.call(Envelope::from(Request::Status {})).unwrap(), Answer::Status(_)));
        }
    });
    assert!(!socket.exists(), "the socket goes with its server");
    assert_eq!(
        Client::connect(folder.path()).unwrap_err().to_string(),
        format!("no agent listens at {}", socket.display())
    );
    let group = block_on(async { Server::bind(&socket, Some("no-such-group-here")).unwrap_err() });
    assert!(group.to_string().contains("there is no group `no-such-group-here`"), "{group}");
}

/// A peer that got to the socket although its mode keeps it out is told why nothing is answered. Needs root, to be
/// somebody else.
#[test]
fn a_peer_of_another_user_and_group_is_refused() {
    assert!(nix::unistd::geteuid().is_root(), "another user can only be played by root: run the tests as root");
    let (folder, socket) = run_dir();
    let answer = serving(&socket, || {
        for (path, mode) in [(folder.path(), 0o755), (&*socket, 0o666)] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        thread::scope(|scope| scope.spawn(|| ask_as_nobody(&socket)).join().unwrap()).unwrap()
    });
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["error"]["code"], "UnauthorizedOperation");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("user 65534 may not use this socket"), "{message}");
}

/// Becomes nobody on this thread, which ends with it, and sends a request.
fn ask_as_nobody(socket: &Path) -> io::Result<String> {
    const NOBODY: libc::c_long = 65_534;
    // The system calls change one thread; their wrappers in libc change all of the process.
    for call in [libc::SYS_setresgid, libc::SYS_setresuid] {
        // SAFETY: the calls take integers only.
        if unsafe { libc::syscall(call, NOBODY, NOBODY, NOBODY) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    let mut stream = std::os::unix::net::UnixStream::connect(socket)?;
    stream.write_all(b"{\"request\": {\"status\": {}}}\n")?;
    let mut answer = String::new();
    io::BufReader::new(stream).read_line(&mut answer)?;
    Ok(answer)
}
