"""Writes guide.flows with mitmproxy 12: the flows that docs/guides show.

    guide.py guide.flows
"""

import sys

from mitmproxy import connection, http, io, websocket
from mitmproxy.test import tflow

START = 1767225600.0  # 2026-01-01 00:00:00 UTC


def flow(number, method, url, fields=(), body=b"", status=200, answer_fields=(), answer=b""):
    request = http.Request.make(method, url, body, http.Headers([(b"User-Agent", b"shop/1.0"), *fields]))
    request.timestamp_start = START + number
    request.timestamp_end = request.timestamp_start + 0.001
    made = tflow.tflow(req=request, resp=True)
    made.id = f"{number:08x}-0000-4000-8000-000000000000"
    made.timestamp_created = request.timestamp_start
    made.client_conn.peername = ("127.0.0.1", 50000 + number)
    made.server_conn.address = (request.host, request.port)
    made.server_conn.peername = ("192.0.2.1", request.port)
    made.response = http.Response.make(status, answer, http.Headers(answer_fields))
    made.response.timestamp_start = request.timestamp_start + 0.020
    made.response.timestamp_end = request.timestamp_start + 0.025
    return made


def flows():
    yield flow(
        1, "GET", "https://shop.example/api/cart?user=7",
        answer_fields=[(b"Content-Type", b"application/json")],
        answer=b'{"items":[{"id":1,"name":"tea"}],"total":4.5}',
    )
    yield flow(
        2, "POST", "https://shop.example/login", [(b"Content-Type", b"application/x-www-form-urlencoded")],
        b"user=ann&note=it%27s+me", 303, [(b"Location", b"/home")],
    )
    yield flow(
        3, "GET", "http://cdn.example/missing.css", status=404,
        answer_fields=[(b"Content-Type", b"text/html")], answer=b"<html><h1>Not here</h1></html>",
    )
    chat = flow(4, "GET", "http://shop.example/chat", status=101)
    chat.response.reason = "Switching Protocols"
    chat.websocket = websocket.WebSocketData(
        messages=[
            websocket.WebSocketMessage(1, True, b"hello", START + 4.1),
            websocket.WebSocketMessage(1, False, b"hello yourself", START + 4.2),
        ],
        closed_by_client=True, close_code=1000, close_reason="", timestamp_end=START + 5,
    )
    yield chat
    failed = flow(5, "GET", "http://away.example/")
    failed.response = None
    failed.error = tflow.terr("connection refused")
    failed.error.timestamp = START + 5.5
    yield failed


with open(sys.argv[1], "wb") as file:
    writer = io.FlowWriter(file)
    for made in flows():
        writer.add(made)
