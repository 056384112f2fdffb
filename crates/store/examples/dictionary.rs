//! Makes what records are packed with (`src/dictionary.zdict`): `cargo run --release -p flowgate-store --example dictionary -- FILE`.
//!
//! Saves made-up flows as they usually are, and has zstd find what their records have in common: names of fields and keys, values that
//! come again, and how often each byte does. The same each time. A dictionary that stores were written with is never changed.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for developers")]

mod random;

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use flowgate_flow::{
    Address, Body, ClientConnection, Connection, Flow, FlowId, FlowKind, Headers, HttpFlow, HttpVersion,
    PseudoFields, RawFlow, RawMessage, Request, Response, ServerConnection, Timestamp,
};
use flowgate_store::{BodyReader, StoreWriter, scan_segment};
use random::Random;

/// Flows whose records are looked at.
const FLOWS: usize = 6000;

/// Bytes of the dictionary: it stays in a processor's nearest memory while records are unpacked.
const DICTIONARY_BYTES: usize = 16 * 1024;

/// Bytes of a record that are looked at.
const SAMPLE_BYTES_MAX: usize = 8 * 1024;

const AGENTS: [&str; 8] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "curl/8.14.1",
    "okhttp/4.12.0",
    "python-requests/2.32.4",
    "Go-http-client/2.0",
];

const ACCEPTED: [&str; 5] = [
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "application/json, text/plain, */*",
    "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
    "text/css,*/*;q=0.1",
    "*/*",
];

const REQUEST_FIELDS: [(&str, &[&str]); 18] = [
    ("accept-encoding", &["gzip, deflate, br, zstd", "gzip, deflate, br", "gzip"]),
    ("accept-language", &["en-US,en;q=0.9", "en-GB,en;q=0.5", "de-DE,de;q=0.9,en;q=0.8"]),
    ("cache-control", &["no-cache", "max-age=0"]),
    ("connection", &["keep-alive"]),
    ("cookie", &["session=%; _ga=GA1.1.#.#; csrftoken=%", "sid=%; lang=en"]),
    ("authorization", &["Bearer eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.%.%"]),
    ("content-type", &["application/json", "application/x-www-form-urlencoded", "application/grpc"]),
    ("if-none-match", &["\"%\"", "W/\"%\""]),
    ("origin", &["https://www.example.com"]),
    ("priority", &["u=0, i", "u=1, i"]),
    ("referer", &["https://www.example.com/"]),
    ("sec-ch-ua", &["\"Chromium\";v=\"141\", \"Not?A_Brand\";v=\"8\", \"Google Chrome\";v=\"141\""]),
    ("sec-ch-ua-mobile", &["?0"]),
    ("sec-fetch-dest", &["document", "empty", "image", "script", "style"]),
    ("sec-fetch-mode", &["cors", "navigate", "no-cors"]),
    ("sec-fetch-site", &["same-origin", "cross-site", "none"]),
    ("upgrade-insecure-requests", &["1"]),
    ("x-requested-with", &["XMLHttpRequest"]),
];

const RESPONSE_FIELDS: [(&str, &[&str]); 20] = [
    ("date", &["Mon, 12 Jan 2026 10:##:## GMT", "Thu, 27 Nov 2025 16:##:## GMT"]),
    ("server", &["nginx", "cloudflare", "Apache", "AmazonS3", "gws"]),
    (
        "cache-control",
        &["no-cache, no-store, must-revalidate", "public, max-age=31536000, immutable", "private"],
    ),
    ("content-encoding", &["gzip", "br"]),
    ("content-length", &["###", "####"]),
    ("vary", &["Accept-Encoding", "Origin"]),
    ("etag", &["\"%\"", "W/\"%\""]),
    ("expires", &["Thu, 01 Jan 1970 00:00:00 GMT"]),
    ("last-modified", &["Tue, 04 Nov 2025 09:##:## GMT"]),
    ("set-cookie", &["session=%; Path=/; Secure; HttpOnly; SameSite=Lax"]),
    ("strict-transport-security", &["max-age=31536000; includeSubDomains; preload"]),
    ("x-content-type-options", &["nosniff"]),
    ("x-frame-options", &["SAMEORIGIN", "DENY"]),
    ("access-control-allow-origin", &["*"]),
    ("access-control-allow-credentials", &["true"]),
    ("content-security-policy", &["default-src 'self'; script-src 'self' 'unsafe-inline' https:"]),
    ("x-request-id", &["%-#"]),
    ("alt-svc", &["h3=\":443\"; ma=86400"]),
    ("age", &["###"]),
    ("transfer-encoding", &["chunked"]),
];

