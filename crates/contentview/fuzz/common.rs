//! What has to hold for every view, whatever the body is. Not a target.

use flowgate_contentview::{Carrier, ContentInfo, Limits, View, render};

/// The first byte says what is known of the body; the rest is the body.
pub fn check(view: View, data: &[u8]) {
    let Some((&facts, body)) = data.split_first() else { return };
    let carriers = [Carrier::Http, Carrier::WebSocket, Carrier::Tcp, Carrier::Udp];
    let types: [&[u8]; 8] = [
        b"multipart/form-data; boundary=B",
        b"text/html; charset=shift_jis",
        b"application/json",
        b"application/grpc",
        b"image/png",
        b"application/msgpack",
        b"text/css",
        b"text/javascript",
    ];
    let info = ContentInfo {
        content_type: Some(types[usize::from(facts & 7)]),
        carrier: carriers[usize::from(facts >> 3 & 3)],
        query: Some(body),
        path: Some(b"/socket.io/?a"),
        server_port: Some([53, 1883, 80, 5353][usize::from(facts >> 5 & 3)]),
        total_bytes: (facts & 0x80 != 0).then_some(body.len() as u64 + 1),
        grpc_encoding: None,
    };
    let limits = Limits {
        decoded_bytes_max: 1 << 16,
        lines_max: 50,
        text_bytes_max: 4096,
        json_depth_max: 50,
        nesting_max: 20,
        fields_max: 100,
        ..Limits::default()
    };
    let bounded = render(view, &info, body, &limits);
    assert!(bounded.text.len() <= 4096);
    assert!(bounded.text.matches('\n').count() <= 50);
    assert!(bounded.text.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()), "{bounded:?}");
    // More room shows more of the same.
    let wider = render(view, &info, body, &Limits { lines_max: 5_000, text_bytes_max: 1 << 20, ..limits });
    if wider.view_name == bounded.view_name {
        assert!(wider.text.starts_with(&bounded.text));
    }
}
