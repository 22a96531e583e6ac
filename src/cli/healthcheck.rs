//! `cloakroom healthcheck`: asks a running gateway whether it is ready.
//!
//! Comes in: the admin listener's address. Goes out: exit code 0 when `/readyz` answers 200, 1 otherwise: what a container's
//! health check needs, without a shell or curl. Never waits longer than its time limit.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Far more than the first line of any answer.
const LONGEST_ANSWER: usize = 4096;

/// Arguments of `healthcheck`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The admin listener (`admin.address`)
    #[arg(long, default_value = "127.0.0.1:9901", value_name = "ADDRESS")]
    address: SocketAddr,
    /// Seconds to wait for the answer
    #[arg(long, default_value_t = 3, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
}

/// Prints `ready`, or says on standard error what is wrong.
///
/// # Errors
/// None: whatever goes wrong is a negative answer.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let answer = first_line(args.address, Duration::from_secs(args.timeout));
    Ok(match answer.as_deref() {
        Ok(line) if is_ok(line) => {
            println!("ready");
            ExitCode::SUCCESS
        }
        Ok(line) => {
            eprintln!("not ready: {} answers {:?}", args.address, line);
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("not ready: {}: {error}", args.address);
            ExitCode::FAILURE
        }
    })
}

fn is_ok(line: &str) -> bool {
    line.starts_with("HTTP/1.") && line.split(' ').nth(1) == Some("200")
}

fn first_line(address: SocketAddr, limit: Duration) -> io::Result<String> {
    let deadline = Instant::now() + limit;
    let left = || {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::Error::from(io::ErrorKind::TimedOut)) } else { Ok(left) }
    };
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_write_timeout(Some(left()?))?;
    stream.write_all(
        format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut answer = Vec::new();
    let mut piece = [0; 512];
    while !answer.contains(&b'\n') && answer.len() < LONGEST_ANSWER {
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut piece)? {
            0 => break,
            count => answer.extend_from_slice(&piece[..count]),
        }
    }
    let line = answer.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(String::from_utf8_lossy(line).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn asked(answer: &'static [u8]) -> ExitCode {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 512];
            let count = stream.read(&mut request).unwrap();
            assert!(request[..count].starts_with(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1:"));
            stream.write_all(answer).unwrap();
        });
        let code = run(&Args { address, timeout: 30 }).unwrap();
        server.join().unwrap();
        code
    }

    #[test]
    fn only_an_answer_of_200_is_ready() {
        assert_eq!(asked(b"HTTP/1.1 200 OK\r\n\r\n"), ExitCode::SUCCESS);
        assert_eq!(asked(b"HTTP/1.1 503 Service Unavailable\r\n\r\n"), ExitCode::FAILURE);
        assert_eq!(asked(b"220 mail.example.com 200\r\n"), ExitCode::FAILURE);
        assert_eq!(asked(b""), ExitCode::FAILURE);
    }

    #[test]
    fn nobody_listening_is_not_ready() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(run(&Args { address, timeout: 30 }).unwrap(), ExitCode::FAILURE);
    }

    #[test]
    fn an_answer_that_does_not_come_is_not_waited_for() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let error = first_line(silent.local_addr().unwrap(), Duration::from_millis(20)).unwrap_err();
        assert!(matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock));
    }
}
