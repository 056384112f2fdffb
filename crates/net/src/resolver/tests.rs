//! Look-ups against name servers that answer as the tests say.

use std::net::{TcpListener, UdpSocket};

use flowgate_testkit::{Data, NameServer, Question, Says};

use super::*;

const GONE: &str = "says that there is no such name";

/// What asking these servers for a name comes to.
async fn look_up(resolver: &Resolver, name: &str) -> Result<String, String> {
    let found = resolver.addresses_of(name).await.map_err(|error| error.to_string())?;
    Ok(found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
}

fn asking(servers: &[&NameServer]) -> Resolver {
    Resolver::with_hosts(servers.iter().map(|server| server.address()).collect(), None)
}

fn alias(name: &str, target: &str) -> (String, u32, Data) {
    (name.into(), 60, Data::Alias(target.into()))
}

fn address(name: &str, address: &str) -> (String, u32, Data) {
    (name.into(), 60, Data::Address(address.parse().unwrap()))
}

#[tokio::test]
async fn both_kinds_are_asked_for_and_kept() {
    let server = NameServer::start(|question| match question.name.as_str() {
        "a.test" => Says::addresses("a.test", &["10.0.0.1", "10.0.0.2", "fd00::1"]),
        "xn--bcher-kva.test" => Says::addresses("xn--bcher-kva.test", &["10.0.0.3"]),
        "alias.test" => Says::Records(vec![alias("alias.test", "b.test"), address("b.test", "10.0.0.4")]),
        "empty.test" => Says::Records(vec![]),
        _ => Says::Code(3),
    });
    let resolver = asking(&[&server]);
    for _ in 0..2 {
        assert_eq!(look_up(&resolver, "A.Test.").await.unwrap(), "fd00::1 10.0.0.1 10.0.0.2");
    }
    assert_eq!(server.asked().len(), 2, "the second time nobody was asked");
    assert_eq!(look_up(&resolver, "bücher.test").await.unwrap(), "10.0.0.3");
    assert_eq!(look_up(&resolver, "alias.test").await.unwrap(), "10.0.0.4");
    assert_eq!(look_up(&resolver, "empty.test").await.unwrap(), "");
    let error = look_up(&resolver, "none.test").await.unwrap_err();
    assert_eq!(error, format!("name server {} {GONE}", server.address()));
    assert!(look_up(&resolver, "a..test").await.unwrap_err().contains("no name that DNS can carry"));
    // These are nobody's business.
    let before = server.asked().len();
    assert_eq!(look_up(&resolver, "localhost").await.unwrap(), "127.0.0.1 ::1");
    assert_eq!(look_up(&resolver, "a.LOCALHOST.").await.unwrap(), "127.0.0.1 ::1");
    assert_eq!(server.asked().len(), before);
}

#[tokio::test]
async fn the_next_server_is_asked_if_one_has_no_answer() {
    let fails = NameServer::start(|question| match question.name.as_str() {
        "none.test" => Says::Code(3),
        _ => Says::Code(2),
    });
    let refuses = NameServer::start(|_| Says::Code(5));
    let answers = NameServer::start(|question| Says::addresses(&question.name, &["10.0.0.1"]));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut resolver = asking(&[&fails, &refuses, &answers]);
    resolver.servers.insert(0, closed);
    assert_eq!(look_up(&resolver, "a.test").await.unwrap(), "10.0.0.1");
    // Which one answered is remembered.
    let before = (fails.asked().len(), refuses.asked().len());
    assert_eq!(look_up(&resolver, "b.test").await.unwrap(), "10.0.0.1");
    assert_eq!((fails.asked().len(), refuses.asked().len()), before);
    // That there is no such name is an answer.
    let resolver = asking(&[&fails, &answers]);
    assert!(look_up(&resolver, "none.test").await.unwrap_err().contains(GONE));
    let resolver = asking(&[&fails, &refuses]);
    let error = look_up(&resolver, "a.test").await.unwrap_err();
    assert_eq!(error, format!("name server {}: it says REFUSED", refuses.address()));
    assert_eq!(fails.asked().iter().filter(|question| question.name == "a.test").count(), 2 + 2 * DNS_ROUNDS);
}

#[tokio::test]
async fn a_long_answer_is_asked_for_by_tcp() {
    let server = NameServer::start(|question| match question.tcp {
        true => Says::addresses(&question.name, &["10.0.0.1"; 100]),
        false => Says::Cut,
    });
    let resolver = asking(&[&server]);
    assert_eq!(look_up(&resolver, "a.test").await.unwrap(), ["10.0.0.1"; 16].join(" "));
    assert!(server.asked().contains(&Question { name: "a.test".into(), kind: A, tcp: true }));
}

#[tokio::test]
async fn nobody_waits_for_the_other_kind_for_long() {
    let server = NameServer::start(|question| match question.kind {
        A => Says::addresses(&question.name, &["10.0.0.1"]),
        _ => Says::Nothing,
    });
    assert_eq!(look_up(&asking(&[&server]), "a.test").await.unwrap(), "10.0.0.1");
    // One that fails does no harm either, on whichever side.
    for works in [A, AAAA] {
        let server = NameServer::start(move |question| match question.kind == works {
            true => Says::addresses(&question.name, &["10.0.0.1", "fd00::1"]),
            false => Says::Code(4),
        });
        let expected = if works == A { "10.0.0.1" } else { "fd00::1" };
        assert_eq!(look_up(&asking(&[&server]), "a.test").await.unwrap(), expected);
    }
}

#[tokio::test]
async fn servers_that_do_not_search_are_asked_for_what_a_name_stands_for() {
    let server = NameServer::start(|question| match question.name.as_str() {
        "a.test" => Says::NoRecursion(vec![alias("a.test", "b.test")]),
        "b.test" => Says::NoRecursion(vec![address("b.test", "10.0.0.1")]),
        "circle.test" => Says::NoRecursion(vec![alias("circle.test", "elcric.test")]),
        "elcric.test" => Says::NoRecursion(vec![alias("elcric.test", "circle.test")]),
        _ => Says::Records(vec![alias("self.test", "self.test")]),
    });
    let resolver = asking(&[&server]);
    assert_eq!(look_up(&resolver, "a.test").await.unwrap(), "10.0.0.1");
    for name in ["circle.test", "self.test"] {
        let error = look_up(&resolver, name).await.unwrap_err();
        assert!(error.ends_with("stands for another, and that for another, without an end"), "{error}");
    }
    let of_circle = |question: &Question| question.name != "self.test" && question.kind == A;
    assert!(server.asked().into_iter().filter(of_circle).count() <= 2 + DNS_ALIASES_MAX);
}

#[tokio::test(start_paused = true)]
async fn servers_that_say_nothing_are_given_up() {
    // Bound, and never read.
    let silent: Vec<_> = (0..5).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    for count in [1, 5] {
        let servers = silent[..count].iter().map(|socket| socket.local_addr().unwrap()).collect();
        let begin = Instant::now();
        let error = look_up(&Resolver::with_hosts(servers, None), "a.test").await.unwrap_err();
        assert!(error.ends_with(": no answer in time"), "{error}");
        assert!(begin.elapsed() <= DNS_LOOKUP_TIMEOUT + DNS_ATTEMPT_TIMEOUT / 2, "{:?}", begin.elapsed());
    }
}

#[tokio::test]
async fn the_hosts_file_counts_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hosts");
    std::fs::write(&path, "10.0.0.7 a.test\n").unwrap();
    let server = NameServer::start(|question| Says::addresses(&question.name, &["10.0.0.1"]));
    let resolver = Resolver::with_hosts(vec![server.address()], Some(path));
    assert_eq!(look_up(&resolver, "A.test").await.unwrap(), "10.0.0.7");
    assert_eq!(look_up(&resolver, "b.test").await.unwrap(), "10.0.0.1");
    assert!(server.asked().iter().all(|question| question.name == "b.test"));
}

#[test]
fn the_systems_servers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resolv.conf");
    let text = "# nameserver 10.0.0.1\nsearch a.test\nnameserver 10.0.0.2\nnameserver\tfd00::1 # x\nnameserver\n\
                nameserver nowhere\nnameservers 10.0.0.3\n";
    std::fs::write(&path, text).unwrap();
    let servers: Vec<_> = system_servers(&path).iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["10.0.0.2:53", "[fd00::1]:53"]);
    assert!(system_servers(&folder.path().join("none")).is_empty());
}