const KEYS: [&str; 20] = [
    "id",
    "name",
    "title",
    "type",
    "value",
    "url",
    "email",
    "status",
    "created_at",
    "updated_at",
    "description",
    "user",
    "data",
    "items",
    "count",
    "price",
    "message",
    "tags",
    "language",
    "uuid",
];

const WORDS: [&str; 24] = [
    "the",
    "and",
    "of",
    "to",
    "a",
    "in",
    "for",
    "is",
    "on",
    "that",
    "with",
    "order",
    "product",
    "account",
    "search",
    "image",
    "active",
    "error",
    "page",
    "new",
    "example",
    "information",
    "service",
    "content",
];

const MARKUP: [&str; 10] = [
    "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>",
    "</title><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">",
    "<link rel=\"stylesheet\" href=\"/static/css/main.%.css\">",
    "<script src=\"/static/js/main.%.js\" async></script></head><body>",
    "<div class=\"container\"><ul><li><a href=\"https://www.example.com/",
    "</a></li></ul></div>\n",
    "function(e,t){return this.",
    "var n=document.getElementById(\"",
    "{display:flex;margin:0;padding:0;color:#333;background:#fff}",
    "<path d=\"M12 #.#h-#v#z\" fill=\"none\"/></svg>",
];

impl Random {
    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn id(&mut self) -> FlowId {
        FlowId::from_random(u128::from(self.next()) << 64 | u128::from(self.next()))
    }

    /// `#` is a digit, `%` some hexadecimal ones.
    fn fill(&mut self, form: &str) -> String {
        let mut text = String::new();
        for c in form.chars() {
            match c {
                '#' => text += &self.below(10).to_string(),
                '%' => text += &format!("{:x}", self.next()),
                c => text.push(c),
            }
        }
        text
    }

    /// Each of these fields with a chance of one in `n`.
    fn fields(&mut self, from: &[(&str, &[&str])], n: usize, fields: &mut Vec<(String, String)>) {
        for (name, values) in from {
            if self.one_in(n) {
                let value = self.pick(values);
                fields.push(((*name).to_owned(), self.fill(value)));
            }
        }
    }

    fn value(&mut self) -> String {
        match self.below(8) {
            0 => self.below(100_000).to_string(),
            1 => ["true", "false", "null"][self.below(3)].to_owned(),
            2 => self.fill("\"2025-1#-2#T1#:##:##Z\""),
            3 => self.fill("\"%\""),
            4 => self.fill("\"https://www.example.com/api/v1/#####\""),
            5 => self.fill("#.##"),
            _ => format!("\"{}\"", self.words(4)),
        }
    }

    fn words(&mut self, most: usize) -> String {
        (0..=self.below(most)).map(|_| self.pick(&WORDS)).collect::<Vec<_>>().join(" ")
    }

    fn body(&mut self) -> Vec<u8> {
        let bytes = [0, 100, 500, 900, 2000, 4000][self.below(6)];
        let mut text = String::new();
        match self.below(8) {
            // Packed already, or encrypted.
            0 => return (0..bytes).map(|_| self.next() as u8).collect(),
            1 | 2 => {
                while text.len() < bytes {
                    let (form, words) = (self.pick(&MARKUP), self.words(9));
                    text += &self.fill(form);
                    text += &words;
                }
            }
            3 => {
                while text.len() < bytes {
                    let (key, value) = (self.pick(&KEYS), self.fill("%"));
                    text += &format!("{key}={value}&");
                }
            }
            _ => {
                while text.len() < bytes {
                    text.push_str(if text.is_empty() { "[{" } else { "},{" });
                    for _ in 0..=self.below(6) {
                        let (key, value) = (self.pick(&KEYS), self.value());
                        text += &format!("\"{key}\":{value},");
                    }
                    text.pop();
                }
            }
        }
        text.into_bytes()
    }

    fn connections(&mut self) -> (Arc<ClientConnection>, Arc<ServerConnection>) {
        let host = ["www.example.com", "api.example.com", "cdn.example.net"][self.below(3)].to_owned();
        let tls = !self.one_in(8);
        let time = Timestamp(self.fill("17648#####.######").parse().unwrap());
        let mut connection = Connection::new(self.id());
        connection.peername = Some(([127, 0, 0, 1], 40_000 + self.below(20_000) as u16).into());
        connection.sockname = Some(([127, 0, 0, 1], 8080).into());
        connection.timestamp_start = Some(time);
        connection.timestamp_tls_setup = Some(time);
        connection.tls = tls;
        if tls {
            connection.tls_version = Some(self.pick(&["TLSv1.3", "TLSv1.2"]).to_owned());
            connection.sni = Some(host.clone());
            connection.cipher =
                Some(self.pick(&["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"]).to_owned());
            connection.alpn = Some(self.pick(&["h2", "http/1.1"]).as_bytes().to_vec().into());
            connection.alpn_offers = vec!["h2".into(), "http/1.1".into()];
        }
        let server = ServerConnection {
            connection: Connection { id: self.id(), ..connection.clone() },
            address: Some(Address { host, port: if tls { 443 } else { 80 } }),
            timestamp_tcp_setup: Some(time),
            via: None,
        };
        let client =
            ClientConnection { connection, leaf: None, fingerprints: None, mode: "regular".to_owned() };
        (Arc::new(client), Arc::new(server))
    }

