//! A tunnel through a SOCKS5 proxy: the stream around `flowgate_wire`'s handshake.

use flowgate_flow::Address;
use flowgate_net::{BoxIo, Rewound};
use flowgate_options::Credentials;
use flowgate_wire::socks5_client::{Progress, REPLY_BYTES_MAX, Socks5Client, UserPassword};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::EgressError;

/// Asks for a tunnel to `server`; the stream that is given begins with the server's first byte.
pub(super) async fn open_tunnel(
    mut io: BoxIo,
    server: &Address,
    credentials: Option<&Credentials>,
) -> Result<BoxIo, EgressError> {
    let credentials = credentials.map(|it| UserPassword { user: it.user(), password: it.password() });
    let (mut handshake, greeting) = Socks5Client::begin(server, credentials)?;
    io.write_all(&greeting).await?;
    io.flush().await?;
    let mut read = Vec::with_capacity(REPLY_BYTES_MAX);
    loop {
        match handshake.receive(&read)? {
            Progress::NeedMore => {
                if io.read_buf(&mut read).await? == 0 {
                    return Err(EgressError::Closed);
                }
            }
            Progress::Send { consumed, message } => {
                read.drain(..consumed);
                io.write_all(&message).await?;
                io.flush().await?;
            }
            Progress::Established { consumed } => {
                read.drain(..consumed);
                return Ok(if read.is_empty() { io } else { Box::new(Rewound::new(read, io)) });
            }
        }
    }
}
