"""Writes flows.mitm and answers.json beside this file: flows of every kind, expressions, and what mitmproxy says of them.

Run it with a Python that has mitmproxy 12: `python make.py`. Nothing in it depends on the time, the machine or chance.
"""

import gzip
import io
import json
import pathlib
import zlib

import brotli
import zstandard
from mitmproxy import connection, dns, flow, flowfilter, http, io as flow_io, tcp, udp, version, websocket

HERE = pathlib.Path(__file__).parent
count = 0


def fields_of(pairs):
    raw = lambda part: part.encode("ascii") if isinstance(part, str) else part
    return http.Headers([(raw(name), raw(value)) for name, value in pairs])


def ids():
    global count
    count += 1
    return f"00000000-0000-4000-8000-{count:012x}"


def connections(peer=("192.168.1.20", 51234), address=("example.com", 443), sni=None):
    client = connection.Client(peername=peer, sockname=("127.0.0.1", 8080), timestamp_start=1000.0, id=ids())
    client.sni = sni
    server = connection.Server(address=address, id=ids())
    return client, server


def finish(made, **fields):
    made.id = ids()
    made.timestamp_created = 1000.0
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def exchange(method="GET", url="http://example.com/", req_headers=(), req_body=b"", status=200, res_headers=(),
             res_body=b"", version="HTTP/1.1", host_header=None, authority=b"", peer=("192.168.1.20", 51234),
             sni=None, ws=None, response=True, address=None, raw_path=None, **fields):
    request = http.Request.make(method, url, req_body)
    request.headers = fields_of(req_headers)
    if host_header is not None:
        request.headers.insert(0, b"Host", host_header.encode())
    request.http_version = version
    request.data.authority = authority
    request.timestamp_start, request.timestamp_end = 1000.0, 1000.25
    if raw_path is not None:
        request.data.path = raw_path
    client, server = connections(peer, address or (request.host, request.port), sni)
    made = http.HTTPFlow(client, server)
    made.request = request
    if response:
        answer = http.Response.make(status, res_body)
        answer.raw_content = res_body
        answer.headers = fields_of(res_headers)
        answer.http_version = version
        answer.timestamp_start, answer.timestamp_end = 1000.5, 1001.5
        made.response = answer
    made.websocket = ws
    return finish(made, **fields)


def raw(kind, message, messages, address, peer=("10.0.0.7", 40000), **fields):
    made = kind(*connections(peer, address))
    made.messages = [message(c, b, 1000.0 + at) for at, (c, b) in enumerate(messages)]
    return finish(made, **fields)


def dns_message(query, questions, answers=()):
    return dns.DNSMessage(
        timestamp=1000.0, id=7, query=query, op_code=0, authoritative_answer=False, truncation=False,
        recursion_desired=True, recursion_available=True, reserved=0, response_code=0,
        questions=[dns.Question(name, kind, 1) for name, kind in questions],
        answers=[dns.ResourceRecord(name, kind, 1, 60, data) for name, kind, data in answers],
        authorities=[], additionals=[],
    )


def lookup(questions, answers=None, **fields):
    made = dns.DNSFlow(*connections(("10.0.0.9", 5353), ("8.8.8.8", 53)))
    made.request = dns_message(True, questions)
    if answers is not None:
        made.response = dns_message(False, questions, answers)
    return finish(made, **fields)


def talk(messages, **fields):
    made = [websocket.WebSocketMessage(1 if isinstance(b, str) else 2, c, b.encode() if isinstance(b, str) else b, 1001.0)
            for c, b in messages]
    return websocket.WebSocketData(messages=made, **fields)


