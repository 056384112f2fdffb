//! TCP and UDP flows.

use bytes::Bytes;
use flowgate_flow::{RawFlow, RawMessage};

use super::fields::{Fields, StateError, array, bool, content, list, timestamp};
use crate::tnetstring::{Encoder, Value};

pub(super) fn read(fields: &mut Fields<'_>, item: &Bytes) -> Result<RawFlow, StateError> {
    Ok(RawFlow { messages: fields.take("messages", list(|value| message(value, item)))? })
}

pub(super) fn put(flow: &RawFlow, to: &mut Encoder) {
    to.list(flow.messages.iter(), |to, message| {
        to.backwards_list(|to| {
            to.float(message.timestamp.0);
            to.content(&message.content);
            to.bool(message.from_client);
        });
    })
    .named("messages");
}

fn message(value: Value<'_>, item: &Bytes) -> Result<RawMessage, StateError> {
    let [from_client, payload, time] = array(value, "from_client, content, timestamp")?;
    Ok(RawMessage {
        from_client: bool(from_client).map_err(|error| error.under("[0]"))?,
        content: content(item)(payload).map_err(|error| error.under("[1]"))?,
        timestamp: timestamp(time).map_err(|error| error.under("[2]"))?,
    })
}
