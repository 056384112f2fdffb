"""Makes tests/data/older: flow files of every version since 0.11, and what mitmproxy 12 makes of them.

    older_flows.py write OUT              by a mitmproxy of 3 to 10: its own flows, in its version
    older_flows.py lower IN VERSION OUT   the same flows as an older version had them (0.11 to 20, never across 12)
    older_flows.py convert IN OUT         by mitmproxy 12: loads them and writes them in version 21

Versions 7, 9, 10, 14, 17, 18 and 20 are written by the mitmproxy that had them (4.0.4, 5.3.0, 6.0.2, 7.0.4, 8.1.1, 9.0.1,
10.4.2), the others are lowered from the next of these.
"""
import sys

try:
    from mitmproxy.io import tnetstring
except ImportError:
    from mitmproxy.contrib import tnetstring

SIDES = ("client_conn", "server_conn")


def own():
    from mitmproxy.test import tflow

    f = tflow.tflow(resp=True)
    f.request.path = "/p\u00e4th?a=b"
    f.request.headers.add("x-latin", b"\xe4\xff")
    f.response.content = bytes(range(256)) * 2
    f.marked = True if isinstance(f.marked, bool) else ":red:"
    f.metadata = {"n": 1, "text": "caf\u00e9"}
    yield f
    f = tflow.tflow(resp=True)
    if hasattr(f, "backup"):
        f.backup()
    f.request.method = "POST"
    f.request.content = b"edited"
    if hasattr(f, "is_replay"):
        f.is_replay = "response"
    else:
        f.response.is_replay = True
    yield f
    f = tflow.tflow(err=True)
    f.server_conn.sni = "example.com"
    setattr(f.client_conn, "cipher" if hasattr(f.client_conn, "cipher") else "cipher_name", "AES128-SHA")
    f.client_conn.tls_version = "TLSv1.2"
    yield f
    yield tflow.tflow()
    yield tflow.ttcpflow()
    yield tflow.ttcpflow(err=True)
    ws = tflow.twebsocketflow()
    if not hasattr(ws, "websocket"):
        # Up to 11 the handshake is a flow of its own and comes first.
        handshake = tflow.tflow(resp=True)
        handshake.response.status_code = 101
        handshake.metadata["websocket"] = True
        ws.metadata["websocket_handshake"] = handshake.id
        yield handshake
        yield ws
        orphan = tflow.twebsocketflow()
        orphan.metadata["websocket_handshake"] = "not in this file"
        yield orphan
    else:
        yield ws
    for kind in ("tudpflow", "tdnsflow"):
        if hasattr(tflow, kind):
            yield getattr(tflow, kind)()
    if hasattr(tflow, "tdnsflow"):
        yield tflow.tdnsflow(resp=True)


def write(out):
    from mitmproxy import io

    with open(out, "wb") as file:
        writer = io.FlowWriter(file)
        for n, f in enumerate(own()):
            # The same bytes on every run.
            number = "%08d-0000-4000-8000-%012d"
            if f.metadata.get("websocket_handshake", "not").startswith("not"):
                pass
            else:
                f.metadata["websocket_handshake"] = number % (n - 1, 0)
            f.id = number % (n, 0)
            f.client_conn.id = number % (n, 1)
            f.server_conn.id = number % (n, 2)
            if hasattr(f, "timestamp_created"):
                f.timestamp_created = 946681200.5 + n
            if getattr(f, "_backup", None):
                f._backup["id"] = f.id
                for side in SIDES:
                    f._backup[side]["id"] = getattr(f, side).id
                if "timestamp_created" in f._backup:
                    f._backup["timestamp_created"] = f.timestamp_created
            writer.add(f)


def conns(f):
    return [f[side] for side in SIDES]


def rename(d, old, new):
    if old in d:
        d[new] = d.pop(old)


def to_20(f):
    for c in conns(f):
        if c["tls_version"] == "QUICv1":
            c["tls_version"] = "QUIC"


def to_19(f):
    for c in conns(f):
        c["state"] = 3


def to_16(f):
    f["mode"] = "regular"


def to_15(f):
    f.pop("timestamp_created")


def to_14(f):
    if f.get("websocket"):
        f["websocket"]["messages"] = [m[:-1] for m in f["websocket"]["messages"]]


def to_13(f):
    f.pop("comment")
    if f.get("response") and f["id"].startswith("00000000"):
        f["response"]["timestamp_start"] = f["response"]["timestamp_end"] = None


def to_12(f):
    f["marked"] = f["marked"] != ""


def to_11(f):
    assert not f.pop("websocket", None)