LOREM = b"The quick brown fox jumps over the lazy dog. secret=42\n"
flows = [
    exchange(),
    exchange(url="https://example.com/index.html", req_headers=[("Accept", "*/*"), ("User-Agent", "curl/8.5.0")],
             res_headers=[("Content-Type", "text/html; charset=utf-8"), ("Server", "nginx")], res_body=b"<html>Hello World</html>\n"),
    exchange(url="https://example.com/api/v1/users?id=10&sort=name", method="POST",
             req_headers=[("Content-Type", "application/json"), ("Authorization", "Bearer abc.def")],
             req_body=b'{"user": "alice", "password": "hunter2"}', status=201,
             res_headers=[("Content-Type", "application/json"), ("Set-Cookie", "sid=1; Path=/"), ("set-cookie", "b=2")],
             res_body=b'{"id": 10, "ok": true}'),
    exchange(url="https://cdn.example.net/static/app.js", res_headers=[("Content-Type", "application/javascript")], res_body=b"var a = 1;"),
    exchange(url="https://cdn.example.net/static/site.css", res_headers=[("content-type", "text/css")], res_body=b"a { color: red }"),
    exchange(url="https://cdn.example.net/logo.PNG", res_headers=[("CONTENT-TYPE", "image/png")], res_body=b"\x89PNG\r\n\x1a\n\x00\xff\xfe"),
    exchange(url="https://cdn.example.net/f.woff2", res_headers=[("Content-Type", "font/woff2")], res_body=b"wOF2"),
    exchange(url="https://cdn.example.net/f.ttf", res_headers=[("Content-Type", "application/font-sfnt")], res_body=b""),
    exchange(url="https://cdn.example.net/upper", res_headers=[("Content-Type", "IMAGE/PNG")], res_body=b"x"),
    exchange(url="https://cdn.example.net/old.js", res_headers=[("Content-Type", "application/x-javascript"), ("Content-Type", "text/plain")]),
    exchange(status=404, url="http://example.com/missing", res_headers=[("Content-Type", "text/plain")], res_body=b"Not Found"),
    exchange(status=500, url="http://api.test:8080/fail", res_body=b"Internal Server Error"),
    exchange(status=302, url="http://example.com/old", res_headers=[("Location", "http://example.com/new")]),
    exchange(status=204, method="DELETE", url="http://example.com/thing/5"),
    exchange(status=101, url="http://chat.test/ws", req_headers=[("Upgrade", "websocket")],
             ws=talk([(True, "hello server"), (False, "hello client"), (True, b"\x00\x01bin\xff")], closed_by_client=True, close_code=1000, close_reason="bye", timestamp_end=1010.0)),
    exchange(status=101, url="https://chat.test/empty", ws=talk([])),
    exchange(response=False, url="http://slow.test/waiting"),
    exchange(response=False, url="https://down.test/", error=flow.Error("Connection refused", 1002.0)),
    exchange(url="https://broken.test/half", res_body=b"par", error=flow.Error("connection closed early", 1002.0)),
    exchange(method="CONNECT", url="https://tunnel.test/", authority=b"tunnel.test:443", status=502, error=flow.Error("no", 1001.0)),
    exchange(url="http://93.184.216.34/by-ip", host_header="named.example.org"),
    exchange(url="http://93.184.216.34:8080/by-ip", host_header="named.example.org:9090"),
    exchange(url="http://10.1.1.1/odd", host_header="b a d host"),
    exchange(url="http://10.1.1.2/twohosts", req_headers=[("Host", "one.test"), ("host", "two.test")]),
    exchange(url="https://h2.test/stream", version="HTTP/2.0", authority=b"h2-authority.test", res_headers=[("content-type", "text/plain")], res_body=b"two"),
    exchange(url="https://h2.test:8443/port", version="HTTP/2.0", authority=b"h2.test:8443"),
    exchange(url="https://h2.test/nohost", version="HTTP/2.0"),
    exchange(url="https://h3.test/q", version="HTTP/3", authority=b"h3.test", peer=("2001:db8::1", 4433)),
    exchange(url="http://xn--mnchen-3ya.de/stra%C3%9Fe", res_body="Grüße aus München, ÄÖÜ".encode()),
    exchange(url="http://example.com/latin1", res_headers=[("Content-Type", "text/plain; charset=iso-8859-1")], res_body="Grüße".encode("latin-1")),
    exchange(url="http://example.com/raw", raw_path="/straße?q=日本".encode(), req_headers=[("X-Name", "Jürgen".encode()), ("X-Raw", b"\xff\xfe")]),
    exchange(url="http://example.com/gzip", res_headers=[("Content-Encoding", "gzip"), ("Content-Type", "text/plain")], res_body=gzip.compress(LOREM * 3, mtime=0)),
    exchange(url="http://example.com/br", res_headers=[("Content-Encoding", "br")], res_body=brotli.compress(LOREM)),
    exchange(url="http://example.com/zstd", res_headers=[("Content-Encoding", "zstd")], res_body=zstandard.compress(LOREM)),
    exchange(url="http://example.com/deflate", res_headers=[("Content-Encoding", "deflate")], res_body=zlib.compress(LOREM)),
    exchange(url="http://example.com/rawdeflate", res_headers=[("Content-Encoding", "deflate")], res_body=zlib.compress(LOREM)[2:-4]),
    exchange(url="http://example.com/notgzip", res_headers=[("Content-Encoding", "gzip")], res_body=b"plain after all, secret=42"),
    exchange(url="http://example.com/identity", res_headers=[("Content-Encoding", "identity")], res_body=LOREM),
    exchange(url="http://example.com/reqgzip", method="PUT", req_headers=[("Content-Encoding", "gzip")], req_body=b""),
    exchange(url="http://example.com/form", method="post", req_headers=[("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")], req_body=b"a=1&b=two+words&c=%C3%A4"),
    exchange(url="http://example.com/multi", res_body=b"first line\nsecond line\r\nthird line\n"),
    exchange(url="http://example.com/marked", marked=":red_circle:"),
    exchange(url="http://example.com/marked2", marked="A", comment="first comment\nsecond line of it\n"),
    exchange(url="http://example.com/commented", comment="Größer als gedacht"),
    exchange(url="http://example.com/meta", metadata={"tag": "blue", "n": 3, "ok": True, "none": None, "f": 1.5, "list": ["a", 1], "d": {"k": "it's"}}),
    exchange(url="http://example.com/replayed", is_replay="request"),
    exchange(url="http://example.com/served", is_replay="response"),
    exchange(url="http://example.com/a(b)c?x=[1]&y=~z&q=\"q\"&t='t'"),
    exchange(url="http://example.com/and&and|or!not", res_body=b"a&b|c!d"),
    exchange(url="http://example.com/tab", res_body=b"col1\tcol2 \\d back\\slash"),
    exchange(url="http://example.com/*", raw_path=b"*", method="OPTIONS"),
    exchange(url="http://example.com/long", res_body=b"x" * 5000 + b"needle" + b"y" * 100),
    exchange(url="https://sni.test/", sni="sni-name.test", peer=("::1", 1)),
    raw(tcp.TCPFlow, tcp.TCPMessage, [(True, b"HELO client\r\n"), (False, b"220 server ready\r\n"), (True, b"\x00\xff")], ("mail.test", 25)),
    raw(tcp.TCPFlow, tcp.TCPMessage, [], ("2001:db8::5", 9000), error=flow.Error("reset", 1001.0)),
    raw(tcp.TCPFlow, tcp.TCPMessage, [(False, b"banner only")], None),
    raw(udp.UDPFlow, udp.UDPMessage, [(True, b"ping"), (False, b"pong secret=42")], ("game.test", 27015), marked=":star:"),
    raw(udp.UDPFlow, udp.UDPMessage, [(True, "Grüße".encode())], ("10.9.8.7", 1), comment="udp comment"),
    lookup([("dns.example.org", 1)], [("dns.example.org", 1, b"\x08\x08\x04\x04")]),
    lookup([("v6.example.org", 28)], [("v6.example.org", 5, b"\x05alias\x04test\x00"), ("alias.test", 28, b"\x20\x01\x0d\xb8" + b"\0" * 11 + b"\x01")]),
    lookup([("waiting.test", 1)]),
    lookup([("failed.test", 15)], error=flow.Error("timeout", 1002.0)),
    lookup([], []),
    lookup([("https.test", 65), ("second.test", 1)], [("https.test", 65, b"\0\x01\x01t\0\0\x03\0\x02\x01\xbb"), ("x", 15, b"\0\x05mail"), ("y", 1, b"\x01")]),
]

