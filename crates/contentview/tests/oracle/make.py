"""Asks mitmproxy 12 how its contentviews show bodies, for tests/oracle.rs.

    make.py > answers.json

A list of cases: the view that was asked for, what is known of the body, the body as hexadecimal digits, the view that mitmproxy took,
and its text without the white space around it (null if the view failed).
"""

import io
import json
import logging
import struct
import typing
import zipfile

from mitmproxy import contentviews, http, tcp, udp, websocket
from mitmproxy.test import taddons, tflow

logging.disable(logging.CRITICAL)
context = taddons.context()
context.options.add_option("protobuf_definitions", typing.Optional[str], None, "")
answers = []


def ask(view, body, content_type=None, carrier="http", port=80, path="/", **fields):
    if isinstance(body, str):
        body = body.encode()
    if carrier == "http":
        flow = tflow.tflow(resp=True)
        flow.request.path = path
        flow.response.content = body
        flow.response.headers = http.Headers()
        if content_type:
            flow.response.headers["content-type"] = content_type
        for name, value in fields.items():
            flow.response.headers[name.replace("_", "-")] = value
        message = flow.response
    elif carrier == "websocket":
        flow = tflow.twebsocketflow()
        flow.request.path = path
        message = websocket.WebSocketMessage(2, True, body)
    elif carrier == "tcp":
        flow = tflow.ttcpflow()
        message = tcp.TCPMessage(True, body)
    else:
        flow = tflow.tudpflow()
        message = udp.UDPMessage(True, body)
    flow.server_conn.address = ("server", port)
    shown = contentviews.prettify_message(message, flow, view)
    failed = shown.text.startswith("Couldn't parse as ") or "failed to parse" in shown.description
    answers.append(
        dict(
            view=view, content_type=content_type, carrier=carrier, port=port, path=path, body=body.hex(),
            took=shown.view_name.lower(), text=None if failed else shown.text.strip(),
        )
    )


MARKUP = [
    "<html><body><p>Hello</p></body></html>",
    "<!doctype html><html><head><meta charset=utf-8><title>T</title></head><body>\n<div><br>text<img src=x></div>\n</body></html>",
    "<?xml version=\"1.0\"?><a><b>x</b><c/><d></d></a>",
    "<a>one\ntwo</a>",
    "<ul><li>This is\n    example text\n    over multiple lines\n</li></ul>",
    "<script>\n  var a = 1;\n    if (a) {}\n</script>",
    "<!-- a > b --><p>x<!-- c --></p>",
    "<![CDATA[ <x> ]]><y>z</y>",
    "<a><b><c><d><e><f><g>deep</g></f></e></d></c></b></a>",
    "<p>a</p></p></div><p>b",
    "text only",
    "< a >x</ a >",
    "<a href='x=y'>l</a>",
    "<A>x</a>",
    "<a\n  b='c'\n  d='e'>\n</a>",
    "<p>unterminated",
    "<p unterminated",
    "<!-- unterminated > x",
    "a < b > c",
    "<>x</>",
    "<x=y>z</x>",
    "\t<a>\t</a>\r\n<b>\r\n</b>",
    "<a>\u00e4\u65e5</a>",
    "<svg xmlns='http://www.w3.org/2000/svg'><path d='M0 0'/></svg>",
    "<table><tr><td>1</td><td>2</td></tr></table>",
    "<pre>\n a\n  b\n</pre>",
    "<html><div><p>x</html><p>y</p>",
    "".join(f"<t{i}>" for i in range(20)) + "x" + "".join(f"</t{i}>" for i in reversed(range(20))),
    "<br/><hr><input type=text><p/>",
    "&lt;a&gt; <b>&amp;</b>",
]
for text in MARKUP:
    ask("xml/html", text)
ask("auto", MARKUP[0], "text/html")
ask("auto", MARKUP[0], "text/xml; charset=utf-8")
ask("auto", " \r\n\t<x>y</x>", "text/plain")
ask("auto", MARKUP[23], "image/svg+xml")
ask("auto", "<x>y</x>")
ask("auto", "x<y>")
ask("auto", b"<x>\xe4</x>", "text/html; charset=iso-8859-1")
ask("auto", b"<meta charset=iso-8859-1>\xe4", "text/html")
ask("auto", b"<?xml version='1.0' encoding='iso-8859-1'?><a>\xe4</a>", "text/xml")

