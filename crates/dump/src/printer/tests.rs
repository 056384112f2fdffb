//! Flows that are judged by their bodies: by which way they go, and that pieces are asked for themselves.

use std::convert::Infallible;
use std::io::Write;
use std::sync::{Arc, Mutex, mpsc};

use flowgate_flow::{ClientConnection, FlowId, RawFlow, ServerConnection};
use flowgate_options::Values;
use flowgate_session::{Saver, Sink};

use super::*;
use crate::{LocalTime, Style};

#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Sends on what it gets.
struct Saved(mpsc::Sender<Flow>);

impl Sink for Saved {
    const WHAT: &'static str = "flows";
    type Error = Infallible;
    type Item = Flow;

    fn take(&mut self, flow: Flow) -> Result<(), Infallible> {
        self.0.send(flow).unwrap();
        Ok(())
    }
}

fn printer(values: &Values) -> (Printer, Printed) {
    let printed = Printed::default();
    let output = Output::start(printed.clone()).unwrap();
    let dumper = Dumper { flow_detail: values.flow_detail, ..Dumper::default() };
    let term_log = TermLog { verbosity: Level::Info, style: Style::Plain, local_time: LocalTime::utc() };
    (Printer::new(dumper, term_log, output, Filters::new(values).unwrap()), printed)
}

fn text(printer: &Printer, printed: &Printed) -> String {
    printer.output.flush().unwrap();
    String::from_utf8(std::mem::take(&mut *printed.0.lock().unwrap())).unwrap()
}

fn message(content: &str) -> RawMessage {
    RawMessage { from_client: true, content: content.to_owned().into(), timestamp: Timestamp(0.0) }
}

/// A TCP flow that failed, so that its end is printed, after these messages.
fn flow(messages: Vec<RawMessage>) -> Flow {
    let client = ClientConnection::new(FlowId::Uuid(1), "regular".into());
    let server = ServerConnection::new(FlowId::Uuid(2), None);
    let kind = FlowKind::Tcp(RawFlow { messages });
    let mut flow = Flow::new(FlowId::Uuid(3), client.into(), server.into(), kind, Timestamp(0.0));
    flow.error = Some(flowgate_flow::FlowError {
        message: "reset".into(),
        timestamp: Timestamp(0.0),
        side: None,
        phase: None,
    });
    flow
}

#[tokio::test]
async fn large_bodies_are_searched_elsewhere() {
    let large = "x".repeat(AT_ONCE_BYTES_MAX as usize) + "needle";
    for (filter, detail, content, waits, is_printed) in [
        (Some("~b needle"), 1, "needle", false, true),
        (Some("~b needle"), 1, &large[..], true, true),
        (Some("~b nothing"), 1, &large[..], true, false),
        (Some("~tcp"), 1, &large[..], false, true),
        (None, 1, &large[..], false, true),
        (None, 3, &large[..], true, true),
    ] {
        let values = Values {
            dumper_filter: filter.map(str::to_owned),
            save_stream_filter: filter.map(str::to_owned),
            flow_detail: detail,
            ..Values::default()
        };
        let (mut printer, printed) = printer(&values);
        let (save, saved) = mpsc::channel();
        let saver = Saver::start(Saved(save), |_, _| {}).unwrap();
        printer.save_to(saver.sender());
        let case = format!("{filter:?} at {detail}, {} bytes", content.len());
        match printer.flow(flow(vec![message(content)])) {
            Ok(()) => assert!(!waits, "{case}"),
            Err(flow) => {
                assert!(waits, "{case}");
                printer.flow_when_free(flow).await;
            }
        }
        assert_eq!(!text(&printer, &printed).is_empty(), is_printed, "{case}");
        drop(printer);
        assert_eq!(saver.finish(), 0);
        assert_eq!(saved.try_recv().is_ok(), is_printed, "{case}");
    }
}

#[test]
fn a_piece_is_asked_for_itself() {
    let values = Values { dumper_filter: Some("~b needle".into()), ..Values::default() };
    let (printer, printed) = printer(&values);
    for content in ["hay", "a needle", "hay"] {
        printer.raw_message(&flow(vec![]), &message(content));
    }
    let text = text(&printer, &printed);
    assert_eq!(text.lines().count(), 1, "{text}");
}