content_missing = exchange(url="http://example.com/nocontent", res_headers=[("Content-Type", "text/plain")])
content_missing.response.raw_content = None
content_missing.request.raw_content = None
flows.append(content_missing)

UNARY = "a all dns e http marked q replay replayq replays s tcp udp websocket".split()
expressions = [f"~{name}" for name in UNARY] + [f"!~{name}" for name in UNARY]
expressions += r"""
example
EXAMPLE
example\.com
^https://
^http://[^/]+/$
\.js$
\.(js|css)$
'\.(js|css)$'
"\\.(js|css)$"
"\.(js|css)$"
api/v1
users?id
users\?id=\d+
sort=name$
é
straße
STRASSE
%C3%9F
日本
:8080
:443
named.example.org
named.example.org:9090
93.184.216.34
tunnel.test
tunnel.test:443
h2-authority
h2.test:8443
h2.test/stream
"b a d"
one.test
two.test
one.test,
::1
dns.example.org
v6
second.test
waiting
.
^$
''
""
~u example
~u .
~u ^$
~u "a(b)c"
~u "a\\(b\\)c"
~u 'x=\\[1\\]'
~u "y=~z"
~u 'q="q"'
~u "t='t'"
~u "t=\'t\'"
~u 'q=\"q\"'
~u a(b)c
~u a(b|c)
~u and&and
and&and|or
~u or!not
!example
! example
!!example
!!!example
~u !example
~d example
~d example.com
~d ^example\.com$
~d EXAMPLE.COM
~d example\.(com|net)
~d "example\\.(com|net)"
~d 93
~d named
~d 9090
~d h2
~d h2-authority
~d tunnel
~d münchen
~d xn--
~d "b a d"
~d one.test
~d "one.test, two.test"
~d ^10\.
~m get
~m GET
~m ^POST$
~m post
~m .
~m ^P
~m DELETE|PUT
~m (DELETE|PUT)
~m "(DELETE|PUT)"
~m CONNECT
~c 200
~c 404
~c 0200
~c 20
~c 5
~c 999
~c 99999999999999999999
~c 500|~c 404
~c 200 | ~c 404
~c 200 ~m get
~c 200 example
~c 101 & ~websocket
~h nginx
~h content-type
~h "content-type: text"
~h "Content-Type: TEXT"
~h ^server
~h ^Server:
~h nginx$
~h nginx\r$
~h "nginx\\r$"
~h "nginx\r"
~h "set-cookie: b"
~h "^set-cookie: b=2\\r\\n"
~h Jürgen
~h JÜRGEN
~h "x-raw: \\xff"
~h \xff
~h upgrade
~h .
~h ^$
~h \A\Z
~h "a.*server"
~h "(?s)accept.*curl"
~h "(?i:ACCEPT)"
~hq accept
~hq authorization
~hq "bearer [a-z.]+"
~hq nginx
~hq ''
~hq host
~hs nginx
~hs accept
~hs location
~hs ''
~hs "content-encoding: (br|zstd)"
~t json
~t JSON
~t text
~t ^text/plain$
~t charset
~t "text/html; charset=utf-8"
~t image
~t ''
~t plain
~tq json
~tq form
~tq text
~ts json
~ts text
~ts image/png
~ts ^IMAGE
~b secret
~b SECRET=42
~b "quick brown"
~b "dog.*dog"
~b "first.*third"
~b ^first
~b ^second
~b (?m)^second
~b "(?m)^second"
~b "(?m)line$"
~b line$
~b line\Z
~b "line\\n\\Z"
~b "line\\r\\nthird"
~b "\\r\\n"
~b hello
~b "Hello World"
~b Grüße
~b GRÜSSE
~b "gr.+e aus"
~b "Gr..e aus"
~b "Gr.{4}e aus"
~b [ä-ü]
~b ü
~b Ü
~b \xfc
~b \xff
~b "\\x00"
~b \x89PNG
~b "^\\x89png"
~b needle
~b x{4000}
~b "x{500}needle"
~b "x+needle"
~b password
~b "\"password\": \"[^\"]+\""
~b '"password": "[^"]+"'
~b a&b|c
~b "a&b\\|c"
~b "col1\tcol2"
~b "col1\\tcol2"
~b "col1	col2"
~b "back\\\\slash"
~b "\\\\d"
~b "\d"
~b \d{2}
~b "\\d{2}"
~b 8.8.4.4
~b 8\.8\.4\.4
~b dns.example.org
~b alias
~b 2001:db8::1
~b HELO
~b 220
~b ping
~b pong
~b banner
~b ''
~b .
~b ^$
~b "(?=secret)secret"
~b "(?<=quick )brown"
~b "(?<!quick )brown"
~b "(l)\\1"
~b "(?P<c>o)(?P=c)"
~b "(?!x)needle"
~b "(a)?b(?(1)c|d)"
~bq hello
~bq "hello server"
~bq "hello client"
~bq password
~bq secret
~bq HELO
~bq 220
~bq ping
~bq pong
~bq dns.example.org
~bq 8.8.4.4
~bq ''
~bq ^$
~bs hello
~bs "hello client"
~bs password
~bs secret
~bs 220
~bs pong
~bs ping
~bs 8.8.4.4
~bs waiting
~bs ''
~bs .
~bs "0x00056d61696c"
~bs "target_name"
~bs "invalid A data"
~bs "3, invalid"
~src 192.168
~src 192\.168\.1\.20:51234
~src ^10\.0\.0\.9:5353$
~src 2001:db8::1:4433
~src ::1:1
~src \[
~src .
~dst example
~dst ^example.com:80$
~dst :25$
~dst 2001:db8::5:9000
~dst \[2001
~dst .
~dst MAIL
~marker red
~marker .
~marker ^$
~marker ''
~marker ^A$
~marker star
~marker RED_CIRCLE
~comment first
~comment ^second
~comment "comment$"
~comment "it$"
~comment "it\\Z"
~comment größer
~comment GRÖSSER
~comment GRÖßER
~comment .
~comment ^$
~comment ''
~comment "first.*second"
~meta blue
~meta "tag: blue"
~meta ^n:
~meta "^n: 3$"
~meta "ok: True"
~meta "none: None"
~meta "f: 1.5"
~meta "list: \\['a', 1\\]"
~meta 'd: \\{\'k\': "it\'s"\\}'
~meta .
~meta ^$
~meta tag.*n
a b
a & b
a | b
a b | c
a | b c
a | b & c
a & b | c
a & b c | d
a & (b | c)
(a | b) & c
(a)(b)
((a))
( a )
!(a | b)
!a & b
!a | b
!a b
! a b
!(a) b
(a & b) | (c & d)
a & b & c & d
a | b | c | d
a&b
a|b
a &b
a |b
a& b
foo!bar
~q | ~s
~q & ~e
~e & !~q
~s & ~http & ~c 200
~s ~http ~c 200
~tcp | ~udp | ~dns
!(~tcp | ~udp | ~dns )
~http & !(~c 200 | ~c 404) & ~d example
~a | ~t json
(~a | ~t json) ~d example
~marked & ~comment first
~replay | ~marked
"a" & "b"
"a"&"b"
'a'|'b'
'a''b'
"a"b
a"b"
a~q
~q ~e
~e~q
	~q
 ~q 
~q	~e
~u	example
~u   example
~u "example
~u 'example
"unclosed
'
"
~
~~
~zz
~zz a
~uu a
~ALL
~Q
~q)
(~q )
(~q)
(~b a)
(~c 200)
(
)
()
(())
(a
a)
((a)
(a b)
(a b) | c
a (b c)
~u
~b
~c
~c abc
~c -1
~c '200'
~c 2.5
~c 20x
~c 200b
~u ~q
~u (a)
~u )
~b & ~q
~b | ~q
a &
a |
a !
!
& a
| a
a & & b
a && b
a || b
a & | b
a ! b
&
|
!!
[
~u [
~b [
~b *
~b (
~b "("
~b ")"
~b "a**"
~b "(?P<n"
~b "\\"
~b "\\q"
\q
~u \q
~b \q
~b "\\u0041"
~u "\\u0061"
~b "(?u)a"
~u "(?u)a"
~b "(?L)a"
~b a{2,1}
~u "(?<=a*)b"
~u a(?i)b
~u "a(?i)b"
~qä
~q ä
~q&~s
~q &~s
~q& ~s
~q|~s
~all~q
~c 200~m get
~c 200&~m get
~c 200 &~m get
~b "a	b"
"\x41"
"\x42"
"\0"
"\13"
""a
~comment"a"
~u"example"
~t"json"
example.com/(api|old)
~size >10
~size
~duration >1
""".strip("\n").split("\n")
expressions += ["", " ", "\t", "\n", "a\nb", "a\r\nb", '"a\nb"', "~q\x0b", "a\x0bb", "\x0b", "~q\xa0", "a\xa0b", "a\u2003b", "~b \"a\u0000\"", "~u \"ab\\\ncd\""]
seen = set()
expressions = [e for e in expressions if not (e in seen or seen.add(e))]

# The flows as they are read back from a file: that is what both sides are asked about.
written = io.BytesIO()
writer = flow_io.FlowWriter(written)
for made in flows:
    writer.add(made)
(HERE / "flows.mitm").write_bytes(written.getvalue())
flows = list(flow_io.FlowReader(io.BytesIO(written.getvalue())).stream())

answers = []
for expression in expressions:
    try:
        parsed = flowfilter.parse(expression)
        answers.append([expression, "".join("1" if parsed(made) else "0" for made in flows)])
    except ValueError:
        answers.append([expression, None])
    except Exception as error:
        answers.append([expression, "crash: " + type(error).__name__])
with open(HERE / "answers.json", "w") as out:
    out.write('{"mitmproxy": %s,\n"answers": [\n' % json.dumps(version.VERSION))
    out.write(",\n".join(json.dumps(answer, ensure_ascii=False) for answer in answers))
    out.write("\n]}\n")
print(len(flows), "flows,", len(answers), "expressions,", sum(a[1] is None for a in answers), "refused", [a for a in answers if a[1] and a[1].startswith("crash")])
