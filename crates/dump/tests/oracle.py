"""Prints flows with mitmdump's own dumper, for tests/oracle.rs.

Standard input: a list of cases as JSON, bytes as strings of Latin-1. Standard output: the list of the texts; null for what this
version of Python shows otherwise than later ones.
"""

import io
import json
import os
import sys
from urllib.parse import unquote_to_bytes

from mitmproxy import connection, dns, flow, http, tcp, udp, websocket
from mitmproxy.addons import dumper
from mitmproxy.test import taddons


def raw(text):
    return None if text is None else text.encode("latin-1")


def headers(fields):
    return None if fields is None else http.Headers([(raw(name), raw(value)) for name, value in fields])


def message_parts(part):
    return dict(
        http_version=raw(part["version"]),
        headers=headers(part["headers"]),
        content=raw(part["body"]),
        trailers=headers(part["trailers"]),
        timestamp_start=0.0,
        timestamp_end=0.0,
    )


def dns_message(part):
    return dns.DNSMessage(
        timestamp=0.0, id=7, query=part["query"], op_code=part["op_code"], authoritative_answer=False,
        truncation=False, recursion_desired=True, recursion_available=True, reserved=0,
        response_code=part["response_code"],
        questions=[dns.Question(name, kind, 1) for name, kind in part["questions"]],
        answers=[dns.ResourceRecord("x", kind, 1, 60, raw(data)) for kind, data in part["answers"]],
        authorities=[], additionals=[],
    )


def make(case):
    client = connection.Client(peername=None, sockname=("127.0.0.1", 8080), timestamp_start=0.0)
    client.peername = tuple(case["peername"]) if case["peername"] else None
    client.tls_version = case["tls_version"]
    server = connection.Server(address=tuple(case["address"]) if case["address"] else None)
    kind, content = case["kind"], case["content"]
    if kind == "http":
        made = http.HTTPFlow(client, server)
        part = content["request"]
        made.request = http.Request(
            host=part["host"], port=part["port"], method=raw(part["method"]), scheme=raw(part["scheme"]),
            authority=raw(part["authority"]), path=raw(part["path"]), **message_parts(part),
        )
        if part := content["response"]:
            made.response = http.Response(status_code=part["status"], reason=raw(part["reason"]), **message_parts(part))
        if part := content["websocket"]:
            made.websocket = websocket.WebSocketData(
                messages=[websocket.WebSocketMessage(o, c, raw(b), 0.0) for o, c, b in part["messages"]],
                closed_by_client=part["closed_by_client"], close_code=part["close_code"],
                close_reason=part["close_reason"],
            )
    elif kind == "dns":
        made = dns.DNSFlow(client, server)
        made.request = dns_message(content["request"])
        made.response = dns_message(content["response"]) if content["response"] else None
    elif kind == "tcp":
        made = tcp.TCPFlow(client, server)
        made.messages = [tcp.TCPMessage(c, raw(b), 0.0) for c, b in content]
    else:
        made = udp.UDPFlow(client, server)
        made.messages = [udp.UDPMessage(c, raw(b), 0.0) for c, b in content]
    made.is_replay = case["replay"]
    made.metadata = case["metadata"]
    if case["error"] is not None:
        made.error = flow.Error(case["error"], 0.0)
    return made


def each_message(holder, hook, made):
    messages, holder.messages = holder.messages, []
    for message in messages:
        holder.messages.append(message)
        hook(made)


def show(addon, kind, made):
    if kind == "http":
        (addon.response if made.response else addon.error)(made)
        if made.websocket:
            each_message(made.websocket, addon.websocket_message, made)
            addon.websocket_end(made)
    elif kind == "dns":
        (addon.dns_response if made.response else addon.dns_error)(made)
    else:
        each_message(made, addon.tcp_message if kind == "tcp" else addon.udp_message, made)
        if made.error:
            (addon.tcp_error if kind == "tcp" else addon.udp_error)(made)


def depends_on_python(case):
    """Before Python 3.13 forms with bytes beyond ASCII could not be read, and IPv4 within IPv6 was written otherwise."""
    if sys.version_info >= (3, 13):
        return False
    if case["kind"] == "dns":
        response = case["content"]["response"]
        answers = response["answers"] if response else []
        return any(kind == 28 and raw(data)[:12] == b"\0" * 10 + b"\xff\xff" for kind, data in answers)
    if case["kind"] == "http" and case["flow_detail"] >= 3:
        return any(byte > 127 for byte in unquote_to_bytes(raw(case["content"]["request"]["body"]) or b""))
    return False


texts = []
configured = None
out = io.StringIO()
addon = dumper.Dumper(out)
with taddons.context(addon) as context:
    for case in json.load(sys.stdin):
        os.environ["COLUMNS"] = str(case["columns"])
        addon.out_has_vt_codes = case["ansi"]
        options = dict(
            flow_detail=case["flow_detail"], showhost=case["showhost"],
            content_view_lines_cutoff=case["cutoff"], dumper_default_contentview=case["view"],
        )
        if options != configured:
            context.configure(addon, **options)
            configured = options
        out.seek(0)
        out.truncate()
        show(addon, case["kind"], make(case))
        texts.append(None if depends_on_python(case) else out.getvalue())
json.dump(texts, sys.stdout)
