//! The view `socket.io`: the kind of an Engine.IO 4 or Socket.IO 5 packet, and its data.

use crate::json::Stop;
use crate::page::Page;

/// Shows a packet. Those that only keep a connection alive, or acknowledge, are not shown, as in mitmproxy.
pub(crate) fn render(bytes: &[u8], page: &mut Page) -> Result<(), Stop> {
    let (&engine, rest) = bytes.split_first().ok_or(Stop::Invalid)?;
    let (name, data) = match engine {
        b'0' => ("EngineIO.OPEN", rest),
        b'1' => ("EngineIO.CLOSE", rest),
        b'2' | b'3' => return Ok(()),
        b'4' => match rest.split_first().ok_or(Stop::Invalid)? {
            (b'0', data) => ("SocketIO.CONNECT", data),
            (b'1', data) => ("SocketIO.DISCONNECT", data),
            (b'2', data) => ("SocketIO.EVENT", data),
            (b'3' | b'6', _) => return Ok(()),
            (b'4', data) => ("SocketIO.CONNECT_ERROR", data),
            (b'5', data) => ("SocketIO.BINARY_EVENT", data),
            _ => return Err(Stop::Invalid),
        },
        b'5' => ("EngineIO.UPGRADE", rest),
        b'6' => ("EngineIO.NOOP", rest),
        _ => return Err(Stop::Invalid),
    };
    page.push(name)?;
    page.push(" ")?;
    Ok(page.push_escaped(data)?)
}
