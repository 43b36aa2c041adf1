"""An endpoint that says what it is told, over a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing


class Endpoint:
    """Reads requests, and writes what it is told, byte for byte."""

    def __init__(self) -> None:
        self.replies: dict[str, list[bytes]] = {}
        self.refused: dict[str, bytes] = {}
        """Replies to a request whose body has this parameter; they go before the others."""
        self.heads: list[str] = []
        self.bodies: list[dict[str, object]] = []
        self.gone = asyncio.Event()
        """Set when a client leaves before its reply is over."""
        self.url = ""

    def says(
        self, path: str, *blocks: bytes, status: str = "200 OK", kind: str = "text/event-stream"
    ) -> None:
        """No length: the reply ends with the connection, if it ends. It does not after a block ``b"..."``;
        a block ``b"~"`` is a pause."""
        head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n".encode()
        self.replies[path] = [head, *blocks]

    def refuses(self, status: str, error: object, path: str = "/v1/chat/completions") -> None:
        self.says(path, json.dumps({"error": error}).encode(), status=status, kind="application/json")

    def takes_no(self, parameter: str, error: object) -> None:
        """Refuse what has this parameter, as OpenAI does."""
        body = json.dumps({"error": error}).encode()
        head = f"HTTP/1.1 400 Bad Request\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.refused[parameter] = head.encode() + body

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            try:
                await self._reply(await self._asked(reader), reader, writer)
            except ConnectionError:
                self.gone.set()

    async def _asked(self, reader: asyncio.StreamReader) -> str:
        """The path."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        length = next(
            (int(line.split(":")[1]) for line in head.lower().splitlines() if "content-length:" in line), 0
        )
        if length:
            self.bodies.append(json.loads(await reader.readexactly(length)))
        return head.split(" ")[1]

    def _refusal(self) -> bytes | None:
        asked = self.bodies[-1] if self.bodies else {}
        return next((reply for parameter, reply in self.refused.items() if parameter in asked), None)

    async def _reply(self, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for block in [refusal] if (refusal := self._refusal()) else self.replies[path]:
            if block == b"...":
                await reader.read()
                self.gone.set()
            elif block == b"~":
                await asyncio.sleep(0.02)
            else:
                writer.write(block)
                await writer.drain()


@asynccontextmanager
async def serving() -> AsyncIterator[Endpoint]:
    endpoint = Endpoint()
    endpoint.says("/v1/models", b'{"object":"list","data":[{"id":"small","owned_by":"us"}]}')
    server = await asyncio.start_server(endpoint.serve, "127.0.0.1", 0)
    endpoint.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    async with server:
        yield endpoint