FORMS = [
    ("--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--B\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\ntwo\r\n--B--\r\n"),
    ("--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x.txt\"\r\nContent-Type: text/plain\r\n\r\nfile\r\n--B--\r\n"),
    ("--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n2\r\n--B--\r\n"),
    ("preamble\r\n--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n--B--\r\nepilogue"),
    (b"--B\r\nContent-Disposition: form-data; name=\"bin\"\r\n\r\n\x00\xff\r\n--B--\r\n"),
    ("--B\nContent-Disposition: form-data; name=\"a\"\n\n1\n--B--\n"),
    ("--B--\r\n"),
    ("no part"),
]
for body in FORMS:
    ask("auto", body, "multipart/form-data; boundary=B")
ask("auto", FORMS[0], "multipart/form-data; boundary=\"B\"")
ask("multipart form", FORMS[0], "multipart/mixed; boundary=B")
ask("multipart form", FORMS[0], "text/plain")


def field(number, kind, payload=b""):
    return bytes([number << 3 | kind]) + payload


def text_field(number, payload):
    return field(number, 2, bytes([len(payload)]) + payload)


inner = field(1, 0, b"\x96\x01") + text_field(2, b"inside")
PROTOBUF = [
    b"\x08\x96\x01",
    b"\x08\x00",
    b"\x08\x01",
    b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x08\xff\xff\xff\xff\x0f",
    b"\x12\x07testing",
    text_field(1, b""),
    text_field(1, b"a: b"),
    text_field(1, b"true"),
    text_field(1, b"1"),
    text_field(1, b"several\nlines"),
    text_field(1, b"several\nlines\n"),
    text_field(1, b" a"),
    text_field(1, b"\xff\xfe"),
    text_field(1, b"\x01"),
    text_field(1, "\u00e4".encode()),
    text_field(3, inner),
    text_field(3, inner) + text_field(3, inner),
    text_field(1, text_field(2, text_field(3, b"\x08\x01"))),
    b"\x08\x01\x08\x02",
    field(2, 0, b"\x05") + field(1, 0, b"\x01"),
    field(1, 5, struct.pack("<f", 1.0)),
    field(1, 5, struct.pack("<f", -2.5)),
    field(1, 5, struct.pack("<i", -1)),
    field(1, 5, struct.pack("<I", 7)),
    field(1, 5, struct.pack("<I", 0)),
    field(1, 1, struct.pack("<d", 1.0)),
    field(1, 1, struct.pack("<d", -2.0)),
    field(1, 1, struct.pack("<d", 1e-3)),
    field(1, 1, struct.pack("<q", -1)),
    field(1, 1, struct.pack("<Q", 1_700_000_000_000)),
    b"\x18\x05\x1a\x03abc\x18\x07",
    b"\x22\x06\x03\x8e\x02\x9e\xa7\x05",
    text_field(1, b"\x08\x01") + text_field(1, b"xyz"),
    b"\x0b\x08\x01\x0c",
    b"",
    b"\xff",
    b"\x00",
    b"\x07",
    b"\x08",
    b"\x12\x07test",
    b"\xf8\xff\xff\xff\x0f\x01",
    text_field(1, b"x" * 100) + field(2, 0, b"\x01"),
]
for body in PROTOBUF:
    ask("protobuf", body)
ask("auto", PROTOBUF[0], "application/x-protobuf")
ask("auto", PROTOBUF[0], "application/x-protobuffer")
ask("auto", PROTOBUF[0], "application/protobuf")


def grpc(message, flags=0):
    return bytes([flags]) + struct.pack(">I", len(message)) + message


for body in [
    grpc(PROTOBUF[0]), grpc(PROTOBUF[0]) + grpc(PROTOBUF[5]), grpc(b""), b"", b"\0\0", grpc(b"\xff\xff"), grpc(inner) * 3,
]:
    ask("grpc", body)
ask("auto", grpc(inner), "application/grpc")
ask("auto", grpc(inner), "application/grpc+proto")

import msgpack

