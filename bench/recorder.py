"""Stands between the platform and a language model, to note what is asked and when the answer begins."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Recorder:
    """Stands before llama.cpp: passes requests on and notes the last one, and when text came."""

    target: str
    url: str = ""
    body: bytes = b""
    asked: float = 0.0
    first: float | None = None
    last: float = 0.0
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Recorder"]:
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        try:
            yield self
        finally:
            server.close()
            for writer in self._writers:
                writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request per connection: the reply ends with it."""
        parts = urlsplit(self.target)
        self._writers.add(writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            length = next(
                (int(line.split(":")[1]) for line in lines if line.lower().startswith("content-l")), 0
            )
            body = await reader.readexactly(length)
            onward_reader, onward = await asyncio.open_connection(parts.hostname, parts.port)
            self._writers.add(onward)
            kept = [line for line in lines if line and not line.lower().startswith("connection:")]
            if body:
                self.body, self.asked, self.first = body, time.perf_counter(), None
            onward.write("\r\n".join([*kept, "Connection: close", "", ""]).encode("latin-1") + body)
            leaving = asyncio.create_task(reader.read())
            leaving.add_done_callback(lambda _: onward.close())
            while block := await onward_reader.read(65536):
                if body and b'"content":"' in block:
                    self.last = time.perf_counter()
                    self.first = self.first or self.last
                writer.write(block)
                await writer.drain()
            leaving.cancel()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # whoever asked has left
        finally:
            writer.close()
