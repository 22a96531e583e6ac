//! `cloakroom demo`: a gateway with a small application behind it, in one process.
//!
//! Comes in: an address at most. Goes out: a configuration like the one an operator would write, and a page of things to
//! try. Needs no file and no network, keeps nothing, and listens on the loopback only unless told otherwise.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::ExitCode;
use std::{io, thread};

use anyhow::{Context as _, ensure};

use super::hash_password;

mod account;
mod app;
mod areas;
mod form;
mod home;
mod instructions;
mod live;
mod notice;
mod page;
mod preferences;
mod reader;
mod shop;
mod websocket;

const USUAL_PORT: u16 = 8080;

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen, on the loopback: 127.0.0.1:8080 by default, or a free port when that one is taken
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

/// Starts the application, says what to try, and runs the gateway: `serve_text` takes the configuration as YAML and
/// returns when the gateway has been told to stop.
///
/// # Errors
/// When an address cannot be listened on, or the gateway fails.
pub fn run(
    args: &Args,
    serve_text: impl FnOnce(&str) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    ensure!(
        args.listen.is_none_or(|address| address.ip().is_loopback()),
        "the demo listens on the loopback only: its pages are not meant for others"
    );
    let place = match args.listen {
        Some(address) => TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?,
        None => usual_or_free_place().context("no port is free on 127.0.0.1")?,
    };
    let admin_place = free_place()?;
    let (listen, admin) = (place.local_addr()?, admin_place.local_addr()?);
    let application = start_application().context("cannot start the demo application")?;
    let password = readable_password()?;
    let yaml = configuration(listen, admin, application, &hash_password::argon2id(&password)?);
    // Held until now so that no two are the same; from here on they are the gateway's.
    drop((place, admin_place));
    io::stdout().write_all(instructions(listen, &password).as_bytes())?;
    serve_text(&yaml)
}

fn usual_or_free_place() -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, USUAL_PORT)).or_else(|_| free_place())
}

fn free_place() -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
}

/// Starts the application on a thread and a free port of its own, where it lives as long as the process.
fn start_application() -> io::Result<SocketAddr> {
    let listener = free_place()?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _entered = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    thread::Builder::new().name("demo-app".into()).spawn(move || runtime.block_on(app::serve(listener)))?;
    Ok(address)
}

/// Eight syllables of six bits each: enough against guessing through a throttled login page, easy to type.
fn readable_password() -> anyhow::Result<String> {
    const CONSONANTS: &[u8; 16] = b"bdfghjklmnprstvz";
    const VOWELS: &[u8; 4] = b"aeiu";
    let mut random = [0; 8];
    getrandom::fill(&mut random).context("the system gives no random numbers")?;
    let mut password = String::with_capacity(19);
    for (at, byte) in random.into_iter().enumerate() {
        if at > 0 && at % 2 == 0 {
            password.push('-');
        }
        password.push(char::from(CONSONANTS[usize::from(byte & 0x0F)]));
        password.push(char::from(VOWELS[usize::from(byte >> 4 & 0x03)]));
    }
    Ok(password)
}

fn configuration(
    listen: SocketAddr,
    admin: SocketAddr,
    application: SocketAddr,
    password_hash: &str,
) -> String {
    format!(
        r#"# What `cloakroom demo` runs: the application's pages for everybody, for visitors who may or may not be logged in, for
# two groups, and for whoever is logged in.
listen: "{listen}"
upstreams:
  demo:
    servers: ["http://{application}"]
routes:
  - {{ path: /public/, access: public, upstream: demo }}
  - {{ path: /shop/, access: optional, upstream: demo, session_headers: {{ X-Theme: shared.theme }} }}
  - {{ path: /preferences/, access: optional, upstream: demo, session_headers: {{ X-Theme: shared.theme }} }}
  - {{ path: /staff/, access: {{ groups: [staff] }}, upstream: demo, session_headers: {{ X-Theme: shared.theme }} }}
  - {{ path: /finance/, access: {{ groups: [finance] }}, upstream: demo, session_headers: {{ X-Theme: shared.theme }} }}
  - {{ path: /, access: login, upstream: demo, session_headers: {{ X-Theme: shared.theme }} }}
session:
  preferences: [shared.theme, shared.language, shared.hide-notice]
login:
  title: Cloakroom demo
  local:
    users:
      alice:
        password: "{password_hash}"
        name: Alice Example
        email: alice@example.com
        groups: [staff]
admin: {{ address: "{admin}" }}
access_log: {{ format: common, output: stdout }}
log: {{ level: error }}
"#
    )
}

fn instructions(listen: SocketAddr, password: &str) -> String {
    let url = format!("http://{listen}");
    let mut text = format!(
        "Cloakroom demo: a gateway, and behind it an old application without login.\n\n\
         \x20 Open      {url}/\n  User      alice\n  Password  {password}\n\n\
         In a browser: sign in, look at the headers the application received, try the links. {url}/shop/\n\
         needs no login.\n\
         In a shell:\n"
    );
    let commands = [
        ("", "/public/", "a page for everybody"),
        (" -d add=cart-tea", "/shop/cart", "a visitor without login: `Session-Add` becomes a session"),
        ("", "/", "401: nobody is logged in, and this is no browser"),
        (" -H 'Accept: text/html'", "/", "302 to the login page, as a browser gets it"),
        (" -H 'X-Auth-User: root'", "/public/", "the application never sees this header"),
        (" --path-as-is", "/public/../staff/", "401: judged by where the path leads"),
    ];
    for (options, path, outcome) in commands {
        let _ = writeln!(text, "  {:<68}  # {outcome}", format!("curl -i{options} {url}{path}"));
    }
    text.push_str("\nCtrl-C ends it. Every request is a line below.\n\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_names_free_ports_and_a_hashed_password() {
        let args = Args { listen: Some("127.0.0.1:0".parse().unwrap()) };
        let code = run(&args, |yaml| {
            let listen = yaml.lines().find_map(|line| line.strip_prefix("listen: ")).unwrap();
            TcpListener::bind(listen.trim_matches('"')).unwrap();
            assert!(yaml.contains("password: \"$argon2id$v=19$m=19456,t=2,p=1$"));
            Ok(ExitCode::SUCCESS)
        });
        assert_eq!(code.unwrap(), ExitCode::SUCCESS);
    }

    #[test]
    fn the_demo_listens_on_the_loopback_only() {
        let args = Args { listen: Some("0.0.0.0:0".parse().unwrap()) };
        assert!(run(&args, |_| unreachable!("refused before")).is_err());
    }

    #[test]
    fn a_taken_port_is_replaced_by_a_free_one() {
        let _usual = TcpListener::bind((Ipv4Addr::LOCALHOST, USUAL_PORT));
        assert_ne!(usual_or_free_place().unwrap().local_addr().unwrap().port(), USUAL_PORT);
    }

    #[test]
    fn generated_passwords_are_readable_and_differ() {
        let (one, two) = (readable_password().unwrap(), readable_password().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.len(), 19);
        assert!(
            one.split('-').all(|part| part.len() == 4 && part.bytes().all(|byte| byte.is_ascii_lowercase()))
        );
    }
}