def to_8(f):
    request = f.get("request")
    replay = f.pop("is_replay", None)
    if request:
        request.pop("authority")
        request["first_line_format"] = "relative"
        request["is_replay"] = replay == "request"
    if f.get("response"):
        f["response"]["is_replay"] = replay == "response"


def to_7(f):
    for half in ("request", "response"):
        if f.get(half):
            f[half].pop("trailers")


def to_6(f):
    f["client_conn"].pop("tls_extensions")


def to_5(f):
    for c in conns(f):
        rename(c, "tls_established", "ssl_established")
        rename(c, "timestamp_tls_setup", "timestamp_ssl_setup")


def to_4(f):
    for c in conns(f):
        c.pop("id")


def to_2_0(f):
    f["client_conn"].pop("mitmcert")
    f["server_conn"].pop("tls_version")


def to_1_0(f):
    for c in conns(f):
        for key in ("address", "source_address", "ip_address"):
            if c.get(key):
                c[key] = {"address": c[key], "use_ipv6": False}


def to_0_18(f):
    for c in conns(f):
        c.pop("alpn_proto_negotiated")
    for key in ("sni", "cipher_name", "tls_version"):
        f["client_conn"].pop(key)
    f.pop("metadata")
    f.pop("mode", None)
    f["request"].update(stickyauth=False, stickycookie=False)


def as_bytes(o):
    if isinstance(o, dict):
        return {as_bytes(k): as_bytes(v) for k, v in o.items()}
    if isinstance(o, list):
        return [as_bytes(i) for i in o]
    return o.encode() if isinstance(o, str) else o


def to_0_17(f):
    f.pop("marked")
    rename(f["server_conn"], "ip_address", "peer_address")


def to_0_16(f):
    f["server_conn"].pop("peer_address")


def to_0_15(f):
    rename(f["request"], "content", "body")
    rename(f["response"], "content", "body")
    rename(f["response"], "reason", "msg")
    f["request"]["form_out"] = "relative"


def to_0_13(f):
    for half in ("request", "response"):
        f[half].pop("http_version")
        f[half]["httpversion"] = [1, 1]
    rename(f["request"], "first_line_format", "form_in")
    rename(f["response"], "status_code", "code")
    rename(f["request"], "body", "content")
    rename(f["response"], "body", "content")
    f["server_conn"]["state"] = []
    f["server_conn"].pop("via")


VERSIONS = [
    ((0, 11), None), ((0, 12), None), ((0, 13), to_0_13), ((0, 14), None), ((0, 15), to_0_15), ((0, 16), to_0_16),
    ((0, 17), to_0_17), ((0, 18), to_0_18), ((0, 19), None), ((1, 0), to_1_0), ((2, 0), to_2_0), ((3, 0), None),
    (4, to_4), (5, to_5), (6, to_6), (7, to_7), (8, to_8), (9, None), (10, None), (11, to_11), (12, to_12), (13, to_13),
    (14, to_14), (15, to_15), (16, to_16), (17, None), (18, None), (19, to_19), (20, to_20),
]


def fits(f, number):
    if isinstance(number, int):
        return (number != 11 or not f.get("websocket")) and (number > 16 or f["type"] != "dns")
    # What these versions had: HTTP, and no WebSocket. Those before 0.18 were not loaded without a response.
    return f["type"] == "http" and (number >= (0, 18) or f["response"]) and "websocket" not in f["metadata"]


def lower(source, wanted, out):
    wanted = tuple(int(n) for n in wanted.split(".")) if "." in wanted else int(wanted)
    with open(source, "rb") as file, open(out, "wb") as to:
        while file.peek(1):
            f = tnetstring.load(file)
            if not fits(f, wanted):
                continue
            lower_one(f, wanted)
            if f.get("backup"):
                lower_one(f["backup"], wanted)
            if isinstance(wanted, tuple) and wanted < (0, 18):
                f = as_bytes(f)
            tnetstring.dump(f, to)


def lower_one(f, wanted):
    steps = [number for number, _ in VERSIONS]
    for number, step in reversed(VERSIONS[steps.index(wanted):steps.index(f["version"])]):
        if step:
            step(f)
    f["version"] = [*wanted, 0] if isinstance(wanted, tuple) else wanted


def convert(source, out):
    from mitmproxy import flow
    from mitmproxy import io

    with open(source, "rb") as file, open(out, "wb") as to:
        writer = io.FlowWriter(to)
        while file.peek(1):
            f = io.compat.migrate_flow(tnetstring.load(file))
            if f["type"] == "tcp":
                # mitmproxy fails at what its own conversion leaves here.
                f.pop("websocket", None)
            writer.add(flow.Flow.from_state(f))


{"write": write, "lower": lower, "convert": convert}[sys.argv[1]](*sys.argv[2:])