    fn kind(&mut self, server: &ServerConnection, time: f64) -> FlowKind {
        if self.one_in(20) {
            let message = |random: &mut Self| RawMessage {
                from_client: random.one_in(2),
                content: random.body().into(),
                timestamp: Timestamp(time),
            };
            let messages = (0..self.below(4)).map(|_| message(self)).collect();
            return FlowKind::Tcp(RawFlow { messages });
        }
        let version = if self.one_in(2) { HttpVersion::Http2 } else { HttpVersion::Http11 };
        let host = server.address.as_ref().unwrap().host.clone();
        let mut fields = vec![("host".to_owned(), host.clone())];
        fields.push(("user-agent".to_owned(), self.pick(&AGENTS).to_owned()));
        fields.push(("accept".to_owned(), self.pick(&ACCEPTED).to_owned()));
        self.fields(&REQUEST_FIELDS, 2, &mut fields);
        let method = self.pick(&["GET", "GET", "GET", "POST", "OPTIONS"]);
        let path =
            self.pick(&["/", "/api/v1/users/####?page=#", "/static/js/main.%.js", "/graphql", "/search?q=%"]);
        let request = Request {
            version: version.clone(),
            method: method.into(),
            scheme: if server.connection.tls { "https".into() } else { "http".into() },
            authority: if version == HttpVersion::Http2 { host.clone().into() } else { Bytes::new() },
            host,
            port: server.address.as_ref().unwrap().port,
            path: self.fill(path).into(),
            pseudo: PseudoFields::default(),
            headers: fields.into_iter().collect::<Headers>(),
            body: Body::Bytes(if method == "POST" { self.body().into() } else { Bytes::new() }),
            trailers: None,
            timestamp_start: Timestamp(time),
            timestamp_end: Some(Timestamp(time + 0.001)),
        };
        let types =
            ["application/json", "application/json; charset=utf-8", "text/html; charset=utf-8", "image/png"];
        let mut fields = vec![("content-type".to_owned(), self.pick(&types).to_owned())];
        self.fields(&RESPONSE_FIELDS, 2, &mut fields);
        let (status, reason) =
            [(200, "OK"), (200, "OK"), (304, "Not Modified"), (404, "Not Found")][self.below(4)];
        let response = Response {
            reason: if version == HttpVersion::Http2 { Bytes::new() } else { reason.into() },
            version,
            status,
            headers: fields.into_iter().collect::<Headers>(),
            body: Body::Bytes(self.body().into()),
            trailers: None,
            timestamp_start: Timestamp(time + 0.05),
            timestamp_end: Some(Timestamp(time + 0.07)),
        };
        FlowKind::Http(Box::new(HttpFlow { request, response: Some(response), websocket: None }))
    }
}

fn main() {
    let to = std::env::args_os().nth(1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut writer = StoreWriter::open(folder.path()).unwrap();
    let mut connections = random.connections();
    for number in 0..FLOWS {
        // Half of the flows have connections for themselves.
        if number % 4 < 3 {
            connections = random.connections();
        }
        let (client, server) = connections.clone();
        let time = 1_764_800_000.0 + number as f64 * 0.731_29;
        let kind = random.kind(&server, time);
        writer.add(Flow::new(random.id(), client, server, kind, Timestamp(time))).unwrap();
    }
    drop(writer);

    let reader = BodyReader::new(folder.path());
    let mut samples = Vec::new();
    for segment in 0.. {
        let Ok(mut file) = File::open(folder.path().join(format!("bodies-{segment:06}"))) else { break };
        let mut records = Vec::new();
        scan_segment(&mut file, segment, |at| records.push(at)).unwrap();
        for at in records {
            samples.push(reader.open(&at).unwrap().prefix(SAMPLE_BYTES_MAX).unwrap().unwrap());
        }
    }
    let dictionary = zstd::dict::from_samples(&samples, DICTIONARY_BYTES).unwrap();
    println!("{} bytes from {} records", dictionary.len(), samples.len());
    std::fs::write(to, dictionary).unwrap();
}
