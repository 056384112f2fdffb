//! The text of nginx's configuration. The table at `NginxBuilder` says what the locations are for.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

/// What varies from one nginx to the next.
pub(super) struct Config<'a> {
    pub(super) folder: &'a Path,
    pub(super) http: SocketAddr,
    pub(super) https: SocketAddr,
    pub(super) certificate: &'a Path,
    pub(super) key: &'a Path,
    pub(super) keepalive_requests: u32,
    /// Whose clients are let in over TLS; `None` lets in everybody.
    pub(super) clients_of: Option<&'a Path>,
}

impl fmt::Display for Config<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = self.folder.display();
        let verify = self.clients_of.map_or_else(String::new, |ca| {
            format!("ssl_client_certificate {}; ssl_verify_client on;", ca.display())
        });
        // One worker, so that connections are counted in one place. As root it must stay root, for the folder is private.
        write!(
            f,
            "daemon off;
user root;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr notice;
events {{ worker_connections 4096; }}
http {{
    log_format access 'access\\t$connection\\t$connection_requests\\t$server_protocol\\t$request_method\\t$request_uri\\t$status\\t'
        '$ssl_protocol\\t$ssl_server_name';
    access_log /dev/stderr access;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 0;
    client_header_timeout 30s;
    client_body_timeout 30s;
    send_timeout 30s;
    keepalive_timeout 60s;
    keepalive_requests {keepalive_requests};
    large_client_header_buffers 8 64k;
    types {{
        text/html html;
        text/plain txt;
        text/css css;
        text/javascript js;
        application/json json;
        image/png png;
        image/svg+xml svg;
    }}
    default_type application/octet-stream;
    server {{
        listen {http};
        listen {https} ssl http2;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3;
        {verify}
        root {folder}/root;
        location /chunked/ {{ alias {folder}/root/; ssi on; ssi_types *; }}
        location /close-delimited/ {{ alias {folder}/root/; ssi on; ssi_types *; chunked_transfer_encoding off; }}
        location /gzip/ {{ alias {folder}/root/; gzip on; gzip_types *; gzip_min_length 1; }}
        location /slow/ {{ alias {folder}/root/; limit_rate 64k; }}
        location /put/ {{ dav_methods PUT DELETE; }}
        location = /close {{ keepalive_timeout 0; default_type text/plain; return 200 'closing\\n'; }}
        location = /cookie {{ add_header Set-Cookie 'kept=yes'; return 200 'set\\n'; }}
        location = /alternative {{ add_header Alt-Svc 'h3=\":443\"; ma=60'; return 200 'other\\n'; }}
        location = /echo {{ default_type text/plain; return 200 '{ECHO}'; }}
        location = /status/204 {{ return 204; }}
        location = /status/301 {{ return 301 /echo; }}
        location = /status/400 {{ return 400; }}
        location = /status/404 {{ return 404; }}
        location = /status/500 {{ return 500; }}
        location = /status/503 {{ return 503; }}
    }}
}}
",
            http = self.http,
            https = self.https,
            certificate = self.certificate.display(),
            key = self.key.display(),
            keepalive_requests = self.keepalive_requests,
        )
    }
}

/// What `/echo` says: the request as nginx understood it.
const ECHO: &str = "method=$request_method\\nuri=$request_uri\\nprotocol=$server_protocol\\nscheme=$scheme\\n\
    host=$http_host\\nuser-agent=$http_user_agent\\naccept-encoding=$http_accept_encoding\\ncookie=$http_cookie\\n\
    content-length=$http_content_length\\nconnection=$http_connection\\nvia=$http_via\\n\
    authorization=$http_authorization\\nproxy-authorization=$http_proxy_authorization\\nx-forwarded-for=$http_x_forwarded_for\\nx-test=$http_x_test\\n\
    tls=$ssl_protocol $ssl_cipher\\nclient=$ssl_client_s_dn\\n";
