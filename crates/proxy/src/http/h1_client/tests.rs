//! How long a connection is read that is being closed, in virtual time.

use std::time::Duration;

use tokio::io::{AsyncWriteExt, duplex};
use tokio::time::{Instant, sleep};

use super::*;
use crate::limits::LINGER_TIMEOUT;

/// How long closing takes with a client that sends a byte every so often, if at all.
async fn closing_takes(every: Option<Duration>, stop: &CancellationToken) -> Duration {
    let (mut peer, io) = duplex(64);
    let client = H1Client::new(Box::new(io), Names::Tokens);
    let sending = tokio::spawn(async move {
        while let Some(every) = every
            && peer.write_all(b"x").await.is_ok()
        {
            sleep(every).await;
        }
        // It stays until the other side is gone.
        std::future::pending::<()>().await;
    });
    let began = Instant::now();
    client.close(stop).await;
    sending.abort();
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_a_client_that_sends_but_not_for_ever() {
    let running = CancellationToken::new();
    assert_eq!(closing_takes(None, &running).await, LINGER_SILENCE_MAX);
    let often = LINGER_SILENCE_MAX - Duration::from_millis(1);
    assert_eq!(closing_takes(Some(often), &running).await, LINGER_TIMEOUT);
    let seldom = LINGER_SILENCE_MAX + Duration::from_millis(1);
    assert_eq!(closing_takes(Some(seldom), &running).await, LINGER_SILENCE_MAX);
    let stopped = CancellationToken::new();
    stopped.cancel();
    assert_eq!(closing_takes(Some(often), &stopped).await, Duration::ZERO);
}
