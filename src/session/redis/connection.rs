//! Connection: one server or a whole Cluster, asked in the same way.
//!
//! Comes in: a question. Goes out: answers, in the order of the questions. Never waits for longer than who asks, never
//! tries again what failed.

use futures_util::{StreamExt as _, stream};
use redis::aio::MultiplexedConnection;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::{Cmd, Pipeline, RedisResult, Value, cmd};

use super::failure;
use super::script::{Call, Script};

/// So many questions are sent in one go.
const AT_ONCE: usize = 500;

/// So many questions to nodes of a Cluster are under way at the same time.
const SIDE_BY_SIDE: usize = 100;

/// A connection that any number of questions share.
#[derive(Clone)]
pub(super) enum Connection {
    /// To one server.
    One(MultiplexedConnection),
    /// To all nodes of a Cluster.
    Cluster(ClusterConnection),
}

/// What can be asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Question<'a> {
    /// The same script for several sessions; an error of one is its answer.
    Run(Script, &'a [Call]),
    /// A command, to the primary that has this hash slot, or to the one that has its key.
    Ask(&'a Cmd, Option<u16>),
    /// A hash slot of each primary.
    Primaries,
}

impl Connection {
    /// Asks; an error means that nothing can be said of any.
    pub async fn answer(&mut self, question: Question<'_>) -> RedisResult<Vec<RedisResult<Value>>> {
        match (self, question) {
            (Connection::One(one), Question::Run(script, [call])) => {
                Ok(vec![settle(run(&mut *one, script, call).await)?])
            }
            (Connection::One(one), Question::Run(script, calls)) => {
                let mut answers = Vec::with_capacity(calls.len());
                for calls in calls.chunks(AT_ONCE) {
                    let part: Vec<RedisResult<Value>> = pipeline(script, calls).query_async(one).await?;
                    answers.extend(part);
                }
                Ok(answers)
            }
            (Connection::Cluster(cluster), Question::Run(script, calls)) => {
                let one = |call| run_anywhere(cluster.clone(), script, call);
                let all: Vec<_> = calls.iter().map(one).collect();
                let answers: Vec<_> = stream::iter(all).buffered(SIDE_BY_SIDE).collect().await;
                answers.into_iter().collect()
            }
            (Connection::One(one), Question::Ask(command, _)) => {
                Ok(vec![Ok(command.query_async(one).await?)])
            }
            (Connection::Cluster(cluster), Question::Ask(command, None)) => {
                Ok(vec![Ok(command.query_async(cluster).await?)])
            }
            (Connection::Cluster(cluster), Question::Ask(command, Some(slot))) => {
                let route = SingleNodeRoutingInfo::SpecificNode(Route::new(slot, SlotAddr::Master));
                let answer = cluster.route_command(command.clone(), RoutingInfo::SingleNode(route)).await?;
                Ok(vec![Ok(answer.extract_error()?)])
            }
            (Connection::One(_), Question::Primaries) => Ok(vec![Ok(Value::Int(0))]),
            (Connection::Cluster(cluster), Question::Primaries) => {
                Ok(primaries(cmd("CLUSTER").arg("SLOTS").query_async(cluster).await?))
            }
        }
    }
}

/// A hash slot of each primary, by the ranges of slots that a node knows.
fn primaries(ranges: Vec<Vec<Value>>) -> Vec<RedisResult<Value>> {
    let mut known: Vec<(Value, Value)> = Vec::new();
    for range in ranges {
        let (Some(first), Some(primary)) = (range.first(), range.get(2)) else { continue };
        if known.iter().all(|(other, _)| other != primary) {
            known.push((primary.clone(), first.clone()));
        }
    }
    known.into_iter().map(|(_, slot)| Ok(slot)).collect()
}

/// What a server says of one session is an answer; that a connection is of no use concerns all.
fn settle(answer: RedisResult<Value>) -> RedisResult<RedisResult<Value>> {
    match answer {
        Err(error) if failure::is_cut(&error) || failure::is_elsewhere(&error) => Err(error),
        answer => Ok(answer),
    }
}

async fn run_anywhere(
    mut cluster: ClusterConnection,
    script: Script,
    call: &Call,
) -> RedisResult<RedisResult<Value>> {
    settle(run(&mut cluster, script, call).await)
}

async fn run(
    connection: &mut impl redis::aio::ConnectionLike,
    script: Script,
    call: &Call,
) -> RedisResult<Value> {
    match script.by_name(call).query_async(connection).await {
        Err(error) if failure::is_unknown_script(&error) => script.whole(call).query_async(connection).await,
        answer => answer,
    }
}

/// The first brings the script along for all others.
fn pipeline(script: Script, calls: &[Call]) -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(calls.len());
    for (at, call) in calls.iter().enumerate() {
        pipeline.add_command(if at == 0 { script.whole(call) } else { script.by_name(call) });
    }
    pipeline.ignore_errors();
    pipeline
}
