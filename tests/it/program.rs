//! Program: the real binary, from its start to its end, and what it says on the way.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::sessions::{keys, wait_for_keys};
use crate::support::{Browser, EchoUpstream, wait_until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cloakroom");

/// Runs a command to its end, with this standard input.
fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(PROGRAM)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    child.wait_with_output().expect("the program ends")
}

/// What a command that did its work printed.
#[track_caller]
fn printed(arguments: &[&str], input: &str) -> String {
    let output = run(arguments, input);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// A process; it is killed when dropped.
struct Killed(Child);

impl Killed {
    fn signal(&self, name: &str) {
        let signal = match name {
            "HUP" => Signal::HUP,
            "INT" => Signal::INT,
            "TERM" => Signal::TERM,
            other => panic!("no test sends {other}"),
        };
        let child = Pid::from_child(&self.0);
        kill_process(child, signal).expect("it lives");
    }

    /// How it ended, if it has.
    fn status(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("a child of ours")
    }

    #[track_caller]
    fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("its end", || {
            status = self.status();
            status.is_some()
        });
        status.expect("waited for")
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running `cloakroom serve` in a directory of its own.
struct Serving {
    child: Killed,
    directory: tempfile::TempDir,
    address: SocketAddr,
}

const USERS: &str = "login: { local: { users_file: users.yaml } }";

impl Serving {
    /// Starts it in front of an upstream, with these lines of YAML and the user `alice` of [`crate::support::PASSWORD`].
    #[track_caller]
    fn start(upstream: &EchoUpstream, yaml: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let file = |name: &str| directory.path().join(name);
        let hash = printed(&["hash-password", "--bcrypt", "--cost", "10"], crate::support::PASSWORD);
        fs::write(file("users.yaml"), format!("alice: \"{}\"\n", hash.trim())).expect("written");
        fs::write(file("cloakroom.yaml"), configuration(upstream, yaml)).expect("written");
        let log = File::create(file("log")).expect("made");
        let child = Command::new(PROGRAM)
            .arg("serve")
            .current_dir(directory.path())
            .env("CLOAKROOM_LOG", "trace")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("open"))
            .stderr(log)
            .spawn()
            .expect("the program starts");
        let child = Killed(child);
        let mut serving = Self { child, directory, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        serving.wait_for("listening on ");
        let log = serving.log();
        let address = log.split("listening on ").nth(1).and_then(|rest| rest.split_whitespace().next());
        serving.address = address.expect("an address").parse().expect("an address");
        serving
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Everything it has said, the access log included.
    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).expect("readable")
    }

    #[track_caller]
    fn wait_for(&mut self, words: &str) {
        wait_until(words, || {
            if let Some(status) = self.child.status() {
                panic!("it ended with {status}:\n{}", self.log());
            }
            self.log().contains(words)
        });
    }

    /// Writes another configuration, tells it to read that, and waits until it has said what came of it.
    #[track_caller]
    fn reload(&mut self, text: &str, outcome: &str) {
        fs::write(self.path("cloakroom.yaml"), text).expect("written");
        let before = self.log().matches(outcome).count();
        self.child.signal("HUP");
        wait_until(outcome, || self.log().matches(outcome).count() > before);
    }
}

fn configuration(upstream: &EchoUpstream, yaml: &str) -> String {
    let upstream = upstream.address();
    format!("listen: 127.0.0.1:0\nupstream: http://{upstream}\nadmin: off\nworkers: 1\n{USERS}\n{yaml}\n")
}

#[test]
fn a_broken_reload_changes_nothing_and_a_good_one_keeps_sessions() {
    let upstream = EchoUpstream::start();
    let mut serving = Serving::start(&upstream, "");
    let mut browser = Browser::at(serving.address);
    browser.sign_in("alice");
    let port = serving.address.port();
    let good = configuration(&upstream, "").replace("127.0.0.1:0", &format!("127.0.0.1:{port}"));

    let broken = good.replace("workers: 1", "wrokers: 1\nlimits: { headers: many }");
    serving.reload(&broken, "not reloaded, the old configuration stays");
    let log = serving.log();
    assert!(log.contains("did you mean `workers`"), "{log}");
    assert!(log.contains("cloakroom.yaml:4:1") && log.contains("cloakroom.yaml:5:"), "all of it: {log}");
    assert_eq!(browser.get("/").status, 200);

    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let unbound = good.replace(&format!("127.0.0.1:{port}"), &address) + "routes: [{ path: /x }]\n";
    serving.reload(&unbound, "not reloaded, the old configuration stays: cannot listen on");
    assert_eq!(browser.get("/").status, 200, "neither the routes nor the listeners have changed");

    serving.reload(&(good + "routes: [{ path: /only }]\n"), "INFO reloaded");
    wait_until("the new routes", || browser.get("/").status == 404);
    assert_eq!(browser.get("/only").status, 200, "still signed in");
    serving.child.signal("TERM");
    assert_eq!(serving.child.ended().code(), Some(0));
}

#[test]
fn keys_are_rotated_by_reloads() {
    let upstream = EchoUpstream::start();
    let mut serving = Serving::start(&upstream, &keys(&[1]));
    let same_port = format!("127.0.0.1:{}", serving.address.port());
    let with = |numbers| configuration(&upstream, &keys(numbers)).replace("127.0.0.1:0", &same_port);
    let mut early = Browser::at(serving.address);
    early.sign_in("alice");
    serving.reload(&with(&[2, 1]), "INFO reloaded");
    wait_for_keys(&mut early, &[2, 1]);
    assert_eq!(early.get("/").status, 200);
    let mut late = Browser::at(serving.address);
    late.sign_in("alice");
    serving.reload(&with(&[2]), "INFO reloaded");
    wait_for_keys(&mut early, &[2]);
    assert_eq!((early.get("/").status, late.get("/").status), (302, 200));
}

#[test]
fn a_key_in_the_state_directory_is_made_once_and_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let upstream = EchoUpstream::start();
    let serving = Serving::start(&upstream, "state_dir: state");
    let mode = fs::metadata(serving.path("state/keys")).expect("made").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
}

