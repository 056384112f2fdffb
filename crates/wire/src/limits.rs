//! The named limits of what is read from the network. Sizes in bytes.

/// The longest head (start line and header section) of a request or response.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The most fields in one header section.
pub const HEAD_FIELDS_MAX: usize = 200;
/// The longest request target.
pub const TARGET_BYTES_MAX: usize = 16 * 1024;
/// The most empty lines before a request line that are passed over (RFC 9112 section 2.2 asks for at least one).
pub const BLANK_LINES_MAX: usize = 4;
/// The longest chunk-size line, extensions included.
pub const CHUNK_LINE_BYTES_MAX: usize = 4 * 1024;
/// The longest trailer section.
pub const TRAILER_BYTES_MAX: usize = 16 * 1024;
/// The most interim (1xx) responses before a final one.
pub const INTERIM_RESPONSES_MAX: usize = 16;
/// How much of a WebSocket message is shown; a longer one crosses whole and is shown cut.
pub const WEBSOCKET_MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The longest compressed WebSocket message, once inflated, that is inflated to its end.
pub const WEBSOCKET_INFLATED_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How much of a message inside a body (gRPC, server-sent events) is told while the body crosses; a longer one crosses whole and is
/// told cut.
pub const BODY_MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// How far the handshake in a client's QUIC Initial packets is followed.
pub const QUIC_CRYPTO_BYTES_MAX: usize = 64 * 1024;
/// The most pieces, with gaps between them, that such a handshake may lie in at a time.
pub const QUIC_CRYPTO_PIECES_MAX: usize = 256;
/// The most that the compression table holds which we write HTTP/2 fields with, whatever the peer would allow.
pub const HPACK_ENCODER_TABLE_BYTES_MAX: usize = 4096;
/// How many times the header list that is allowed a block of HTTP/2 may unpack to before its connection ends.
pub const HPACK_EXCESS_FACTOR_MAX: usize = 4;
/// The longest message of an LDAP server.
pub const LDAP_MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// The longest name of DNS, with the lengths of its labels (RFC 1035 section 2.3.4).
pub const DNS_NAME_BYTES_MAX: usize = 255;
/// The most table size updates at the start of a block (RFC 7541 section 4.2: the lowest, then the last).
pub const HPACK_SIZE_UPDATES_MAX: usize = 2;
/// The longest cookie that is kept out of compression tables, since it could be guessed byte by byte (RFC 7541 section 7.1.3).
pub const HPACK_GUESSABLE_COOKIE_BYTES_MAX: usize = 19;
/// The longest compressed header block of HTTP/2, CONTINUATION frames included.
pub const H2_HEADER_BLOCK_BYTES_MAX: usize = 128 * 1024;
/// The most CONTINUATION frames of one header block.
pub const H2_CONTINUATIONS_MAX: usize = 64;
/// How many HTTP/2 streams that are over are remembered, so that frames still on their way to them do no harm.
pub const H2_CLOSED_STREAMS_KEPT: usize = 256;
/// How many bytes of one HTTP/2 stream wait to be sent before its sender is made to wait.
pub const H2_STREAM_QUEUE_BYTES: usize = 64 * 1024;
/// After which time half of what counts against the limits below is forgotten, in seconds.
pub const H2_FLOOD_PERIOD_SECONDS: u64 = 10;
/// The most HTTP/2 streams in a period that a peer opens and resets, besides one for each head that we sent, and that it makes us reset
/// or refuse; and the most header blocks behind such a reset.
pub const H2_RESETS_MAX: u32 = 500;
/// The most malformed requests in a period.
pub const H2_MALFORMED_MAX: u32 = 50;
/// The most PING frames in a period, besides one for each frame of heads or data that we sent.
pub const H2_PINGS_MAX: u32 = 500;
/// The most SETTINGS frames in a period, acknowledgements included.
pub const H2_SETTINGS_MAX: u32 = 100;
/// The most DATA frames without data in a period.
pub const H2_EMPTY_DATA_MAX: u32 = 500;
/// The most WINDOW_UPDATE frames in a period, besides four for each frame of heads or data that we sent.
pub const H2_WINDOW_UPDATES_MAX: u32 = 2000;
/// The most frames without effect (PRIORITY, unknown types) in a period, besides one for each frame that we sent.
pub const H2_IGNORED_FRAMES_MAX: u32 = 1000;
/// The most small DATA frames in a period on streams that we reset. Who streams short messages may have many on their way by then.
pub const H2_LATE_DATA_MAX: u32 = 5000;
/// From how many bytes on a DATA frame is not small.
pub const H2_LATE_DATA_BYTES_MIN: usize = 1024;
/// How many of a peer's first SETTINGS are kept with its connection's flows.
pub const H2_BEGINNING_SETTINGS_MAX: usize = 32;
/// How many PRIORITY frames before a peer's first message are kept with its connection's flows.
pub const H2_BEGINNING_PRIORITIES_MAX: usize = 16;
/// The most header lists in a period that are larger than allowed.
pub const H2_LARGE_HEADERS_MAX: u32 = 10;
