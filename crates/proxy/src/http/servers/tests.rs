//! How many idle connections are kept.

use flowgate_options::mode_spec::Mode;
use tokio::net::TcpListener;

use super::*;
use crate::context::tests::context;
use crate::settings::Settings;

#[tokio::test]
async fn so_many_idle_connections_are_kept() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let address = Address { host: at.ip().to_string(), port: at.port() };
    let route = Route { address, tls_name: None, purpose: Purpose::Requests, egress: None };
    let context = context(Egress::of_mode(&Mode::Regular, &Settings::default()));
    let servers = Servers::new(Vec::new());
    for given in 1..=IDLE_SERVERS_MAX + 1 {
        let Ok(Link::H1(link)) = servers.get(&context, &route, Wanted::Exchange, true).await else {
            panic!("no connection")
        };
        servers.give_back(link);
        assert_eq!(servers.idle.lock().unwrap().len(), given.min(IDLE_SERVERS_MAX));
    }
}