#[test]
fn no_log_ever_holds_an_id_a_password_or_a_query() {
    let upstream = EchoUpstream::start();
    let mut serving = Serving::start(&upstream, "log: { level: trace }\naccess_log: { format: json }");
    let mut browser = Browser::at(serving.address);
    browser.submit("/_cloakroom/login", &[("username", "alice"), ("password", "a-wrong-password")]);
    let nonce = browser.cookie("cloakroom-login").expect("a nonce").to_owned();
    browser.sign_in("alice");
    let ticket = browser.ticket().expect("a ticket").to_owned();
    assert_eq!(browser.get("/page?query=a-secret-query").status, 200);
    browser.set_field("Referer", "http://a.example/?query=a-secret-query");
    browser.get("/%zz");
    browser.sign_out();
    browser.set_cookie("cloakroom", &ticket);
    assert_eq!(browser.get("/").status, 302);
    serving.wait_for("/_cloakroom/logout");
    serving.child.signal("TERM");
    assert_eq!(serving.child.ended().code(), Some(0));
    let log = serving.log();
    assert!(log.contains("\"user\":\"alice\""), "{log}");
    for secret in [
        &ticket,
        &ticket[..43],
        &nonce,
        "a-wrong-password",
        crate::support::PASSWORD,
        "a-secret-query",
        "$2y$",
    ] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

#[test]
fn exit_codes_tell_a_bad_configuration_from_a_failure_and_from_a_wrong_command() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("cloakroom.yaml");
    let path = path.to_str().expect("text");
    let code = |arguments: &[&str]| run(arguments, "").status.code();
    assert_eq!(code(&["serve", "-c", path]), Some(78), "no file");
    fs::write(path, "listen: 1\n").expect("written");
    assert_eq!((code(&["serve", "-c", path]), code(&["check", "-c", path])), (Some(78), Some(78)));
    assert_eq!(code(&["explain", "GET", "/", "-c", path]), Some(78));

    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound");
    let text = format!(
        "listen: {address}\nupstream: http://127.0.0.1:9\nadmin: off\nroutes: [{{ path: /, access: public }}]\n"
    );
    fs::write(path, text).expect("written");
    assert_eq!(code(&["check", "-c", path]), Some(0));
    let output = run(&["serve", "-c", path], "");
    assert_eq!(output.status.code(), Some(1), "the address is taken");
    assert!(String::from_utf8_lossy(&output.stderr).contains(&format!("cannot listen on {address}")));
    assert_eq!(code(&["healthcheck", "--address", &address.to_string(), "--timeout", "1"]), Some(1));
    for wrong in [&["serve", "--nonsense"][..], &["explain"], &["completions", "tcsh"], &[]] {
        assert_eq!(code(wrong), Some(2), "{wrong:?}");
    }
    assert_eq!((code(&["--version"]), code(&["help", "serve"])), (Some(0), Some(0)));
}

