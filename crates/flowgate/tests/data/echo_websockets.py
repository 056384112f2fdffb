"""Echoes WebSocket messages; prints the port where it does."""

import asyncio
import logging

from websockets.asyncio.server import serve

# What a case does wrong on purpose is no news.
logging.getLogger("websockets").setLevel(logging.CRITICAL)


async def echo(socket):
    async for message in socket:
        await socket.send(message)


async def main():
    async with serve(echo, "127.0.0.1", 0, max_size=None, ping_interval=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()


asyncio.run(main())
