//! Isolate: a panic costs one request, and nothing else.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

/// Runs `work`; `None` when it panicked. What it held is dropped, and whoever shares state with it must be able to
/// live with that: gateways share only atomics, and cells that are never borrowed across a call that can panic.
pub async fn isolate<T>(mut work: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(Poll::Ready(output)) => Poll::Ready(Some(output)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(_) => Poll::Ready(None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_answer() {
        assert_eq!(isolate(pin!(async { 1 })).await, Some(1));
        assert_eq!(
            isolate(pin!(async { if true { panic!("expected in this test") } else { 1 } })).await,
            None
        );
    }
}