#[test]
fn a_hash_lets_its_password_in_and_is_never_the_same() {
    let one = printed(&["hash-password"], "correct horse\n");
    let two = printed(&["hash-password"], "correct horse\n");
    assert!(
        one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && one.ends_with('\n') && one.lines().count() == 1
    );
    assert_ne!(one, two);
    assert!(
        printed(&["hash-password", "--bcrypt", "--cost", "10"], "x y z long enough").starts_with("$2y$10$")
    );
    let yaml = format!(
        "listen: 127.0.0.1:0\nupstream: http://127.0.0.1:9\nlogin: {{ local: {{ users: {{ a: \"{}\" }} }} }}",
        one.trim()
    );
    assert!(printed(&["check", "-c", "-"], &yaml).contains("ok"));
    assert_eq!(run(&["hash-password"], "").status.code(), Some(1), "an empty password");
}

#[test]
fn users_are_added_listed_and_removed() {
    let directory = tempfile::tempdir().expect("a directory");
    let path: &Path = &directory.path().join("users.yaml");
    let path = path.to_str().expect("text");
    printed(
        &["users", "add", path, "carol", "--group", "staff", "--email", "c@example.com"],
        "correct horse\n",
    );
    printed(&["users", "add", path, "김철수"], "correct horse\n");
    let list = printed(&["users", "list", path], "");
    assert!(list.contains("carol") && list.contains("김철수") && list.contains("staff"), "{list}");
    assert!(!list.contains("argon2"), "no hash is shown: {list}");
    assert_eq!(
        run(&["users", "add", path, "carol"], "other horse\n").status.code(),
        Some(1),
        "she is there already"
    );
    printed(&["users", "remove", path, "carol"], "");
    assert!(!printed(&["users", "list", path], "").contains("carol"));
    assert_eq!(run(&["users", "remove", path, "carol"], "").status.code(), Some(1));
}

#[test]
fn init_writes_a_file_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("cloakroom.yaml");
    let path = path.to_str().expect("text");
    printed(&["init", path], "");
    let first = fs::read_to_string(path).expect("written");
    assert_eq!(run(&["init", path], "").status.code(), Some(1), "it never overwrites");
    assert_eq!(fs::read_to_string(path).expect("still there"), first);
    printed(&["check", "-c", path], "");
}

