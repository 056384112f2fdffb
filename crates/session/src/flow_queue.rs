//! The queue between those who have flows and the thread that saves them: bounded in bytes, so that a disk that is stuck costs no more
//! memory than that.

use std::fmt;
use std::sync::Arc;

use flowgate_flow::{Body, Flow, FlowKind};
use tokio::sync::{Semaphore, SemaphorePermit, TryAcquireError, mpsc};

/// How many bytes of flows may wait to be written, about: what they take in memory. One that takes more waits alone.
pub const FLOWS_WAITING_BYTES_MAX: u32 = 16 * 1024 * 1024;

/// What a flow takes besides its bodies and messages, about.
const FLOW_BYTES: usize = 4 * 1024;

/// Hands in flows; clones share the queue. What they become there is made of them by who hands them in.
#[derive(Clone)]
pub struct FlowSender {
    room: Arc<Semaphore>,
    put: Arc<dyn Fn(Flow, u32) + Send + Sync>,
}

/// Room for one flow. Dropped, it is given back.
#[derive(Debug)]
pub struct Room<'a>(SemaphorePermit<'a>);

/// There is no room.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoRoom {
    /// At the moment.
    Full,
    /// Nobody takes flows any more.
    Closed,
}

impl fmt::Debug for FlowSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowSender").field("room", &self.room).finish_non_exhaustive()
    }
}

impl FlowSender {
    /// Room for this flow, if there is any now.
    ///
    /// # Errors
    /// That there is none.
    pub fn try_reserve(&self, flow: &Flow) -> Result<Room<'_>, NoRoom> {
        self.room.try_acquire_many(weight(flow)).map(Room).map_err(|error| match error {
            TryAcquireError::NoPermits => NoRoom::Full,
            TryAcquireError::Closed => NoRoom::Closed,
        })
    }

    /// Waits for room for this flow; `None` if nobody takes flows any more.
    pub async fn reserve(&self, flow: &Flow) -> Option<Room<'_>> {
        self.room.acquire_many(weight(flow)).await.ok().map(Room)
    }

    /// Waits for room and hands in the flow, unless nobody takes flows any more. Blocks; only within a runtime.
    pub fn send_blocking(&self, flow: Flow) {
        let room = match self.try_reserve(&flow) {
            Err(NoRoom::Full) => tokio::runtime::Handle::current().block_on(self.reserve(&flow)),
            room => room.ok(),
        };
        if let Some(room) = room {
            self.send(room, flow);
        }
    }

    /// Hands in the flow that there is room for.
    pub fn send(&self, room: Room<'_>, flow: Flow) {
        // A flow takes less than all the room, which is no more than that.
        let bytes = u32::try_from(room.0.num_permits()).unwrap_or(FLOWS_WAITING_BYTES_MAX);
        // Given back when it is written.
        room.0.forget();
        (self.put)(flow, bytes);
    }
}

/// What was handed in.
pub(crate) struct Waiting<T> {
    items: mpsc::UnboundedReceiver<(T, u32)>,
    /// Of what was taken and is not written yet.
    taken: u32,
    room: Arc<Semaphore>,
}

/// A queue whose flows become items where they are handed in.
pub(crate) fn queue<T: From<Flow> + Send + 'static>() -> (FlowSender, Waiting<T>) {
    let room = Arc::new(Semaphore::new(FLOWS_WAITING_BYTES_MAX as usize));
    // Bounded by the room that everything in it has.
    let (sender, items) = mpsc::unbounded_channel();
    let put = move |flow: Flow, room: u32| {
        // It fails only when the writer has ended, which tells the reason itself.
        let _ = sender.send((T::from(flow), room));
    };
    let waiting = Waiting { items, taken: 0, room: Arc::clone(&room) };
    (FlowSender { room, put: Arc::new(put) }, waiting)
}

impl<T> Waiting<T> {
    /// What comes next; `None` if nobody is left who could hand in more.
    pub(crate) async fn recv(&mut self) -> Option<T> {
        let next = self.items.recv().await?;
        Some(self.take(next))
    }

    /// What is there already.
    pub(crate) fn try_recv(&mut self) -> Option<T> {
        let next = self.items.try_recv().ok()?;
        Some(self.take(next))
    }

    fn take(&mut self, (item, room): (T, u32)) -> T {
        self.taken += room;
        item
    }

    /// Gives the room back of all that was taken: it is written.
    pub(crate) fn give_back(&mut self) {
        self.room.add_permits(std::mem::take(&mut self.taken) as usize);
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.items.is_closed()
    }
}

impl<T> Drop for Waiting<T> {
    fn drop(&mut self) {
        self.room.close();
    }
}

/// What a flow takes in memory, about, and at most all the room there is.
fn weight(flow: &Flow) -> u32 {
    let body = |body: &Body| if let Body::Bytes(bytes) = body { bytes.len() } else { 0 };
    let bytes = match &flow.kind {
        FlowKind::Http(http) => {
            body(&http.request.body) + http.response.as_ref().map_or(0, |response| body(&response.body))
        }
        _ => 0,
    };
    u32::try_from(FLOW_BYTES.saturating_add(bytes).saturating_add(flow.kind.messages_bytes()))
        .unwrap_or(u32::MAX)
        .min(FLOWS_WAITING_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use flowgate_flow::{RawFlow, RawMessage, Timestamp};

    use super::*;
    use crate::testing::flow;

    fn with_bytes(bytes: usize) -> Flow {
        let content = vec![0; bytes].into();
        let message = RawMessage { from_client: true, content, timestamp: Timestamp(0.0) };
        Flow { kind: FlowKind::Tcp(RawFlow { messages: vec![message] }), ..flow() }
    }

    #[tokio::test]
    async fn flows_wait_up_to_a_number_of_bytes() {
        let (sender, mut waiting) = queue::<Flow>();
        let large = with_bytes(1024 * 1024);
        let mut count = 0;
        while let Ok(room) = sender.try_reserve(&large) {
            sender.send(room, large.clone());
            count += 1;
        }
        assert_eq!(count, 15, "each takes a little more than its bytes");
        assert!(waiting.recv().await.is_some());
        assert_eq!(sender.try_reserve(&large).unwrap_err(), NoRoom::Full, "it is not written yet");
        waiting.give_back();
        // What is reserved and not used is room again.
        drop(sender.try_reserve(&large).unwrap());
        drop(sender.try_reserve(&large).unwrap());
        drop(waiting);
        assert_eq!(sender.try_reserve(&large).unwrap_err(), NoRoom::Closed);
        assert!(sender.reserve(&large).await.is_none());
    }

    #[tokio::test]
    async fn one_that_is_larger_than_all_room_waits_alone() {
        let (sender, mut waiting) = queue::<Flow>();
        let huge = with_bytes(FLOWS_WAITING_BYTES_MAX as usize * 2);
        let small = sender.try_reserve(&flow()).unwrap();
        assert_eq!(sender.try_reserve(&huge).unwrap_err(), NoRoom::Full);
        drop(small);
        let room = sender.try_reserve(&huge).unwrap();
        sender.send(room, huge);
        assert_eq!(sender.try_reserve(&flow()).unwrap_err(), NoRoom::Full);
        assert!(waiting.try_recv().is_some() && waiting.try_recv().is_none());
        waiting.give_back();
        assert!(sender.try_reserve(&flow()).is_ok());
    }
}
