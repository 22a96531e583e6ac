//! Worker: one thread with its own runtime, sockets, gateway and connections. Workers share sessions and nothing else.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle, LocalSet};

use super::crowd::Crowd;
use super::listener::{self, Door, Socket};
use super::{ListenAddress, ServerError};
use crate::gateway::{Gateway, settings::Settings};

/// How often idle upstream connections are looked through.
const SWEEP: Duration = Duration::from_secs(1);

/// How long connections without a request are left open when the worker stops: one may be on its way.
const LAST_REQUESTS: Duration = Duration::from_millis(100);

/// What a worker is told.
pub enum Command {
    /// Go on with this configuration. A listener comes with a socket when it is new.
    Reload(Arc<Settings>, Vec<(Option<Socket>, Arc<Door>)>),
    /// Take no more requests, finish those under way, within this time.
    Drain(Duration),
}

/// A worker's thread.
pub struct Handle {
    commands: mpsc::UnboundedSender<Command>,
    thread: std::thread::JoinHandle<()>,
}

/// What a worker's connections share.
pub struct Worker {
    gateway: RefCell<Rc<Gateway>>,
    draining: watch::Sender<bool>,
    is_draining: Rc<Cell<bool>>,
    connections: RefCell<HashMap<u64, Rc<State>>>,
    next: Cell<u64>,
    crowd: Arc<Crowd>,
}

#[derive(Default)]
struct State {
    busy: Cell<bool>,
    task: RefCell<Option<AbortHandle>>,
}

/// A connection's entry in its worker's list, for as long as it lives.
pub struct Busy {
    worker: Rc<Worker>,
    number: u64,
    state: Rc<State>,
}

impl Busy {
    /// Whether a request is under way; a connection without one is closed at once when the worker stops.
    pub fn set(&self, busy: bool) {
        self.state.busy.set(busy);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.worker.connections.borrow_mut().remove(&self.number);
    }
}

impl Handle {
    /// Starts a thread that serves `doors`.
    pub fn start(
        number: usize,
        settings: Arc<Settings>,
        doors: Vec<(Option<Socket>, Arc<Door>)>,
        crowd: Arc<Crowd>,
    ) -> Result<Self, ServerError> {
        let (commands, inbox) = mpsc::unbounded_channel();
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => LocalSet::new().block_on(&runtime, run(settings, doors, inbox, crowd)),
                Err(error) => tracing::error!("a worker could not start: {error}"),
            }
        };
        let thread = std::thread::Builder::new().name(format!("worker-{number}")).spawn(work);
        Ok(Self { commands, thread: thread.map_err(ServerError::Thread)? })
    }

    /// Tells the worker something; a worker that has ended hears nothing.
    pub fn tell(&self, command: Command) {
        let _ = self.commands.send(command);
    }

    /// Waits until the thread has ended.
    pub fn join(self) {
        let _ = self.thread.join();
    }
}

async fn run(
    settings: Arc<Settings>,
    doors: Vec<(Option<Socket>, Arc<Door>)>,
    mut inbox: mpsc::UnboundedReceiver<Command>,
    crowd: Arc<Crowd>,
) {
    let is_draining = Rc::new(Cell::new(false));
    let worker = Rc::new(Worker {
        gateway: RefCell::new(Rc::new(Gateway::new(settings, is_draining.clone()))),
        draining: watch::Sender::new(false),
        is_draining,
        connections: RefCell::default(),
        next: Cell::new(0),
        crowd,
    });
    let mut open = HashMap::new();
    open_doors(&worker, &mut open, doors);
    let sweeper = worker.clone();
    tokio::task::spawn_local(async move {
        loop {
            tokio::time::sleep(SWEEP).await;
            sweeper.gateway().sweep();
        }
    });
    loop {
        match inbox.recv().await {
            Some(Command::Reload(settings, doors)) => {
                *worker.gateway.borrow_mut() = Rc::new(Gateway::new(settings, worker.is_draining.clone()));
                open_doors(&worker, &mut open, doors);
            }
            Some(Command::Drain(longest)) => {
                worker.is_draining.set(true);
                worker.draining.send_replace(true);
                for (_, (_, task)) in open.drain() {
                    let _ = task.await;
                }
                worker.drain(longest).await;
                return;
            }
            None => return,
        }
    }
}

type Open = HashMap<ListenAddress, (watch::Sender<Arc<Door>>, JoinHandle<()>)>;

/// Opens new doors, gives those that stay their new settings, and closes the rest.
fn open_doors(worker: &Rc<Worker>, open: &mut Open, doors: Vec<(Option<Socket>, Arc<Door>)>) {
    let wanted: Vec<_> = doors.iter().map(|(_, door)| door.address.clone()).collect();
    // A listener whose settings are gone lets in who is waiting, and ends.
    open.retain(|address, _| wanted.contains(address));
    for (socket, door) in doors {
        if let Some((settings, _)) = open.get(&door.address) {
            settings.send_replace(door);
        } else if let Some(socket) = socket {
            let address = door.address.clone();
            let (settings, current) = watch::channel(door);
            let task = tokio::task::spawn_local(listener::accept(worker.clone(), socket, current));
            open.insert(address, (settings, task));
        }
    }
}

impl Worker {
    /// The gateway as configured now.
    pub fn gateway(&self) -> Rc<Gateway> {
        self.gateway.borrow().clone()
    }

    /// Who is connected, over all workers.
    pub fn crowd(&self) -> &Arc<Crowd> {
        &self.crowd
    }

    /// Whether no more requests are taken.
    pub fn is_draining(&self) -> bool {
        self.is_draining.get()
    }

    /// Waits until no more requests are taken.
    pub async fn draining(self: &Rc<Self>) {
        let mut draining = self.draining.subscribe();
        let _ = draining.wait_for(|draining| *draining).await;
    }

    /// Runs a connection as a task of its own.
    pub fn spawn<F: Future<Output = ()> + 'static>(self: &Rc<Self>, connection: impl FnOnce(Busy) -> F) {
        let number = self.next.get();
        self.next.set(number + 1);
        let state = Rc::new(State::default());
        self.connections.borrow_mut().insert(number, state.clone());
        let busy = Busy { worker: self.clone(), number, state: state.clone() };
        let task = tokio::task::spawn_local(connection(busy));
        *state.task.borrow_mut() = Some(task.abort_handle());
    }

    async fn drain(&self, longest: Duration) {
        tokio::time::sleep(LAST_REQUESTS).await;
        for state in self.connections.borrow().values().filter(|state| !state.busy.get()) {
            state.task.borrow().iter().for_each(AbortHandle::abort);
        }
        let finished = async {
            while !self.connections.borrow().is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if longest.is_zero() {
            finished.await;
        } else if tokio::time::timeout(longest, finished).await.is_err() {
            tracing::warn!("stopped with {} connections still busy", self.connections.borrow().len());
        }
    }
}
