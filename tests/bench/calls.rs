//! How long an accept and a reject take, over the agent's socket: when the answer is there, the kernel has it.

use std::time::{Duration, Instant};

use plink_agent::api::local::{
    Client, Transport as _,
    protocol::{Envelope, Request},
};
use plink_tests::agent::Agent;

/// The times of one call, sorted.
pub(crate) struct Call {
    pub(crate) name: &'static str,
    pub(crate) times: Vec<Duration>,
}

impl Call {
    /// The time that this share of the calls did not exceed.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let index = (self.times.len() as f64 * share).ceil() as usize;
        self.times[index.clamp(1, self.times.len()) - 1]
    }
}

/// Rejects and accepts an endpoint in turn.
pub(crate) fn measure(agent: &Agent, count: usize) -> Vec<Call> {
    let mut client = Client::connect(&agent.run_dir()).expect("a running agent");
    let mut time = |request: Request| {
        let start = Instant::now();
        client.call(Envelope { account: None, wait_ms: None, request }).expect("the call works");
        start.elapsed()
    };
    let endpoint = || "tenant".to_owned();
    let (mut rejects, mut accepts) = (vec![], vec![]);
    for _ in 0..count {
        rejects.push(time(Request::RejectEndpoint { endpoint: endpoint() }));
        accepts.push(time(Request::AcceptEndpoint { endpoint: endpoint() }));
    }
    [("reject", rejects), ("accept", accepts)]
        .into_iter()
        .map(|(name, mut times)| {
            times.sort();
            Call { name, times }
        })
        .collect()
}
