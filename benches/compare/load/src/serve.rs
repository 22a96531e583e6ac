//! Serve: the upstream, and jobs one after the other.
//!
//! Comes in: lines on standard input. Goes out: lines on standard output. While a job runs nobody reads the next line;
//! while none runs, the upstream answers all the same.

use std::collections::HashMap;
use std::io::{self, BufRead as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use mio::Waker;

use crate::engine::Engine;
use crate::job::{Job, Order, Said};
use crate::lines::Lines;
use crate::link::Link;
use crate::run::Run;

/// How long responses are awaited after a job: cut off, they would be errors in the log of the proxy.
const LINGER: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Shop {
    engine: Engine,
    /// Files read before, while they are the same.
    files: HashMap<PathBuf, (std::time::SystemTime, Rc<Lines>)>,
    /// Connections that are kept open until released.
    idle: Vec<Link>,
}

/// Does what standard input says, until its end.
pub fn serve(address: SocketAddr) -> io::Result<()> {
    let engine = Engine::new(Some(address))?;
    // Held until the end: a waker that is dropped takes back its last call.
    let waker = Arc::new(engine.waker()?);
    let orders = orders(Arc::clone(&waker));
    let mut shop = Shop { engine, files: HashMap::new(), idle: Vec::new() };
    Said::Ready.say();
    loop {
        match orders.try_recv() {
            Ok(line) => {
                let order = Order::read(&line);
                if let Err(error) =
                    order.and_then(|order| shop.obey(order).map_err(|error| error.to_string()))
                {
                    Said::Failed { error }.say();
                }
            }
            Err(TryRecvError::Empty) => drop(shop.engine.turn(None, None)?),
            Err(TryRecvError::Disconnected) => return Ok(()),
        }
    }
}

/// The lines of standard input. Each wakes the engine, and so does the end.
fn orders(waker: Arc<Waker>) -> Receiver<String> {
    let (orders, receiver) = channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok).filter(|line| !line.trim().is_empty()) {
            if orders.send(line).is_err() || waker.wake().is_err() {
                return;
            }
        }
        drop(orders);
        // If this fails, the engine has gone already.
        let _ = waker.wake();
    });
    receiver
}

impl Shop {
    fn obey(&mut self, order: Order) -> io::Result<()> {
        match order {
            Order::Run(job) => self.run(&job),
            Order::Release => {
                self.release().say();
                Ok(())
            }
        }
    }

    fn run(&mut self, job: &Job) -> io::Result<()> {
        let cookies = job.cookies.as_ref().map(|path| self.lines(path)).transpose()?;
        let users = match job.expects_line() {
            true => job.users.as_ref().map(|path| self.lines(path)).transpose()?,
            false => None,
        };
        let mut run = Run::new(job, self.engine.registry()?, cookies, users)?;
        loop {
            let now = Instant::now();
            run.tick(now);
            if run.is_over() {
                break;
            }
            let wait = run.wait(now);
            let events = self.engine.turn(Some(&mut run), Some(wait))?;
            if events == 0 && wait.is_zero() {
                run.spun(now.elapsed());
            }
        }
        if job.idle {
            let (said, links) = run.park();
            self.idle.extend(links);
            said.say();
            return Ok(());
        }
        Said::Done(Box::new(run.done(Instant::now()))).say();
        let end = Instant::now() + LINGER;
        while run.under_way() > 0 && Instant::now() < end {
            self.engine.turn(Some(&mut run), Some(Duration::from_millis(10)))?;
        }
        Ok(())
    }

    fn release(&mut self) -> Said {
        let links = std::mem::take(&mut self.idle);
        let connections = links.len();
        let mut closed_by_peer = 0;
        for mut link in links {
            closed_by_peer +=
                usize::from(link.receive(&mut self.engine.room).map_or(true, |piece| piece.end));
            link.close();
        }
        Said::Released { connections, closed_by_peer }
    }

    fn lines(&mut self, path: &PathBuf) -> io::Result<Rc<Lines>> {
        let changed = std::fs::metadata(path)?.modified()?;
        match self.files.get(path) {
            Some((known, lines)) if *known == changed => Ok(Rc::clone(lines)),
            _ => {
                let lines = Lines::read(path)?;
                self.files.insert(path.clone(), (changed, Rc::clone(&lines)));
                Ok(lines)
            }
        }
    }
}
