//! Messages that addons act on: WebSocket messages and pieces of raw connections, held one by one instead of relayed as bytes.
//!
//! Each direction is read, offered and written by itself, so that neither waits for the other; a hook holds its own direction. Where no
//! addon asked for the messages of a flow, nobody comes here.

mod tcp;
mod websocket;

use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use flowgate_net::limits::LAST_WORDS_TIMEOUT;
use flowgate_net::{BoxIo, RelayEnd, Relayed};
use futures_util::future::{Either, select};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::addon::Injected;
use crate::limits::BODY_READ_BYTES;

pub(crate) use tcp::relay as relay_tcp;
pub(crate) use websocket::{Reader, relay as relay_websocket};

/// What one direction does with what comes.
trait Way {
    /// Takes what was read, and appends what is to be sent.
    async fn received(&mut self, data: &[u8], out: &mut BytesMut);

    /// Takes what an addon sends of its own.
    async fn injected(&mut self, message: Injected, out: &mut BytesMut);

    /// Nothing more will come: appends what was kept back.
    fn ended(&mut self, out: &mut BytesMut);
}

/// Both ways until both have ended, or one side fails.
async fn run(
    client: BoxIo,
    server: BoxIo,
    ways: (impl Way, impl Way),
    injections: (mpsc::Receiver<Injected>, mpsc::Receiver<Injected>),
    activity: &AtomicU64,
) -> RelayEnd {
    let (mut client_reads, mut client_writes) = tokio::io::split(client);
    let (mut server_reads, mut server_writes) = tokio::io::split(server);
    let up = direction(&mut client_reads, &mut server_writes, ways.0, injections.0, activity);
    let down = direction(&mut server_reads, &mut client_writes, ways.1, injections.1, activity);
    // A failure is of the side that was read from (`true`) or written to, as seen from each direction.
    let down = async { down.await.map_err(|(reading, err)| (!reading, err)) };
    let failure = match select(pin!(up), pin!(down)).await {
        Either::Left((Ok(()), down)) => down.await.err(),
        Either::Right((Ok(()), up)) => up.await.err(),
        Either::Left((Err(failure), down)) => {
            if !failure.0 {
                last_words(down).await;
            }
            Some(failure)
        }
        Either::Right((Err(failure), up)) => {
            if failure.0 {
                last_words(up).await;
            }
            Some(failure)
        }
    };
    // The other side must not take it for an end.
    match &failure {
        Some((true, _)) => server_reads.unsplit(server_writes).reset_at_end(),
        Some((false, _)) => client_reads.unsplit(client_writes).reset_at_end(),
        None => {}
    }
    RelayEnd { relayed: Relayed::default(), spliced: Relayed::default(), failure }
}

/// Relays what a side still said that takes nothing any more. However that ends, it is the failure before it that is told.
async fn last_words(direction: impl Future) {
    let _ = timeout(LAST_WORDS_TIMEOUT, direction).await;
}

async fn direction(
    from: &mut ReadHalf<BoxIo>,
    to: &mut WriteHalf<BoxIo>,
    mut way: impl Way,
    mut injections: mpsc::Receiver<Injected>,
    activity: &AtomicU64,
) -> Result<(), (bool, io::Error)> {
    let mut read = BytesMut::new();
    let mut out = BytesMut::new();
    let mut may_inject = true;
    loop {
        read.reserve(BODY_READ_BYTES);
        tokio::select! {
            biased;
            n = from.read_buf(&mut read) => {
                if n.map_err(|err| (true, err))? == 0 {
                    break;
                }
                way.received(&read.split(), &mut out).await;
            }
            message = injections.recv(), if may_inject => match message {
                Some(message) => way.injected(message, &mut out).await,
                None => may_inject = false,
            },
        }
        activity.fetch_add(1, Ordering::Relaxed);
        send(to, &mut out).await?;
    }
    way.ended(&mut out);
    send(to, &mut out).await?;
    to.shutdown().await.map_err(|err| (false, err))
}

async fn send(to: &mut WriteHalf<BoxIo>, out: &mut BytesMut) -> Result<(), (bool, io::Error)> {
    if !out.is_empty() {
        let ready: Bytes = out.split().freeze();
        to.write_all(&ready).await.map_err(|err| (false, err))?;
        to.flush().await.map_err(|err| (false, err))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