#[test]
fn explain_answers_who_may_pass_and_what_the_application_receives() {
    let yaml = "
listen: 127.0.0.1:8080
upstream: http://127.0.0.1:9
login: { local: { users_file: /dev/null } }
routes:
  - { path: /staff/, access: { groups: [staff] } }
  - { path: /, access: login }
";
    let explain = |arguments: &[&str]| {
        let output = run(&[&["explain"], arguments, &["-c", "-"]].concat(), yaml);
        (output.status.code(), String::from_utf8(output.stdout).expect("text"))
    };
    let (code, text) = explain(&["GET", "/staff/x", "--user", "alice", "--groups", "staff,ops"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("X-Auth-User: alice") && text.contains("X-Auth-Groups: staff,ops"), "{text}");
    assert_eq!(explain(&["GET", "/staff/x", "--user", "bob", "--groups", "ops"]).0, Some(1), "403");
    assert_eq!(explain(&["GET", "/"]).0, Some(1), "401");
    let (code, text) =
        explain(&["GET", "https://a.example/a/../staff/./y?q=1", "--user", "u", "--groups", "staff"]);
    assert!(code == Some(0) && text.contains("GET /staff/y?q=1 HTTP/1.1"), "{text}");
}

#[test]
fn completions_manual_and_schema_know_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        assert!(printed(&["completions", shell], "").contains("hash-password"), "{shell}");
    }
    let manual = printed(&["man"], "");
    assert!(manual.contains(".TH") && manual.contains(".SH"), "{manual}");
    for command in
        ["demo", "serve", "check", "explain", "init", "schema", "users", "healthcheck", "completions"]
    {
        assert!(manual.contains(command), "{command}");
    }
    let schema: serde_json::Value = serde_json::from_str(&printed(&["schema"], "")).expect("JSON");
    for key in ["listen", "upstreams", "routes", "session", "keys", "login", "access_log"] {
        assert!(schema["properties"][key].is_object(), "{key}");
    }
}

#[test]
fn the_demo_prints_what_signs_in() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("said");
    let said = File::create(&path).expect("made");
    let child = Command::new(PROGRAM)
        .args(["demo", "--listen", "127.0.0.1:0"])
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(said.try_clone().expect("open"))
        .stderr(said)
        .spawn()
        .expect("the program starts");
    let mut demo = Killed(child);
    let said = || fs::read_to_string(&path).expect("readable");
    wait_until("the demo listens", || said().contains("listening on ") || said().contains("Ctrl-C"));
    let after = |word: &str| {
        let text = said();
        let line = text.lines().find_map(|line| line.trim().strip_prefix(word)).map(str::trim);
        line.unwrap_or_else(|| panic!("no {word} in {text}")).to_owned()
    };
    let address = after("Open").replace("http://", "").replace('/', "");
    let mut browser = Browser::at(address.parse().expect("an address"));
    wait_until("it takes connections", || std::net::TcpStream::connect(&address).is_ok());
    let form = [("username", &*after("User")), ("password", &*after("Password"))];
    assert_eq!(browser.submit("/_cloakroom/login", &form).status, 303);
    let page = browser.get("/").text();
    assert!(page.contains("alice"), "{page}");
    demo.signal("INT");
    assert_eq!(demo.ended().code(), Some(0));
}

#[test]
fn health_is_what_the_gateway_says_of_itself() {
    let upstream = EchoUpstream::start();
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").to_string();
    let mut serving = Serving::start(&upstream, "");
    let port = serving.address.port();
    let text = configuration(&upstream, "").replace("127.0.0.1:0", &format!("127.0.0.1:{port}"));
    let healthy = |address: &str| run(&["healthcheck", "--address", address], "").status.code();
    assert_eq!(healthy(&free), Some(1), "nobody is there yet");
    serving
        .reload(&text.replace("admin: off", &format!("admin: {{ address: \"{free}\" }}")), "INFO reloaded");
    assert_eq!(healthy(&free), Some(0));
}

#[test]
fn a_second_gateway_on_the_same_address_is_refused() {
    let upstream = EchoUpstream::start();
    let serving = Serving::start(&upstream, "");
    let text = configuration(&upstream, "").replace("127.0.0.1:0", &serving.address.to_string());
    fs::write(serving.path("second.yaml"), text).expect("written");
    let mut command = Command::new(PROGRAM);
    command.args(["serve", "-c", "second.yaml"]).current_dir(serving.directory.path());
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot listen on") && said.contains("in use"), "{said}");
}
