//! Descriptors: how many connections the system lets this process have.

use anyhow::ensure;
use rustix::process::{Resource, getrlimit, setrlimit};

/// Files, listeners, pipes and timers of the process itself, and of each worker.
const OWN: usize = 64;
const OF_WORKER: usize = 16;
/// Below this many connections a gateway is of no use.
const FEWEST: usize = 16;

/// Raises the limit as far as the system lets us, and says how many client connections fit below it: each may need
/// another one to an upstream. Fewer than configured is said in the log; too few to work with is an error.
pub fn fit(connections: usize, workers: usize) -> anyhow::Result<usize> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!("the limit of open files could not be raised: {error}");
    }
    let Some(descriptors) = getrlimit(Resource::Nofile).current else { return Ok(connections) };
    let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
    let fit = descriptors.saturating_sub(OWN + workers * OF_WORKER) / 2;
    ensure!(
        fit >= FEWEST,
        "the system allows only {descriptors} open files, which is room for {fit} connections: raise `ulimit -n` \
         (systemd: LimitNOFILE=)"
    );
    if fit < connections {
        tracing::info!(
            "limits.connections is {connections}, but the system allows {descriptors} open files, which is room for \
             {fit}: raise `ulimit -n` (systemd: LimitNOFILE=)"
        );
    }
    Ok(fit.min(connections))
}