VALUES = [
    {"a": 1, "b": [1, 2, None, True, 1.5, "x"]}, [], {}, "hi", {1: 2, "": 3}, [[1, [2]], {"x": {"y": []}}], -5, 2**63, -(2**63),
    "several\nlines", "several\nlines\n", "1", "true", "", {"a": {}}, [{"a": 1, "b": 2}, {"c": 3}], 1e300, float("nan"), float("inf"),
    1.0, 0.1, None, False, {"k": [1]}, [[]], [{}], [[[]], [[1]]], {"a": [[1, 2], [3]]}, {"a": [{"b": 1, "c": {"d": [2]}}]},
    {True: 1}, {None: 1}, {"a": "x\ny"}, ["x\ny", "z"], {"a": {"b": "x\ny\n"}}, "a: b", "- a", "#a", "\u00e4\u65e5", "a\tb",
    200, 70000, -200, -70000, list(range(20)), {str(i): i for i in range(20)}, b"bytes", msgpack.ExtType(5, b"ab"),
    "x" * 300, [b"\xff"],
]
for value in VALUES:
    ask("msgpack", msgpack.packb(value))
for body in [b"\xc1", b"\x93\x01", b"\xca\x3f\x80\x00\x00", b"\xa1\xff", b"\x01\x02", b"", b"\x81\x91\x01\x02"]:
    ask("msgpack", body)
ask("auto", msgpack.packb([1]), "application/msgpack")
ask("auto", msgpack.packb([1]), "application/x-msgpack")
ask("auto", msgpack.packb([1]), "application/vnd.msgpack")


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + b"\0\0\0\0"


PNG = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 30, 40, 8, 2, 0, 0, 0))
GIF = b"GIF89a" + struct.pack("<HHBBB", 3, 5, 0x80, 1, 0) + b"\0" * 6
JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x02\x01\0\x48\0\x48\0\0"
SOF = b"\xff\xc0\0\x11\x08\0\x0c\0\x1e\x03\x01\x11\0\x02\x11\0\x03\x11\0"
IMAGES = [
    PNG + chunk(b"gAMA", struct.pack(">I", 45455)) + chunk(b"pHYs", struct.pack(">IIB", 72, 73, 1))
    + chunk(b"tEXt", b"Comment\0hello") + chunk(b"IDAT", b"") + chunk(b"IEND", b""),
    PNG + chunk(b"iTXt", b"Title\0\0\0en\0t\0\xc3\xa4") + chunk(b"IEND", b""),
    GIF + b"\x21\xfe\x05hello\0\x21\xf9\x04\0\0\0\0\0\x2c" + b"\0" * 8 + b"\0\x02\x01\x44\0\x3b",
    GIF + b"\x3b",
    JPEG + b"\xff\xfe\0\x08a note" + SOF + b"\xff\xda\0\x08\x01\x01\0\0\x3f\0\x12\x34\xff\xd9",
    JPEG + b"\xff\xd9",
    b"\0\0\1\0\1\0\x10\x20\0\0\1\0\x20\0\x04\0\0\0\x16\0\0\0abcd",
    b"no image",
    b"\x89PNG\r\n\x1a\n",
]
for body in IMAGES:
    ask("image", body)
ask("auto", IMAGES[0], "image/png")
ask("auto", IMAGES[3], "image/gif")
ask("auto", b"x", "image/unknown")

QUERY = bytes.fromhex("002a0100000100000000000003646e7306676f6f676c650000010001")
ANSWER = bytes.fromhex(
    "002a8180000100020000000003646e7306676f6f676c650000010001"
    "c00c000100010000007b000408080808c00c000100010000007b000408080404"
)
OTHER = bytes.fromhex(
    "1234858300010004000000010161047465737400000f0001"
    "c00c000f000100000001000700050262320 0".replace(" ", "")
) + bytes.fromhex(
    "c00c0005000100000001 0006 0363 6e61 c00c".replace(" ", "")
) + bytes.fromhex("c00c001c00010000000200 10 20010db8000000000000000000000001".replace(" ", "")) + bytes.fromhex(
    "c00c0010000100000001000605 68656c6c6f".replace(" ", "")
) + bytes.fromhex("0000290200000000000000")
for body in [QUERY, ANSWER, OTHER, QUERY[:-1], b"\0" * 12, b"abc"]:
    ask("dns", body, carrier="udp", port=53)
    ask("auto", body, carrier="udp", port=53)
    ask("auto", struct.pack(">H", len(body)) + body, carrier="tcp", port=53)
