//! The table of options: one row each. A row is a field of [`Values`] and an entry of [`OPTIONS`] at once.
//!
//! A row reads: help (the doc comment), name, bounds for numbers, type, default, tools, flag. To add an option, add a
//! row; to change what the proxy does, read the field. Names and defaults are mitmproxy's unless the help says
//! otherwise.

use std::net::IpAddr;

use crate::choices::{
    ConnectionStrategy, ContentView, HiddenHello, Level, MalformedHello, ServerReplayExtra, TlsVersion,
};
use crate::concurrency::Concurrency;
use crate::credentials::{Credentials, Passphrase};
use crate::kind::OptionType;
use crate::login_spec::LoginSpec;
use crate::mode_spec::ModeSpec;
use crate::name_server::NameServers;
use crate::path::Directory;
use crate::registry::{Flag, OptionSpec, Tools};
use crate::resolve_spec::ResolveSpec;
use crate::rule_text::RuleSource;
use crate::size::Size;

macro_rules! options {
    ($($group:literal {$(
        $(#[doc = $help:literal])+
        $name:ident $(($min:literal..=$max:literal))?: $type:ty = $default:expr, $tools:expr, $flag:expr;
    )+})+) => {
        /// The value of every option, each in its own type: what the proxy reads.
        #[derive(Clone, Debug, Eq, PartialEq)]
        pub struct Values {
            $($($(#[doc = $help])+ pub $name: $type,)+)+
        }

        impl Default for Values {
            fn default() -> Self {
                Self { $($($name: $default,)+)+ }
            }
        }

        /// Every option, in the order in which they are shown.
        pub static OPTIONS: &[OptionSpec] = &[$($(OptionSpec {
            name: stringify!($name),
            group: $group,
            kind: <$type as OptionType>::KIND$(.within($min, $max))?,
            tools: $tools,
            flag: $flag,
            help_lines: &[$($help),+],
            read: |values| values.$name.to_value(),
            write: |values, value| {
                values.$name = OptionType::from_value(value)?;
                Ok(())
            },
        },)+)+];
    };
}

const ALL: Tools = Tools::ALL;
const DUMP: Tools = Tools::DUMP;
const DUMP_AND_WEB: Tools = Tools::DUMP.and(Tools::WEB);

const SWITCH: Option<Flag> = Some(Flag::switch());
const NO_FLAG: Option<Flag> = None;

options! {
    "Modes and addresses" {
        /// How traffic reaches flowgate: `mode[@[host:]port]`, where the part after the `@` takes the place of
        /// `listen_host` and `listen_port` for this mode. May be given several times. `regular` is an explicit HTTP
        /// proxy, `upstream:[http|https|socks5]://host[:port]` the same with every connection to a server going through
        /// that proxy, `socks5` a SOCKS5 proxy, `transparent` takes what the operating system redirects, and
        /// `reverse:SCHEME://HOST:PORT` sends everything to one server (`http`, `https`, `tcp`, `tls`, or for datagrams
        /// `udp`, `quic` or `http3`).
        mode: Vec<ModeSpec> = vec![ModeSpec::regular()], ALL, Some(Flag::value("SPEC").short('m'));

        /// The address to listen on for modes that name none. Empty means every address of this machine.
        listen_host: String = String::new(), ALL, Some(Flag::value("HOST"));

        /// The port to listen on for modes that name none. Without it each mode has its own: 1080 for `socks5`,
        /// 8080 for the others.
        /// 0 lets the operating system choose.
        listen_port: Option<u16> = None, ALL, Some(Flag::value("PORT").short('p'));

        /// Whether to listen at all. Off is useful to read a file without starting a proxy.
        server: bool = true, ALL, Some(Flag::switch().short('n'));

        /// The address of this machine from which connections to servers are made.
        connect_addr: Option<IpAddr> = None, ALL, NO_FLAG;

        /// Refuse clients whose address is a public one, so that a proxy on a server is not open to everybody.
        block_global: bool = true, ALL, NO_FLAG;

        /// Refuse clients whose address is a private one. The machine itself is always let in.
        block_private: bool = false, ALL, NO_FLAG;

        /// Ask clients for a name and a password: `USER:PASS` for one, `any` for any, `@FILE` for those in an htpasswd file (bcrypt,
        /// SHA-2 crypt, MD5 crypt and `{SHA}`; read again when it changes), or
        /// `ldap[s]:SERVER[:PORT]:DN:PASSWORD:SUBTREE[?search_filter_key=NAME]` for those in a directory, who are searched for below
        /// SUBTREE by the attribute NAME (`cn`). Modes `regular`, `upstream`, `socks5` and `reverse` to http and https can ask.
        proxyauth: Option<LoginSpec> = None, ALL, Some(Flag::value("SPEC"));
    }

    "Upstream proxies" {
        /// The name and password for the proxy of mode `upstream`, or for the server of mode `reverse:`, divided by the first colon:
        /// `user:password`. Sent as Basic credentials (to a server in the place of the client's), or in SOCKS as RFC 1929 says.
        upstream_auth: Option<Credentials> = None, ALL, Some(Flag::value("USER:PASS"));

        /// Send a `Host` header with the CONNECT requests to an upstream proxy.
        http_connect_send_host_header: bool = true, ALL, NO_FLAG;
    }

    "What is decrypted" {
        /// A file of ordered rules that say what is decrypted, passed through, recorded raw, blocked or hidden, and by
        /// which way connections leave. They are asked before `ignore_hosts`, `allow_hosts` and `tcp_hosts`. Read again
        /// when it changes. May be given several times. In the config file the list may hold rules themselves as well.
        rules: Vec<RuleSource> = Vec::new(), ALL, Some(Flag::value("FILE"));

        /// Pass connections through untouched when a regular expression matches `host:port`. May be given several
        /// times.
        ignore_hosts: Vec<String> = Vec::new(), ALL, Some(Flag::value("REGEX"));

        /// The opposite of `ignore_hosts`: pass everything through untouched that no regular expression matches.
        /// May be given several times.
        allow_hosts: Vec<String> = Vec::new(), ALL, Some(Flag::value("REGEX"));

        /// Decrypt, but do not read as HTTP, connections to hosts that a regular expression matches: the host alone,
        /// or `host:port`. May be given several times.
        tcp_hosts: Vec<String> = Vec::new(), ALL, Some(Flag::value("REGEX"));

        /// Show connections that are passed through as flows of raw bytes. What crossed is kept only where flows are saved
        /// or their contents shown.
        show_ignored_hosts: bool = false, ALL, SWITCH;

        /// Neither show nor store plain requests to the proxy (those without `CONNECT`) whose host `ignore_hosts` matches, or
        /// `allow_hosts` does not. They are forwarded as they came; there is no connection to pass through.
        hide_ignored_requests: bool = false, ALL, NO_FLAG;

        /// What becomes of TLS connections whose ClientHello hides another name in it (Encrypted ClientHello): `match` looks
        /// at the outer name as at any other, `pass` passes them through. Browsers send the extension with nearly every hello,
        /// whether it hides something or not.
        ech: HiddenHello = HiddenHello::Match, ALL, NO_FLAG;

        /// What becomes of TLS connections whose ClientHello is malformed, unless they are passed through: `close` them, or
        /// `record` their bytes as they are.
        malformed_hello: MalformedHello = MalformedHello::Close, ALL, NO_FLAG;
    }

    "Servers and TLS" {
        /// When to connect to the server: `eager` at once, so that servers which speak first work and the server's
        /// certificate and protocols can be mirrored; `lazy` when there is something to send.
        connection_strategy: ConnectionStrategy = ConnectionStrategy::Eager, ALL, NO_FLAG;

        /// Connect to these addresses for a name instead of looking it up: `HOST:PORT:ADDRESS[,ADDRESS]...`, where `*` stands for
        /// every name or port. Requests and the name that TLS asks for stay as they are. Behind an upstream proxy it is the proxy
        /// that looks names up, so that only its own counts. May be given several times.
        resolve: Vec<ResolveSpec> = Vec::new(), ALL, Some(Flag::value("SPEC"));

        /// Ask these name servers for the addresses of servers and upstream proxies, instead of the system: addresses, with a port
        /// if it is not 53 (`10.0.0.53`, `10.0.0.53:5353`, `[fd00::53]:5353`). The next one is asked if one has no answer. Names
        /// are taken as they are, without search domains.
        dns_name_servers: NameServers = NameServers::default(), ALL, NO_FLAG;

        /// Look names up in the hosts file before name servers are asked. Off, the name servers of `/etc/resolv.conf` are asked
        /// where `dns_name_servers` has none.
        dns_use_hosts_file: bool = true, ALL, NO_FLAG;

        /// Leave the `Host` header as the client sent it in mode `reverse:`, and ask the server's TLS for the name the
        /// client asked for. Off names the server of the mode in both.
        keep_host_header: bool = false, ALL, NO_FLAG;

        /// Accept any certificate from servers. Whoever sits between flowgate and the server can then read along.
        ssl_insecure: bool = false, ALL, Some(Flag::switch().short('k'));

        /// A PEM file of authorities that are trusted to vouch for servers, beside the system's.
        ssl_verify_upstream_trusted_ca: Option<String> = None, ALL, NO_FLAG;

        /// A folder of authorities that are trusted to vouch for servers, beside the system's, prepared with `c_rehash`.
        ssl_verify_upstream_trusted_confdir: Option<String> = None, ALL, NO_FLAG;

        /// Look at the server's certificate before making ours, and take over the names in it.
        upstream_cert: bool = true, ALL, NO_FLAG;

        /// Send clients the server's certificates behind ours. Needs `upstream_cert`.
        add_upstream_certs_to_client_chain: bool = false, ALL, NO_FLAG;

        /// Certificates to show to clients in place of those we make: `[domain=]path`, where the domain may begin with `*.`,
        /// and none stands for every domain. The PEM file holds the key, the certificate and its chain. It also counts for the
        /// names in the certificate. May be given several times; of two for one name the last counts.
        certs: Vec<String> = Vec::new(), ALL, Some(Flag::value("SPEC"));

        /// The passphrase of private keys in the files of `certs`, `client_certs` and the CA.
        cert_passphrase: Option<Passphrase> = None, ALL, Some(Flag::value("PASS"));

        /// The certificate to log in to servers with that ask for one: a PEM file with key, certificate and chain, or a folder with
        /// a file `HOST.pem` for each host.
        client_certs: Option<String> = None, ALL, NO_FLAG;

        /// Ask clients for a certificate. Whatever they show is accepted, and told with their flows; they need not have one.
        request_client_cert: bool = false, ALL, NO_FLAG;

        /// The lowest version of TLS with clients.
        tls_version_client_min: TlsVersion = TlsVersion::Tls1_2, ALL, NO_FLAG;

        /// The highest version of TLS with clients.
        tls_version_client_max: TlsVersion = TlsVersion::Unbounded, ALL, NO_FLAG;

        /// The lowest version of TLS with servers.
        tls_version_server_min: TlsVersion = TlsVersion::Tls1_2, ALL, NO_FLAG;

        /// The highest version of TLS with servers.
        tls_version_server_max: TlsVersion = TlsVersion::Unbounded, ALL, NO_FLAG;

        /// The cipher suites of TLS 1.2 with clients, as a list of OpenSSL: `ECDHE+AESGCM:!AES128`. Those of TLS 1.3 stay.
        ciphers_client: Option<String> = None, ALL, NO_FLAG;

        /// The cipher suites of TLS 1.2 with servers, as a list of OpenSSL. Those of TLS 1.3 stay. Without one, and in TLS 1.3, servers are asked for AES with keys of 128 bits first, as by browsers.
        ciphers_server: Option<String> = None, ALL, NO_FLAG;

        /// The only curve for the key exchange with clients: `prime256v1`, `secp384r1` or `X25519`.
        tls_ecdh_curve_client: Option<String> = None, ALL, NO_FLAG;

        /// The only curve for the key exchange with servers: `prime256v1`, `secp384r1` or `X25519`.
        tls_ecdh_curve_server: Option<String> = None, ALL, NO_FLAG;

        /// Bits of an RSA key for the CA, when it is made: 2048, 3072, 4096 or 8192. Without it the key is one of P-256, which
        /// signs forty times as fast.
        key_size(2048..=8192): Option<u32> = None, ALL, NO_FLAG;
    }

    "Protocols" {
        /// Speak HTTP/2 with clients and servers that do.
        http2: bool = true, ALL, SWITCH;

        /// Seconds of silence after which an HTTP/2 server is sent a PING, so that it keeps the connection. 0 sends none.
        http2_ping_keepalive(0..=31_536_000): u32 = 58, ALL, NO_FLAG;

        /// Read WebSocket messages. Off relays the bytes after the upgrade as raw TCP.
        websocket: bool = true, ALL, NO_FLAG;

        /// Relay what is not a known protocol as raw TCP. Off reads everything as HTTP.
        rawtcp: bool = true, ALL, SWITCH;

        /// Refuse HTTP/1 messages with header names that are no tokens. Off takes the other visible characters in names,
        /// such as `(`, `/` or `[`; whatever could be read in two ways is refused all the same.
        validate_inbound_headers: bool = true, ALL, NO_FLAG;

        /// Seconds without traffic after which a TCP connection is closed.
        tcp_timeout(1..=31_536_000): u32 = 600, ALL, NO_FLAG;

        /// Seconds that a server may take to accept a connection.
        connect_timeout(1..=3600): u32 = 10, ALL, NO_FLAG;

        /// Seconds within which a client has to send 512 bytes of a body whose length it announced, and to take the first 4 KiB of what is
        /// sent to it; who is slower is let go of. 0 waits as long as `tcp_timeout` says, so that a program can be stopped in a debugger
        /// inside an upload.
        slow_client_timeout(0..=31_536_000): u32 = 30, ALL, NO_FLAG;
    }

    "Bodies" {
        /// Refuse messages whose body is larger: `512k`, `3m`. A request is answered with 413, a response that says its
        /// length with 502; one that turns out too large on its way is broken off.
        body_size_limit: Option<Size> = None, ALL, NO_FLAG;

        /// Do not keep bodies that are larger in flows: `512k`, `3m`. Every body is handed on as it comes, with or without
        /// this option.
        stream_large_bodies: Option<Size> = None, ALL, NO_FLAG;

        /// Keep bodies that `stream_large_bodies` would leave out.
        store_streamed_bodies: bool = false, ALL, SWITCH;
    }

    "Rewriting" {
        /// Set header fields, or remove them: `[/filter]/name/[@]value`, where the first character is the separator, whatever it
        /// is. An empty value removes; `@path` reads the value from a file. May be given several times.
        modify_headers: Vec<String> = Vec::new(), ALL, Some(Flag::value("PATTERN").short('H'));

        /// Find and replace in bodies: `[/filter]/regex/[@]replacement`, where the first character is the separator. The
        /// replacement is literal; `@path` reads it from a file. May be given several times.
        modify_body: Vec<String> = Vec::new(), ALL, Some(Flag::value("PATTERN").short('B'));

        /// Send requests to another address: `[/filter]/url-regex/replacement`, where the first character is the separator. The
        /// replacement may name groups: `\1`. May be given several times.
        map_remote: Vec<String> = Vec::new(), ALL, Some(Flag::value("PATTERN").short('M'));

        /// Answer requests from files: `[/filter]/url-regex/file-or-folder`, where the first character is the separator. Below a
        /// folder, what follows the match names the file. May be given several times.
        map_local: Vec<String> = Vec::new(), ALL, Some(Flag::value("PATTERN"));

        /// Take conditions out of requests (`If-Modified-Since`, `If-None-Match`), so that servers answer in full.
        anticache: bool = false, ALL, SWITCH;

        /// Ask servers for bodies that are not compressed.
        anticomp: bool = false, ALL, SWITCH;

        /// Remember the cookies that servers set, and add them to requests that match this filter.
        stickycookie: Option<String> = None, ALL, Some(Flag::value("FILTER"));

        /// Remember the `Authorization` that a client sends to a host, and add it to requests to that host that have none and match
        /// this filter.
        stickyauth: Option<String> = None, ALL, Some(Flag::value("FILTER"));

        /// Leave the `Alt-Svc` header as it is in mode `reverse:`. Off points it at our port, so that clients do not go past us.
        keep_alt_svc_header: bool = false, ALL, NO_FLAG;
    }

    "Blocking" {
        /// Answer requests with an empty response: `/filter/status`, where the first character is the separator. Status 444 closes the
        /// connection without a response. May be given several times.
        block_list: Vec<String> = Vec::new(), ALL, NO_FLAG;

        /// Do not connect to servers at loopback, link-local, private or reserved addresses, whatever name or notation led there, so that
        /// a proxy that others use does not let them into its own network. Not for mode `reverse:`, and not behind an upstream proxy,
        /// which looks names up itself.
        block_private_targets: bool = false, ALL, NO_FLAG;
    }

    "Bad networks" {
        /// Do to flows what networks and servers do on bad days: `[/filter]/effects`, where the first character is the separator and
        /// effects have commas between them: `latency=200ms` or `latency=200ms..300ms`, `up=50k` and `down=50k` (bytes a second), `cut=10k`
        /// (the response breaks off after so many bytes of its body), `status=503`, `reset`, and `chance=10%`, which is how many flows it
        /// happens to. May be given several times.
        faults: Vec<String> = Vec::new(), ALL, NO_FLAG;

        /// Draw the lots of `faults` from this number, so that the same flows in the same order have the same luck.
        faults_seed: Option<u64> = None, ALL, NO_FLAG;
    }

    "Setting up clients" {
        /// Answer requests for `onboarding_host`, and those that ask our own port as if it were a web server's, with a page that hands out
        /// the certificate of the CA and says how each system is told to trust it.
        onboarding: bool = true, ALL, NO_FLAG;

        /// The host of that page; it exists only in this proxy. In mode `transparent`, where no name server knows the host, an address.
        onboarding_host: String = "mitm.it".to_owned(), ALL, NO_FLAG;
    }

    "Replay" {
        /// Send the requests in this file or store again, one after the other, and end. May be given several times. `PATH#ID` is one flow
        /// of a file or store: the first characters of its id, several with commas between them.
        client_replay: Vec<String> = Vec::new(), ALL, Some(Flag::value("PATH").short('C'));

        /// How many requests of `client_replay` are under way at the same time; -1 for no limit but 1,000.
        client_replay_concurrency: Concurrency = Concurrency::ONE, ALL, NO_FLAG;

        /// Begin requests of `client_replay` no earlier than they began in the recording, counted from the first.
        client_replay_timing: bool = false, ALL, NO_FLAG;

        /// Answer requests from the flows in this file or store: the response that was recorded for the same request. May be given
        /// several times.
        server_replay: Vec<String> = Vec::new(), ALL, Some(Flag::value("PATH").short('S'));

        /// What becomes of requests for which nothing was recorded: they go to the server, get no answer, or one with this status.
        /// With all but `forward` no server is connected to, so that nothing reaches the network.
        server_replay_extra: ServerReplayExtra = ServerReplayExtra::Forward, ALL, Some(Flag::value("CHOICE"));

        /// The old way to say `server_replay_extra=kill`.
        server_replay_kill_extra: bool = false, ALL, SWITCH;

        /// Answer with the same recording again and again. Off uses each once, in the order in which they were recorded.
        server_replay_reuse: bool = false, ALL, SWITCH;

        /// The old name of `server_replay_reuse`.
        server_replay_nopop: bool = false, ALL, NO_FLAG;

        /// Move the dates in recorded responses, and when their cookies expire, so that they are as far from now as they were from the
        /// recording.
        server_replay_refresh: bool = true, ALL, SWITCH;

        /// Requests are the same only if these header fields are. May be given several times.
        server_replay_use_headers: Vec<String> = Vec::new(), ALL, NO_FLAG;

        /// Requests are the same whatever their bodies are.
        server_replay_ignore_content: bool = false, ALL, NO_FLAG;

        /// Requests are the same whatever these parameters of their queries are. May be given several times.
        server_replay_ignore_params: Vec<String> = Vec::new(), ALL, NO_FLAG;

        /// Requests are the same whatever these fields of their forms are. May be given several times.
        server_replay_ignore_payload_params: Vec<String> = Vec::new(), ALL, NO_FLAG;

        /// Requests are the same whatever host they go to.
        server_replay_ignore_host: bool = false, ALL, NO_FLAG;

        /// Requests are the same whatever port they go to.
        server_replay_ignore_port: bool = false, ALL, NO_FLAG;
    }

    "Reading and saving flows" {
        /// Read flows from this file, or the store in this folder, at the start; `-` reads standard input.
        rfile: Option<String> = None, ALL, Some(Flag::value("PATH").short('r'));

        /// Save each flow to this file when it is complete. The file is emptied first unless the path starts with
        /// `+`. The codes of strftime in it (`%Y-%m-%d`) are the local time: when they change what the path says, another
        /// file is begun. Folders that are missing are made.
        save_stream_file: Option<String> = None, ALL, Some(Flag::value("PATH").short('w'));

        /// Save each HTTP flow to this file when it is complete, as HAR 1.2: compressed if its name ends in `.zhar`. The file
        /// is emptied first. `-` prints it to standard output at the end.
        hardump: String = String::new(), ALL, NO_FLAG;

        /// Keep each flow in the store in this folder when it is complete. The folder is made if it is not there; flows that
        /// it holds already stay.
        store: Option<String> = None, ALL, Some(Flag::value("PATH"));

        /// Put the bodies of flows into a full-text index of the store, so that `~b` with three characters or more is answered at
        /// once. Saving a flow takes several times as long.
        store_index_bodies: bool = false, ALL, NO_FLAG;

        /// What the store keeps, limits with semicolons between them: a size (`500m`), an age (`7d`; units `s`, `min`, `h`, `d`, `w`)
        /// or a number of flows (`10000`), each for all flows or, behind a filter and a colon, for those it means: `500m; 7d; ~c 5xx:
        /// 30d`. The first age whose filter means a flow counts for it, otherwise the one without a filter. For a size or a
        /// number, flows go that no age names, the oldest first, and then those whose time is up soonest.
        store_retention: Option<String> = None, ALL, NO_FLAG;

        /// Read only flows that match this filter from `rfile`.
        readfile_filter: Option<String> = None, ALL, NO_FLAG;

        /// Save only flows that match this filter.
        save_stream_filter: Option<String> = None, ALL, NO_FLAG;

        /// Exports as a curl command connect to the address that the flow went to, whatever its name means now.
        export_preserve_original_ip: bool = false, ALL, NO_FLAG;

        /// Go on after the file given with `rfile` was read.
        keepserving: bool = false, DUMP, NO_FLAG;
    }

    "What is shown" {
        /// How much to print of each flow: 0 nothing, 1 a line, 2 with headers, 3 with bodies cut short, 4 everything.
        flow_detail(0..=4): u8 = 1, DUMP, Some(Flag::value("LEVEL"));

        /// Print only flows that match this filter.
        dumper_filter: Option<String> = None, DUMP, NO_FLAG;

        /// The least important messages that are still printed.
        termlog_verbosity: Level = Level::Info, DUMP_AND_WEB, NO_FLAG;

        /// How bodies are shown from `flow_detail` 3 on.
        dumper_default_contentview: ContentView = ContentView::Auto, DUMP, NO_FLAG;

        /// Lines of a body that are shown before it is cut short.
        content_view_lines_cutoff: u64 = 512, ALL, NO_FLAG;

        /// Take the host in shown addresses from the `Host` header. Off by default: a client can write anything there.
        showhost: bool = false, ALL, SWITCH;
    }

    "Program" {
        /// The directory of `config.yaml` and of flowgate's own certificates. The config file is looked for before it
        /// is read, so there the option only moves the certificates.
        confdir: Directory = Directory::new("~/.flowgate"), ALL, NO_FLAG;
    }
}
