//! The `h2` crate as the peer of either end.

use bytes::{Bytes, BytesMut};
use flowgate_wire::http2::{Config, Connection, Event, Incoming, Role, StreamId};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use crate::support::{GET, Sent, config, head, lines};

const BODY_BYTES: usize = 300_000;

/// Moves bytes between one of our ends and a pipe, and calls `act` after each read; until that says that all is done.
async fn drive(
    connection: &mut Connection<()>,
    mut io: DuplexStream,
    mut act: impl FnMut(&mut Connection<()>) -> bool,
) {
    let mut input = BytesMut::new();
    loop {
        let done = act(connection);
        let mut sent = Sent::default();
        connection.transmit(&mut sent);
        io.write_all(&sent.bytes).await.unwrap();
        if done && sent.bytes.is_empty() || io.read_buf(&mut input).await.unwrap() == 0 {
            return;
        }
        connection.receive(&mut input).unwrap();
    }
}

#[tokio::test]
async fn its_client_is_served() {
    let (ours, theirs) = duplex(10_000);
    let asking = tokio::spawn(async move {
        let (mut send, connection) = h2::client::handshake(theirs).await.unwrap();
        tokio::spawn(connection);
        for _ in 0..10 {
            send = send.ready().await.unwrap();
            let request = http::Request::post("https://a/b").header("x", "1").body(()).unwrap();
            let (response, mut up) = send.send_request(request, false).unwrap();
            up.send_data(Bytes::from(vec![7; BODY_BYTES]), false).unwrap();
            let mut trailers = http::HeaderMap::new();
            trailers.insert("t", "1".parse().unwrap());
            up.send_trailers(trailers).unwrap();
            let (head, mut body) = response.await.unwrap().into_parts();
            assert_eq!((head.status, &head.headers["y"]), (http::StatusCode::OK, &"2".parse().unwrap()));
            let mut len = 0;
            while let Some(data) = body.data().await {
                let data = data.unwrap();
                body.flow_control().release_capacity(data.len()).unwrap();
                len += data.len();
            }
            assert_eq!(
                (len, &body.trailers().await.unwrap().unwrap()["u"]),
                (BODY_BYTES, &"3".parse().unwrap())
            );
        }
    });
    let mut server = Connection::new(config(Role::Server));
    drive(&mut server, ours, |server| {
        while let Some(event) = server.next_event() {
            if let Event::Opened(id) = event {
                server.send_head(id, head(&[(":status", "200"), ("y", "2")]), false, false).unwrap();
            }
            if let Event::Opened(id) | Event::Changed(id) = event {
                while let Ok(Some(incoming)) = server.take(id) {
                    match incoming {
                        Incoming::Head { fields, .. } => assert!(lines(&fields).contains(&"x: 1".to_owned())),
                        Incoming::Data(data) => {
                            server.consumed(id, data.len());
                            server.send_data(id, data);
                        }
                        Incoming::End(trailers) => {
                            assert_eq!(lines(&trailers.unwrap()), ["t: 1"]);
                            server.send_end(id, Some([("u", "3")].into_iter().collect()));
                            server.release(id);
                        }
                    }
                }
            }
        }
        false
    })
    .await;
    asking.await.unwrap();
    assert_eq!(server.streams(), 0);
}

#[tokio::test]
async fn its_server_serves() {
    let (ours, theirs) = duplex(10_000);
    tokio::spawn(async move {
        let mut connection = h2::server::handshake(theirs).await.unwrap();
        while let Some(accepted) = connection.accept().await {
            let (request, mut respond) = accepted.unwrap();
            tokio::spawn(async move {
                assert_eq!(request.uri(), "https://a/");
                let mut body = request.into_body();
                let interim = http::Response::builder().status(103).body(()).unwrap();
                respond.send_informational(interim).unwrap();
                let mut down = respond.send_response(http::Response::new(()), false).unwrap();
                while let Some(data) = body.data().await {
                    let data = data.unwrap();
                    body.flow_control().release_capacity(data.len()).unwrap();
                    down.send_data(data, false).unwrap();
                }
                down.send_data(Bytes::new(), true).unwrap();
            });
        }
    });
    let mut client = Connection::new(Config { streams_max: 0, ..config(Role::Client) });
    let mut got: Vec<(StreamId, usize, Vec<String>, bool)> = Vec::new();
    drive(&mut client, ours, |client| {
        while client.has_begun() && got.len() < 20 && client.can_open().is_ok() {
            let id = client.open(head(GET), false, ()).unwrap();
            client.send_data(id, vec![1; BODY_BYTES].into());
            client.send_end(id, None);
            got.push((id, 0, Vec::new(), false));
        }
        while client.next_event().is_some() {}
        for (id, len, heads, done) in &mut got {
            while let Ok(Some(incoming)) = client.take(*id) {
                match incoming {
                    Incoming::Head { fields, .. } => heads.push(lines(&fields)[0].clone()),
                    Incoming::Data(data) => {
                        client.consumed(*id, data.len());
                        *len += data.len();
                    }
                    Incoming::End(_) => {
                        client.release(*id);
                        *done = true;
                    }
                }
            }
        }
        got.len() == 20 && got.iter().all(|(.., done)| *done)
    })
    .await;
    for (id, len, heads, _) in got {
        assert_eq!((len, heads.join(" ")), (BODY_BYTES, ":status: 103 :status: 200".to_owned()), "{id}");
    }
}
