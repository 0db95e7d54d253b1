"""A TCP proxy between a test and its SSH server: delays every byte, cuts connections, or falls silent."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine
from typing import Any


class Proxy:
    """`with Proxy(port, delay_s=0.025) as proxy: … proxy.port`; the delay holds for each direction."""

    def __init__(self, to_port: int, delay_s: float = 0.0, to_address: str = "127.0.0.1") -> None:
        self._to_port, self._delay_s, self._to_address = to_port, delay_s, to_address
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.silent = False
        """Takes bytes and passes none on: a frozen peer."""
        self.refuses = False
        self.connections = 0

    def __enter__(self) -> Proxy:
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _shut(self) -> None:
        self._server.close()
        self._cut_all()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """End every connection at once, as a lost network would be noticed."""
        with contextlib.suppress(RuntimeError):  # a cut that comes late finds nothing left to cut
            self._loop.call_soon_threadsafe(self._cut_all)

    def _cut_all(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            writer.transport.abort()
            return
        self.connections += 1
        there_reader, there_writer = await asyncio.open_connection(self._to_address, self._to_port)
        for end in (writer, there_writer):
            end.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._writers.add(end)
        ways = [self._pass(reader, there_writer), self._pass(there_reader, writer)]
        tasks = [self._loop.create_task(way) for way in ways]
        self._tasks.update(tasks)
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        for end in (writer, there_writer):
            self._writers.discard(end)
            end.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.difference_update(tasks)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read as fast as it comes, write each piece its delay later: latency, not a slower link."""
        due: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(4096)
        task = self._loop.create_task(self._write_due(due, writer))
        try:
            with contextlib.suppress(OSError):
                while data := await reader.read(256 << 10):
                    await due.put((self._loop.time() + self._delay_s, data))
            await due.put((self._loop.time() + self._delay_s, b""))
            await task
        finally:
            task.cancel()

    async def _write_due(self, due: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while True:
                at, data = await due.get()
                if (wait := at - self._loop.time()) > 0:
                    await asyncio.sleep(wait)
                if not data:
                    return
                if not self.silent:
                    writer.write(data)
                    await writer.drain()
