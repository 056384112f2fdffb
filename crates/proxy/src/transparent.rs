//! Mode `transparent`: the client knows nothing of a proxy; the operating system sent its connection here.

use std::net::SocketAddr;

use flowgate_flow::{Address, Transport};
use flowgate_net::original_destination;
use tokio::net::TcpStream;

use crate::context::Context;
use crate::tunnel::{self, Target};
use flowgate_options::Level;

/// Serves a client until it is gone. `bound` is where the listener that accepted it listens.
pub(crate) async fn serve(context: &Context, stream: TcpStream, bound: Option<SocketAddr>) {
    let Some(bound) = bound else { return };
    let original = match original_destination(&stream, bound) {
        Ok(original) => original,
        Err(err) => {
            context.log(Level::Warn, format_args!("Transparent mode failure: {err}"));
            context.log(
                Level::Warn,
                format_args!("hint: a client that is set up to use a proxy needs mode `regular` or `socks5`"),
            );
            return;
        }
    };
    let is_own = |local| context.proxy.is_own_listener(Transport::Tcp, local, original);
    if context.client.connection.sockname.is_some_and(is_own) {
        let message = format_args!("Transparent mode failure: {original} is this proxy itself");
        return context.log(Level::Warn, message);
    }
    let target = Target::anything(Address { host: original.ip().to_string(), port: original.port() });
    let (context, server) = tunnel::open_early(context, &target).await;
    tunnel::run(&context, target, Box::new(stream), server, None).await;
}
