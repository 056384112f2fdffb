//! Bodies that we show otherwise than mitmproxy, on purpose.

/// The view that is asked for, the Content-Type, the body in hexadecimal, and our text.
#[rustfmt::skip]
pub(crate) const DIFFERENCES: &[(&str, &str, &str, Option<&str>)] = &[
    // Text without a charset is UTF-8, not Latin-1.
    ("xml/html", "", "3c613ec3a4e697a53c2f613e", Some("<a>ä日</a>")),
    // A boundary may stand in quotes.
    ("auto", "multipart/form-data; boundary=\"B\"", "2d2d420d0a436f6e74656e742d446973706f736974696f6e3a20666f726d2d646174613b206e616d653d2261220d0a0d0a310d0a2d2d420d0a436f6e74656e742d446973706f736974696f6e3a20666f726d2d646174613b206e616d653d2262220d0a0d0a74776f0d0a2d2d422d2d0d0a", Some("a: '1'\nb: two")),
    // A body of another type is no form; it is not shown as nothing.
    ("multipart form", "text/plain", "2d2d420d0a436f6e74656e742d446973706f736974696f6e3a20666f726d2d646174613b206e616d653d2261220d0a0d0a310d0a2d2d420d0a436f6e74656e742d446973706f736974696f6e3a20666f726d2d646174613b206e616d653d2262220d0a0d0a74776f0d0a2d2d422d2d0d0a", None),
    // Text need not be ASCII, and messages are read wherever they can be.
    ("protobuf", "", "0a02c3a4", Some("1: ä")),
    ("protobuf", "", "1a0b0896011206696e736964651a0b0896011206696e73696465", Some("3:\n- 1: 150  # !sint: 75\n  2: inside\n- 1: 150  # !sint: 75\n  2: inside")),
    // Types under their registered names are known, too.
    ("auto", "application/protobuf", "089601", Some("1: 150  # !sint: 75")),
    // Bytes, extensions and several values are shown; a list as the key of a map is not.
    ("msgpack", "", "c4056279746573", Some("!binary '6279746573'")),
    ("msgpack", "", "d5056162", Some("!ext5 '6162'")),
    ("msgpack", "", "91c401ff", Some("- !binary ff")),
    ("msgpack", "", "0102", Some("1\n---\n2")),
    ("msgpack", "", "81910102", None),
    ("auto", "application/vnd.msgpack", "9101", Some("- 1")),
    // This icon has no picture behind its directory, and is told all the same.
    ("image", "", "0000010001001020000001002000040000001600000061626364", Some("# ICO Image\nFormat: ICO\nNumber of images: '1'\nImage 1: 16 x 32 px, 32 bits per pixel")),
    // No length stands before DNS in HTTP.
    ("auto", "application/dns-message", "002a0100000100000000000003646e7306676f6f676c650000010001", Some("id: 42\nquery: true\nop_code: QUERY\nauthoritative_answer: false\ntruncation: false\nrecursion_desired: true\nrecursion_available: false\nresponse_code: NOERROR\nquestions:\n- name: dns.google\n  type: A\n  class: IN\nanswers: []\nauthorities: []\nadditionals: []\nsize: 0")),
    // All kinds of packets are shown, and MQTT is known by its port.
    ("mqtt", "", "20020000", Some("[CONNACK] code 0")),
    ("mqtt", "", "40020001", Some("[PUBACK] id 1")),
    ("mqtt", "", "e000", Some("[DISCONNECT]")),
    ("auto", "", "300c0005746f70696368656c6c6f", Some("[PUBLISH] 'hello' to topic 'topic'")),
    // A member that stands twice is shown twice.
    ("graphql", "application/json", "7b227175657279223a2022615c6e62222c20227175657279223a2022635c6e64227d", Some("{\n  \"query\": \"a\\nb\",\n  \"query\": \"...\"\n}\n---\nc\nd")),
    ("auto", "application/json", "7b227175657279223a2022615c6e62222c20227175657279223a2022635c6e64227d", Some("{\n  \"query\": \"a\\nb\",\n  \"query\": \"...\"\n}\n---\nc\nd")),
    // Comments stand on their own line; rules inside of others are indented.
    ("viewcss", "", "2f2a2078202a2f617b623a637d", Some("/* x */\na {\n    b: c\n}")),
    ("viewcss", "", "406d65646961207072696e747b617b623a637d7d", Some("@media print {\n    a {\n        b: c\n    }\n}")),
];
