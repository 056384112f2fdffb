//! The named limits and time-outs of the proxy. Those of the codecs are in `flowgate_wire::limits`.

use std::time::Duration;

/// How long a server may take to accept a connection: the default of option `connect_timeout`.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a TLS handshake may take, on either side.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// How soon after its TLS handshake a client has to leave without a word for that to be told as a sign of distrust. Browsers
/// leave connections that they did not need after ten seconds.
pub const CLIENT_REGRET_MAX: Duration = Duration::from_secs(8);
/// How long a client may take to send a head, once its first byte is there.
pub const CLIENT_HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may stay connected without beginning a request, and how long an exchange, or a raw connection that is
/// recorded, may go without a byte in any direction: the default of option `tcp_timeout`.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// How long a raw connection or WebSocket that is recorded may go on when we are to end. Then it is cut, and its flow is saved.
pub const RELAY_STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// How long we wait for a client to speak before we let the server begin, when nobody has connected to it yet.
pub const SERVER_FIRST_DELAY: Duration = Duration::from_millis(300);
/// How long a connection that is being closed is read, so that our last words arrive at a client that is still sending.
pub const LINGER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long such a client may be silent, or take nothing.
pub const LINGER_SILENCE_MAX: Duration = Duration::from_secs(2);
/// How many connections linger at a time that were ended because their clients broke the rules; for one more the oldest is cut short.
pub const FAREWELLS_MAX: usize = 256;
/// How much of one read, in bytes, of what nobody wants any more.
pub const FAREWELL_READ_BYTES: usize = 8 * 1024;
/// How long a client of HTTP/2 may be silent that was answered before its request was whole. Then it is told that the rest is not wanted.
pub const REST_SILENCE_MAX: Duration = Duration::from_secs(3);
/// The same, if the answer is our own and no server gets the rest.
pub const UNSENT_REST_SILENCE_MAX: Duration = Duration::from_millis(250);
/// How many bytes are looked at before a protocol is decided.
pub const PEEK_BYTES_MAX: usize = 128 * 1024;
/// How much of one read, in bytes, when a head is awaited.
pub const HEAD_READ_BYTES: usize = 4 * 1024;
/// How many buffers for that each thread keeps which no connection needs at the moment.
pub const SPARE_BUFFERS_MAX: usize = 32;
/// Up to how many bytes a piece of a body is copied out of what was read, so that it does not keep that whole in memory.
pub const COPIED_PIECE_BYTES_MAX: usize = 2 * 1024;
/// How much of one read, in bytes, at the very beginning of a body: what a reader that takes nothing makes us hold.
pub const BODY_START_READ_BYTES: usize = 8 * 1024;
/// From where on a body is read in larger pieces: a reader with hardly any room has filled the buffers of sockets by then.
pub const BODY_START_BYTES: u64 = 32 * 1024;
/// How much of one read, in bytes, from there on.
pub const BODY_FIRST_READ_BYTES: usize = 16 * 1024;
/// From where on it is read in pieces that are larger still: more than the buffers of sockets hold for any reader that takes nothing.
pub const BODY_FIRST_BYTES: u64 = 4 * 1024 * 1024;
/// How much of one read, in bytes, inside a body from there on.
pub const BODY_READ_BYTES: usize = 64 * 1024;
/// How many bytes wait for a slow reader at the beginning of a body before its sender is made to wait: no more than one piece, as a rule.
pub const FIRST_WRITE_QUEUE_BYTES: usize = 8 * 1024;
/// How many bytes wait inside TLS at the beginning of a body: a record.
pub const FIRST_TLS_WRITE_BYTES: usize = 16 * 1024;
/// The same from there on, so that several records of TLS leave in one write; and for all streams of a connection of HTTP/2.
pub const WRITE_QUEUE_BYTES: usize = 64 * 1024;
/// Chunks up to this many bytes are copied together with what stands before them, to leave in one write. Less than is read of a body at
/// once, so that what waits is not there twice while it is recorded.
pub const COALESCE_BYTES: usize = 4 * 1024;
/// How much of a message that was refused is kept in its flow, in bytes.
pub const REFUSED_BYTES_MAX: usize = 64 * 1024;
/// How much of a recorded body stays in memory; the rest goes to a temporary file.
pub const BODY_MEMORY_BYTES: usize = 1024 * 1024;
/// How much the recorded bodies of all exchanges under way may take in memory together; what is beyond goes to temporary files sooner.
pub const BODIES_MEMORY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How much of each body does not count for that, and is not worth a file.
pub const BODY_UNCOUNTED_BYTES: usize = 16 * 1024;
/// How long a client may keep its exchange waiting before what is recorded of that goes to temporary files.
pub const SLOW_CLIENT_DELAY: Duration = Duration::from_secs(1);
/// How long a client may take for [`CLIENT_PROGRESS_BYTES_MIN`]: the default of option `slow_client_timeout`.
pub const CLIENT_PROGRESS_TIMEOUT: Duration = Duration::from_secs(30);
/// How much a client has to send, within [`CLIENT_PROGRESS_TIMEOUT`], of a body whose length it announced, or the rest of that;
/// the response must not have begun.
pub const CLIENT_PROGRESS_BYTES_MIN: u64 = 512;
/// How much a client has to take of a connection, within [`CLIENT_PROGRESS_TIMEOUT`] from when more waits for it, where the system says
/// how much it took; HTTP/1 only. Who once took so much may rest as long as `tcp_timeout` lets everybody: no honest client has less room.
pub const CLIENT_TAKEN_BYTES_MIN: u64 = 4 * 1024;
/// How long a body may be that is held because an addon needs it whole, in bytes; beyond [`BODY_MEMORY_BYTES`] it lies in a temporary
/// file. A longer one streams, whatever the addon needs. Option `stream_large_bodies` lowers it.
pub const HELD_BODY_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// How much of a held body is read from its file at once, in bytes.
pub const HELD_READ_BYTES: usize = 64 * 1024;
/// How much memory the decoders may take, all together, of bodies with a content encoding whose messages (gRPC, server-sent events) are
/// told while they cross; those of further bodies are not told.
pub const BODY_DECODERS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How much the recorded chunks of a raw flow may take, in bytes of content and of what stands around it; what follows
/// crosses unrecorded.
pub const RAW_RECORD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How much the recorded messages of a WebSocket may take, in bytes of content and of what stands around it; what follows
/// crosses unrecorded.
pub const WEBSOCKET_RECORD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How many messages that addons inject may wait, for each side of a conversation.
pub const INJECTED_MESSAGES_MAX: usize = 64;
/// How many UDP conversations one socket has at a time; datagrams that would begin another are dropped.
pub const UDP_CONVERSATIONS_MAX: usize = 4096;
/// How long a UDP conversation may be silent. Differs from mitmproxy, which ends it after 20 s: RFC 4787 section 4.3 wants
/// at least two minutes of everybody who keeps a mapping for others.
pub const UDP_IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// The same, while the server has not answered. Addresses that nobody has can be made up at will.
pub const UDP_UNANSWERED_TIMEOUT: Duration = Duration::from_secs(30);
/// How long datagrams are dropped that follow one that was refused, or that could not be sent on.
pub const UDP_REFUSED_PAUSE: Duration = Duration::from_secs(1);
/// How many bytes of a client's datagrams wait until they are looked at; more are dropped. As many may wait for a decision.
pub const UDP_QUEUE_BYTES_MAX: usize = 128 * 1024;
/// How many datagrams these may be.
pub const UDP_QUEUE_DATAGRAMS_MAX: usize = 64;
/// How many QUIC connection IDs lead to one conversation.
pub const UDP_CONNECTION_IDS_MAX: usize = 8;
/// How long after the first datagram of a QUIC hello a decision is taken without the rest. A client sends what was lost
/// again after one second (RFC 9002 section 6.2.2).
pub const QUIC_HELLO_TIMEOUT: Duration = Duration::from_secs(3);
/// How many idle server connections one client connection keeps.
pub const IDLE_SERVERS_MAX: usize = 8;
/// How long a peer may take to begin HTTP/2 and to acknowledge our SETTINGS.
pub const H2_SETTINGS_TIMEOUT: Duration = Duration::from_secs(30);
/// How much is still read, and thrown away, of a peer that broke the protocol of HTTP/2, so that it sees why its connection ends.
pub const H2_LINGER_BYTES_MAX: usize = 256 * 1024;
/// How much of one read of an HTTP/2 connection, in bytes.
pub const H2_READ_BYTES: usize = 32 * 1024;
/// How often a request is sent whose HTTP/2 server says that it did nothing with it, or that was lost on a connection that was
/// used before.
pub const H2_TRIES_MAX: usize = 3;
/// How many HTTP/2 streams a client may have open at once.
pub const H2_STREAMS_MAX: u32 = 100;
/// The flow-control window of one HTTP/2 stream, in bytes.
pub const H2_STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// The flow-control window of an HTTP/2 connection, in bytes.
pub const H2_CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// How large the header list of an HTTP/2 message may be, in bytes (RFC 9113 section 6.5.2).
pub const H2_HEADER_LIST_BYTES: u32 = 64 * 1024;
/// How long a body that an addon cuts off waits for what was passed on to arrive.
pub(crate) const CUT_GRACE: Duration = Duration::from_millis(50);
