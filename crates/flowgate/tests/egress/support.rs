//! A flowgate in mode `upstream:` that saves its flows, and a client whose every byte is written in the test.

use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use flowgate_flow::{Address, Flow, Via};
use flowgate_formats::FlowReader;
use flowgate_testkit::{Flowgate, FlowgateBuilder, PATIENCE, Signal};

/// The binary under test.
const FLOWGATE: &str = env!("CARGO_BIN_EXE_flowgate");

/// A `flowgate dump` that saves its flows.
pub(crate) fn flowgate() -> FlowgateBuilder {
    let builder = Flowgate::builder(FLOWGATE);
    let file = builder.path("flows").display().to_string();
    builder.args(["-w".to_owned(), file])
}

/// The same with this upstream proxy.
pub(crate) fn through(scheme: &str, proxy: impl std::fmt::Display) -> FlowgateBuilder {
    flowgate().args(["--mode".to_owned(), format!("upstream:{scheme}://{proxy}")])
}

/// Stops flowgate in good order and reads the flows that it saved.
pub(crate) fn saved_flows(flowgate: &Flowgate) -> Vec<Flow> {
    assert_eq!(flowgate.stop(Signal::TERM).code(), Some(0), "{:#?}", flowgate.lines());
    let file = File::open(flowgate.path("flows")).unwrap();
    FlowReader::new(BufReader::new(file)).map(Result::unwrap).collect()
}

/// Neither what was printed nor what was saved has this text in it.
pub(crate) fn assert_secret(flowgate: &Flowgate, text: &str) {
    assert!(!printed(flowgate).contains(text), "{text} was printed");
    let saved = fs::read(flowgate.path("flows")).unwrap();
    assert!(!saved.windows(text.len()).any(|window| window == text.as_bytes()), "{text} was saved");
}

/// All that was printed so far.
pub(crate) fn printed(flowgate: &Flowgate) -> String {
    flowgate.lines().into_iter().map(|line| line.text + "\n").collect()
}

/// An upstream proxy as flows name it.
pub(crate) fn via(scheme: &str, proxy: SocketAddr) -> Option<Via> {
    let address = Address { host: proxy.ip().to_string(), port: proxy.port() };
    Some(Via { scheme: scheme.into(), address })
}

/// A client's connection to flowgate.
pub(crate) struct Client(TcpStream);

impl Client {
    pub(crate) fn connect(flowgate: &Flowgate) -> Self {
        let socket = TcpStream::connect(flowgate.address()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).unwrap();
    }

    /// Ends our direction.
    pub(crate) fn shut(&self) {
        self.0.shutdown(Shutdown::Write).unwrap();
    }

    /// Reads up to and including `end`, and no byte more.
    pub(crate) fn read_until(&mut self, end: &str) -> String {
        let mut read = Vec::new();
        let mut byte = [0];
        while !read.ends_with(end.as_bytes()) {
            let count = self.0.read(&mut byte).unwrap();
            assert_eq!(count, 1, "closed after {:?}", String::from_utf8_lossy(&read));
            read.push(byte[0]);
        }
        String::from_utf8(read).unwrap()
    }

    pub(crate) fn read_count(&mut self, count: usize) -> Vec<u8> {
        let mut read = vec![0; count];
        self.0.read_exact(&mut read).unwrap();
        read
    }

    pub(crate) fn read_to_end(&mut self) -> String {
        let mut read = String::new();
        self.0.read_to_string(&mut read).unwrap();
        read
    }
}