ask("auto", QUERY, carrier="udp", port=5353)
ask("auto", QUERY, carrier="udp", port=54)
ask("auto", QUERY, "application/dns-message")

MQTT = [
    bytes.fromhex("1010 0004 4d515454 04 02 003c 0004 74657374".replace(" ", "")),
    bytes.fromhex("1029 0004 4d515454 04 c6 003c 0004 74657374 0004 77696c6c 0003 627965 0004 75736572 0006 736563726574".replace(" ", "")),
    bytes.fromhex("300c 0005 746f706963 68656c6c6f".replace(" ", "")),
    bytes.fromhex("320e 0005 746f706963 0001 68656c6c6f".replace(" ", "")),
    bytes.fromhex("820e 0001 0003 612f62 00 0003 632f64 01".replace(" ", "")),
    bytes.fromhex("c000"),
    bytes.fromhex("d000"),
    bytes.fromhex("20020000"),
    bytes.fromhex("40020001"),
    bytes.fromhex("e000"),
    b"",
    b"\x10",
]
for body in MQTT:
    ask("mqtt", body, carrier="tcp", port=1883)
ask("auto", MQTT[2], carrier="tcp", port=1883)

GRAPHQL = [
    '{"query": "query P {\\n\\tprojects {\\n\\t\\tid\\n\\t}\\n}", "variables": {"a": [1, null]}, "operationName": "P"}',
    '[{"query": "query P \\n{ id }", "variables": {}}, {"query": "b", "x": 1}]',
    '{"query": "one line"}',
    '{"query": "a\\n\\u00e4\\"quoted\\" \\ud83d\\ude00"}',
    '{"query": "a\\nb", "query": "c\\nd"}',
    '{"other": 1}',
    "[]",
    '[{"no": 1}]',
    '{"query": {"a": "\\n"}}',
    "no JSON",
]
for body in GRAPHQL:
    ask("graphql", body, "application/json")
    ask("auto", body, "application/json")
ask("auto", GRAPHQL[0], "application/graphql+json")

for body in ['42["event",{"a":1}]', "40", '0{"sid":"x"}', "2", "3probe", "43", "4", "9", "5", "6", "41", '44{"m":1}', "451-[1]", "46", "1", b"42\xff", ""]:
    ask("socket.io", body, carrier="websocket", path="/socket.io/?EIO=4")
    ask("auto", body, carrier="websocket", path="/socket.io/?EIO=4")
ask("auto", '42["event"]', carrier="websocket", path="/other")

archive = io.BytesIO()
with zipfile.ZipFile(archive, "w") as z:
    z.writestr("one.txt", "1")
    z.writestr("folder/two: three", "2")
    z.writestr("\u00e4.txt", "3")
empty = io.BytesIO()
zipfile.ZipFile(empty, "w").close()
for body in [archive.getvalue(), empty.getvalue(), b"prefix" + archive.getvalue(), archive.getvalue()[:-5], b"PK"]:
    ask("zip archive", body)
ask("auto", archive.getvalue(), "application/zip")

for body in [b"", b"a", bytes(range(40))]:
    ask("hex stream", body)
    ask("hex dump", body)
    ask("raw", body)

ask("auto", "a{b:c}", "text/css")
ask("auto", "a;b", "text/javascript")
ask("auto", '{"a": 1}', "application/json")
ask("auto", "a=1&b=2", "application/x-www-form-urlencoded")
ask("auto", bytes(range(30)))
ask("auto", "plain", "text/plain")

CSS = [
    "a{b:c;d:e}", "a { b : c ; }\n", "@import 'x';a,b{c:d}", "/* x */a{b:c}", "a{}", "a{b:url(x;y)}", "", "a{b:'x;y'}",
    "@media print{a{b:c}}", "a:hover{b:c}", "a{b:c}\n\n\nd{e:f}",
]
for body in CSS:
    ask("viewcss", body)
SCRIPTS = [
    "var a=1;var b=2;", "function f(){return 1}", "if(a){b()}else{c()}", "a='x;y';", "// note\na;", "for(i=0;i<1;i++){a}",
    "a={b:1};", "", "a=/;/;b", "`x;${y}`;z",
]
for body in SCRIPTS:
    ask("javascript", body)

print("[")
print(",\n".join(json.dumps(answer) for answer in answers))
print("]")
