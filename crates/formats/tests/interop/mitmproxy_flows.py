"""The other side of tests/interop.rs: what mitmproxy 12 itself reads and writes.

    mitmproxy_flows.py write OUT CERT.PEM   flows of every kind, with every field set somewhere
    mitmproxy_flows.py rewrite IN OUT       loads all flows and writes them again
    mitmproxy_flows.py modes MODE...        for each mode, whether it is one
    mitmproxy_flows.py version              which mitmproxy this is
    mitmproxy_flows.py dump IN              one line of JSON per flow: its state, normalised

Normalised: keys sorted, bytes as {"bytes": hex}, floats without a fraction as whole numbers, socket addresses of IPv6
without flow information and scope if those are zero.
"""

import json
import sys

from mitmproxy import certs
from mitmproxy import dns
from mitmproxy import http
from mitmproxy import io
from mitmproxy import tcp
from mitmproxy import version
from mitmproxy import websocket
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import tflow
from mitmproxy.test import tutils


def flows(cert_file):
    with open(cert_file, "rb") as file:
        cert = certs.Cert.from_pem(file.read())

    yield from tflow.tflows()

    # TLS on both sides, HTTP/2, trailers, an upstream proxy, IPv6, a large body.
    f = tflow.tflow(resp=True)
    f.request.http_version = "HTTP/2.0"
    f.request.scheme = "https"
    f.request.authority = "example.com"
    f.request.headers = http.Headers(
        [(b"Cookie", b"a=1"), (b"cookie", b"b=2"), (b"x-latin", b"\xe4"), (b"empty", b"")]
    )
    f.request.trailers = http.Headers([(b"x-checksum", b"1")])
    f.request.timestamp_start = 1767225600.123456
    f.request.timestamp_end = 1767225600.1234567
    f.response.raw_content = bytes(range(256)) * 20
    f.response.trailers = http.Headers()
    f.response.reason = ""
    f.client_conn.peername = ("2001:db8::1", 50000, 7, 3)
    f.client_conn.sockname = ("::", 8080)
    f.client_conn.tls = True
    f.client_conn.mitmcert = cert
    f.client_conn.alpn_offers = [b"h2", b"http/1.1"]
    f.client_conn.cipher_list = ["TLS_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"]
    f.client_conn.tls_version = "TLSv1.3"
    f.client_conn.proxy_mode = ProxyMode.parse("upstream:https://proxy.example:3128@127.0.0.1:8081")
    f.server_conn.peername = ("fe80::1", 443, 0, 2)
    f.server_conn.tls = True
    f.server_conn.certificate_list = [cert, cert]
    f.server_conn.alpn = b""
    f.server_conn.cipher = "TLS_AES_128_GCM_SHA256"
    f.server_conn.error = "certificate verify failed"
    f.server_conn.via = ("https", ("proxy.example", 3128))
    yield f

    # Everything a user or an addon may have left on it, and nothing kept of the bodies.
    f = tflow.tflow(resp=True)
    f.backup()
    f.request.method = "POST"
    f.request.raw_content = None
    f.response.raw_content = None
    f.response.status_code = 599
    f.request.timestamp_end = None
    f.intercepted = True
    f.is_replay = "request"
    f.marked = ":grapes:"
    f.comment = "a \u201ccomment\u201d\nof two lines"
    f.metadata = {
        "proxyauth": ("user", "pass"),
        "n": -7,
        "big": 2**62,
        "pi": 3.141592653589793,
        "tiny": 1e-300,
        "huge": 1e22,
        "yes": True,
        "none": None,
        "bytes": b"\x00\xff",
        "nested": {"b": [1, [2, {}]], "a": {}},
    }
    yield f

    f = tflow.tflow(resp=True)
    f.is_replay = "response"
    f.client_conn.peername = ("", 0)
    f.client_conn.timestamp_start = 0.0
    f.server_conn.address = None
    f.server_conn.peername = None
    f.server_conn.sockname = None
    f.server_conn.timestamp_start = None
    f.server_conn.timestamp_tcp_setup = None
    f.server_conn.timestamp_tls_setup = None
    f.server_conn.timestamp_end = None
    f.server_conn.sni = None
    f.server_conn.tls_version = None
    yield f

    f = tflow.twebsocketflow(close_code=4000, close_reason="caf\u00e9")
    f.websocket.messages[0].dropped = True
    f.websocket.messages[1].injected = True
    f.websocket.messages.append(
        websocket.WebSocketMessage(websocket.Opcode.BINARY, False, b"\xff" * 5000, 1767225601.5)
    )
    yield f

    f = tflow.twebsocketflow()
    f.websocket = websocket.WebSocketData()
    yield f

    f = tflow.ttcpflow()
    f.messages = [tcp.TCPMessage(i % 2 == 0, bytes([i]) * i, 1767225602 + i / 7) for i in range(20)]
    yield f

    f = tflow.tdnsflow(
        resp=tutils.tdnsresp(
            id=65535,
            op_code=5,
            authoritative_answer=True,
            truncation=True,
            reserved=7,
            response_code=3,
            # 11 does not load a message without one.
            timestamp=None if version.VERSION >= "12" else 1767225603.5,
            questions=[dns.Question("b\u00fccher.example", dns.types.AAAA, dns.classes.CH)],
            authorities=[dns.ResourceRecord.CNAME("a.example", "b.example", ttl=2**31)],
            additionals=[dns.ResourceRecord("", dns.types.OPT, 4096, 0, b"")],
        )
    )
    yield f


def number_ids(flows):
    """Makes the file the same on every run."""
    for n, f in enumerate(flows):
        for kind, thing in enumerate([f, f.client_conn, f.server_conn]):
            thing.id = f"{n:08x}-0000-4000-8000-{kind:012x}"
        f.timestamp_created = 946681200.5 + n
        if f._backup:
            f._backup["id"] = f.id
            f._backup["client_conn"]["id"] = f.client_conn.id
            f._backup["server_conn"]["id"] = f.server_conn.id
        yield f


def load(path):
    with open(path, "rb") as file:
        yield from io.FlowReader(file).stream()


def save(path, flows):
    with open(path, "wb") as file:
        writer = io.FlowWriter(file)
        for f in flows:
            writer.add(f)


def normalise(value, key=None):
    if isinstance(value, dict):
        return {k: normalise(v, k) for k, v in sorted(value.items())}
    if isinstance(value, (list, tuple)):
        if key in ("peername", "sockname") and list(value[2:]) == [0, 0]:
            value = value[:2]
        return [normalise(v) for v in value]
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


match sys.argv[1:]:
    case ["write", out, cert_file]:
        save(out, number_ids(flows(cert_file)))
    case ["rewrite", source, out]:
        save(out, load(source))
    case ["dump", source]:
        for f in load(source):
            print(json.dumps(normalise(f.get_state())))
    case ["version"]:
        print(version.VERSION)
    case ["modes", *modes]:
        for mode in modes:
            try:
                ProxyMode.parse(mode)
                print(True)
            except ValueError:
                print(False)
    case _:
        sys.exit(__doc__)
