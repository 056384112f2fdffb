//! Which recording answers.

use super::*;
use crate::testing;
use flowgate_options::{Options, Source};

fn index(set: &[(&str, &str)], recorded: &[(&str, u16)]) -> Index {
    let mut options = Options::default();
    for (name, value) in set {
        options.set(Source::Set, name, &[value]).unwrap();
    }
    let flows = recorded.iter().map(|(line, status)| {
        let flow = testing::flow(line, &[]);
        if *status == 0 { flow } else { testing::answered(flow, *status) }
    });
    Index::new(Arc::new(flows.collect()), options.values())
}

fn asked(index: &Index, line: &str, reuse: bool) -> Option<u16> {
    let flow = testing::flow(line, &[]);
    let key = key(testing::request(&flow), &index.options).unwrap();
    index.next(&key, reuse).map(|response| response.status)
}

#[test]
fn each_recording_answers_once_in_order() {
    let index = index(
        &[],
        &[("GET http://a/", 200), ("GET http://a/", 0), ("GET http://a/", 404), ("GET http://b/", 204)],
    );
    assert_eq!(index.recordings.len(), 3);
    let answers = ["GET http://a/", "GET http://b/", "GET http://a/", "GET http://a/", "GET http://c/"];
    assert_eq!(answers.map(|line| asked(&index, line, false)), [Some(200), Some(204), Some(404), None, None]);
}

#[test]
fn the_first_answers_again_and_again_if_it_may() {
    let index = index(&[], &[("GET http://a/", 200), ("GET http://a/", 404)]);
    assert_eq!([(); 3].map(|()| asked(&index, "GET http://a/", true)), [Some(200); 3]);
}

#[test]
fn an_index_stays_while_its_keys_do() {
    let index = index(&[], &[("GET http://a/", 200)]);
    let of = |set: &[(&str, &str)], recordings: &Arc<Recordings>| {
        let mut options = Options::default();
        for (name, value) in set {
            options.set(Source::Set, name, &[value]).unwrap();
        }
        index.is_of(recordings, options.values())
    };
    assert!(of(&[("server_replay_reuse", "true")], &index.recordings));
    assert!(!of(&[("server_replay_ignore_port", "true")], &index.recordings));
    assert!(!of(&[], &Arc::new(Recordings::default())));
}
