//! Load: makes load for proxies, and is the application behind them.
#![forbid(unsafe_code)]

mod body;
mod engine;
mod exchange;
mod form;
mod head;
mod job;
mod lines;
mod link;
mod logins;
mod pace;
mod request;
mod run;
mod serve;
mod tally;
mod tls;
mod upstream;
mod websocket;

use std::io;
use std::path::Path;
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use logins::Wanted;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let address = |text: &str| text.parse().map_err(|_| io::Error::other(format!("{text} is no address")));
    let outcome = open_files().and_then(|()| match words[..] {
        [at] if !at.starts_with('-') => serve::serve(address(at)?),
        ["logins", target, count, cookies, names, ref rest @ ..] => {
            let number =
                |text: &str| text.parse().map_err(|_| io::Error::other(format!("{text} is no number")));
            let (connections, users) = match *rest {
                ["--users", users] => (64, users),
                [connections, "--users", users] | ["--users", users, connections] => {
                    (number(connections)?, users)
                }
                _ => return Err(io::Error::other(USAGE)),
            };
            let wanted = Wanted {
                target: address(target)?,
                count: number(count)?,
                cookies: Path::new(cookies),
                names: Path::new(names),
                users: Path::new(users),
                connections,
            };
            logins::logins(&wanted).map(|said| println!("{said}"))
        }
        _ => Err(io::Error::other(USAGE)),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

const USAGE: &str = "usage: load LISTEN_ADDRESS\n       load logins TARGET COUNT OUT_COOKIES OUT_USERS [CONNECTIONS] --users FILE";

/// Lets this process have as many connections as the system allows it.
fn open_files() -> io::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).map_err(io::Error::from)
}
