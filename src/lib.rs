//! Cloakroom: a reverse proxy that gives HTTP applications what HTTP leaves out, memory and identity.
//!
//! You hand over your coat and get a ticket; the ticket carries a number and nothing else; show it and you get your coat.
//! The coat is the session (who you are, what applications want remembered), the ticket is the cookie. The gateway stands
//! in front of an application that has no login and no sessions: it finds the session by the id in the cookie, decides
//! whether the visitor may pass, and hands the request on with headers that say who is asking and what the session holds.
//! One binary, one YAML file.
//!
//! # The way of a request
//!
//! ```text
//!            client
//!              │ TCP or Unix socket, TLS
//!   ┌──────────▼───────────┐  one thread per core, each with its own sockets,
//!   │ server::worker       │  runtime, gateway and upstream connections
//!   └──────────┬───────────┘
//!   ┌──────────▼───────────┐  the bytes become a head and a body that is still on its way:
//!   │ server::http1, http2 │  HTTP/1 by our own strict codec (wire), HTTP/2 by the h2 crate
//!   └──────────┬───────────┘
//!   ┌──────────▼───────────┐  takes the time once, opens the log line, turns a refusal
//!   │ Gateway::handle      │  into a response: everything gets an answer
//!   └──────────┬───────────┘
//!   ┌──────────▼───────────┐  headers::inbound     one form of the request, the client's copies of our headers gone
//!   │ Gateway::decide      │  Routes::find         where to?
//!   │ (questions, in order;│  Sessions::recognise  who? (enquire: where a store must be asked, the one wait before the next)
//!   │  each answer is what │  Vouchers::look       or does the request itself say so? (ask: where that takes a wait)
//!   │  the next one needs) │  Access::admit        may they?
//!   │                      │  headers::outgoing    how it leaves: our headers are set last
//!   └──────────┬───────────┘
//!   ┌──────────▼───────────┐  a pooled connection to a server; the body streams both ways,
//!   │ Upstream::send       │  and headers::incoming says how the response returns
//!   └──────────┬───────────┘
//!   ┌──────────▼───────────┐  what the response wants remembered is written, and cookies are handed out
//!   │ Sessions::settle     │
//!   └──────────┬───────────┘
//!              ▼
//!         application
//! ```
//!
//! Requests under the reserved prefix (`/_cloakroom/`) leave `decide` after `inbound` for `gateway::own_pages` and
//! [`login`]. An upgraded connection (WebSocket) leaves HTTP altogether: `server::tunnel` carries it until its session ends;
//! `gateway::live` does that for event streams.
//!
//! # Who keeps the sessions
//!
//! ```text
//!   Sessions ── Keeper ──┬── Memory   memory: index to find, racks (moka) to make room, snapshot across restarts
//!                        ├── Shared   the same memory for those in use, before a store: redis, sql
//!                        ├── Cookie   nothing is kept: sealed
//!                        └── Django   the memory, before a site's own sessions: bridge, django
//! ```
//!
//! A session in memory is one object for its whole life, whoever holds it: its end is set once, its data is swapped whole, its
//! ids take turns. A write to a store says what it was based on, and is made again where another gateway was faster.
//!
//! # Words
//!
//! | word | what it means here, and only that |
//! |---|---|
//! | *Peer* | the other end of a client's connection, as the socket tells it ([`peer`]) |
//! | *Client* | whom the request comes from, after trusted proxies were believed ([`headers`]) |
//! | *Inbound* | a request that may be looked at: normal form, nothing forged in it ([`headers`]) |
//! | *Session* | what is kept for a visitor, on our side ([`session::record`]); *stored* as plain values ([`session::stored`]) |
//! | *Digest*, *proof* | what stands for a session for its whole life, and for its id of today ([`session::id`], [`session::turn`]) |
//! | *Data*, *edits* | what applications keep in a session, and how they change it ([`session::data`], [`session::edit`]) |
//! | *Rights*, *wishes* | which keys an upstream may use, and what its response asks for ([`session::rights`], [`session::protocol`]) |
//! | *Keeper* | who keeps the sessions ([`session::keeper`]); *store*: one outside this process ([`session::store`]) |
//! | *Ticket* | a `Set-Cookie` value: a signed id, or one that takes the cookie back ([`session::ticket`]) |
//! | *Visitor* | who a cookie proved, if anybody ([`session::visitor`]) |
//! | *Guest* | whom a request itself proves, without a session ([`session::visitor`]) |
//! | *Voucher* | a login method that needs nothing but the request ([`login::vouch`]) |
//! | *Rule*, *condition* | who may pass beyond one word, and one thing that is looked at ([`access`]) |
//! | *Issuer*, *token* | who signs tokens and with which keys; what they sign ([`login::issuer`], [`login::token`]) |
//! | *Note* | what a login method keeps in a session for itself ([`session::notes`]) |
//! | *Memo* | what a connection remembers of the last visitor it carried ([`session`]) |
//! | *Identity* | user, name, e-mail address, groups, and how header values say that ([`identity`]) |
//! | *Pass* | the proof that a visitor may go on; only `Access::admit` makes one ([`access`]) |
//! | *Refusal* | a request turned down, with its one status and reason ([`gateway::refusal`]) |
//! | *Route* | host, path prefix and methods, with who may pass and where it leads ([`route`]) |
//! | *Upstream* | a named group of servers that answer for an application ([`upstream`]) |
//! | *Desk* | one request for one of the login pages ([`login`]) |
//! | *Throttle* | how often somebody may try a password ([`login::throttle`]) |
//! | *Worker* | a thread with its own runtime, sockets, gateway and connections ([`server`]) |
//! | *Door* | one listener as configured: address, TLS, redirect ([`server`]) |
//! | *Crowd*, *Seat* | who is connected over all workers, and one connection's place in it ([`server::crowd`]) |
//! | *Record* | a request's line in the access log, while it is gathered ([`gateway::record`]) |
//! | *Settings* | what a module needs to know of the configuration, resolved; next to the module that uses it |
//!
//! # Layers
//!
//! A file uses only its own layer and those above it in this list; `tests/it/tidy.rs` holds the table and checks it.
//!
//! 1. **Values**: time, people, the other end, heads, bytes, a session's record. No rules, no waiting.
//! 2. **Rules**: pure functions. What HTTP/1 looks like, what a path means, who may pass, what a ticket is.
//! 3. **Rim**: each hides one thing outside: stores, people with passwords, servers.
//! 4. **Pipeline**: the questions in order.
//! 5. **Shell**: threads, sockets, TLS, connections; the listener for operators.
//! 6. **Assembly**: a file becomes settings, settings become a running gateway, commands start it. Nobody uses these.
//!
//! A reload makes new settings around what outlives them: the keeper of sessions, the throttle and the access log.
//!
//! # Where a change goes
//!
//! | to add | go to |
//! |---|---|
//! | a store | `session/store.rs` says what it promises, `session/store/contract.rs` tries it; write `session/yours.rs`, and a line in `assembly/keeping.rs` |
//! | an instruction for applications | `session/protocol/instructions.rs` reads it, `session/settle.rs` carries it out, `docs/applications.md` tells |
//! | a login method that takes a password | `login/yours.rs` next to `login/ldap.rs`, a variant in `login/passwords.rs`, its settings in `config/file/…` and `config/resolve/…` |
//! | one that needs nothing but the request | `login/yours.rs` implements `Voucher`, a line in `Login::new`, its settings likewise |
//! | one that sends people elsewhere | a folder like `login/oidc`, its pages in `login/desk/elsewhere.rs` |
//! | a condition of access | `access/rule.rs` judges it, `config/resolve/access.rs` reads it, `cli/explain/tree.rs` says it in words |
//! | a header for applications | `headers/outgoing.rs` sets it; its name joins `headers/guard.rs`, so that no client can say it |
//! | a header for browsers | `headers/incoming.rs` |
//! | a reason to turn a request down | `gateway/refusal.rs`: one table from reason to status and log level |
//! | a limit or timeout | `gateway/settings.rs` documents it, whoever keeps it reads it there |
//! | a key of the configuration | `config/file/…` mirrors the YAML, `config/resolve/…` gives it meaning, `config.example.yaml` explains it |
//! | a command | `cli/yours.rs` and a line in `cli.rs` |

#![forbid(unsafe_code)]
#![warn(missing_docs)]

// Values.
pub mod clock;
pub mod deadline;
pub mod identity;
pub mod message;
pub mod peer;
pub mod stream;

// Rules.
pub mod access;
pub mod headers;
pub mod route;
pub mod wire;

// Rim.
pub mod body;
pub mod login;
pub mod session;
pub mod upstream;

// Pipeline.
pub mod gateway;

// Shell.
pub mod admin;
pub mod server;

// Assembly.
pub mod assembly;
pub mod cli;
pub mod config;
