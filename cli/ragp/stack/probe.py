"""Small questions to a local server: is it ready?"""

import asyncio

from ragp.stack.state import LOOPBACK

_TIMEOUT = 5.0


async def http_status(port: int, path: str) -> int | None:
    """The status of ``GET path`` on loopback, or ``None`` when nothing answers within 5 s."""
    try:
        async with asyncio.timeout(_TIMEOUT):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}\r\nConnection: close\r\n\r\n".encode())
                status_line = await reader.readline()
            finally:
                writer.close()
        return int(status_line.split()[1])
    except (OSError, TimeoutError, IndexError, ValueError):
        return None


async def http_ok(port: int, path: str) -> bool:
    return await http_status(port, path) == 200
