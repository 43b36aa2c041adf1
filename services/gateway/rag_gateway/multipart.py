"""Multipart bodies, read as they arrive: a file's bytes are handed on before the next are taken."""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from rag_common.errors import PermanentError
from rag_gateway.domain.file_names import extended_file_name

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_FIELD_BYTES = 64 * 1024
"""More than any field may hold once it is decoded; a larger one is refused while it arrives."""
MAX_PARTS = 1100
_MAX_HEADER_BYTES = 16 * 1024


class MalformedMultipart(PermanentError):
    """The body does not follow its boundary, or ends too early."""

    code = "malformed_body"


class FieldTooLarge(PermanentError):
    """A field that is not a file has more bytes than any field may have."""

    code = "field_too_large"


@dataclass(slots=True)
class _Headers:
    """Of the part that is being read; also the event that begins it."""

    disposition: bytes = b""
    content_type: bytes = b""
    name: bytearray = field(default_factory=bytearray)
    value: bytearray = field(default_factory=bytearray)

    def finish_one(self) -> None:
        if self.name.lower() == b"content-disposition":
            self.disposition = bytes(self.value)
        elif self.name.lower() == b"content-type":
            self.content_type = bytes(self.value)
        self.name.clear()
        self.value.clear()


class _EndOfPart:
    pass


_Event = _Headers | bytes | _EndOfPart


@dataclass(frozen=True, slots=True)
class FormField:
    """A part that is not a file."""

    name: str
    value: str


class FormFile:
    """A part that is a file. Its chunks come from the body: take them before the next part."""

    def __init__(
        self, name: str, file_name: str, media_type: str | None, chunks: AsyncIterator[bytes]
    ) -> None:
        self.name = name
        self.file_name = file_name
        self.media_type = media_type
        self.chunks = chunks


class MultipartReader:
    """The parts of one body, in order. At most one chunk of the body is held at a time."""

    def __init__(self, content_type: str, body: AsyncIterator[bytes]) -> None:
        """:raises MalformedMultipart: the Content-Type names no usable boundary."""
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise MalformedMultipart("the Content-Type of a multipart body names its boundary")
        self._body = body
        self._events: deque[_Event] = deque()
        self._headers = _Headers()
        self._parts = 0
        self._complete = False
        try:
            self._parser = MultipartParser(boundary, self._callbacks(), max_header_size=_MAX_HEADER_BYTES)
        except FormParserError as error:
            raise MalformedMultipart(str(error)) from error

    async def parts(self) -> AsyncGenerator[FormField | FormFile, None]:
        """:raises MalformedMultipart: the body is not well-formed, or has too many parts.

        :raises FieldTooLarge: a field is larger than ``MAX_FIELD_BYTES``.
        """
        while True:
            event = await self._next()
            if event is None:
                return
            # what is left of a file that was not taken is skipped
            if isinstance(event, _Headers):
                yield await self._part(event)

    async def _part(self, headers: _Headers) -> FormField | FormFile:
        disposition = _text(headers.disposition)
        options = parse_options_header(headers.disposition)[1]
        if b"name" not in options:
            raise MalformedMultipart("a part has no name in its Content-Disposition")
        name = _text(options[b"name"])
        extended = extended_file_name(disposition)
        if extended is None and b"filename" not in options:
            return FormField(name, await self._value(name))
        file_name = extended if extended is not None else _text(options[b"filename"])
        return FormFile(name, file_name, _text(headers.content_type) or None, self._chunks())

    async def _value(self, name: str) -> str:
        value = bytearray()
        async for chunk in self._chunks():
            value += chunk
            if len(value) > MAX_FIELD_BYTES:
                raise FieldTooLarge(f"{name[:100]}: a field has at most {MAX_FIELD_BYTES} bytes")
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise MalformedMultipart(f"{name[:100]}: not UTF-8") from error

    async def _chunks(self) -> AsyncIterator[bytes]:
        while isinstance(event := await self._next(), bytes):
            yield event

    async def _next(self) -> _Event | None:
        while not self._events:
            try:
                data = await anext(self._body)
            except StopAsyncIteration:
                if not self._complete:
                    raise MalformedMultipart("the multipart body ends before its last boundary") from None
                return None
            try:
                self._parser.write(data)
            except FormParserError as error:
                raise MalformedMultipart(f"not a multipart body: {error}") from error
        return self._events.popleft()

    def _callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._on_part_begin,
            "on_header_field": lambda data, start, end: self._headers.name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._headers.value.extend(data[start:end]),
            "on_header_end": lambda: self._headers.finish_one(),
            "on_headers_finished": lambda: self._events.append(self._headers),
            "on_part_data": lambda data, start, end: self._events.append(data[start:end]),
            "on_part_end": lambda: self._events.append(_EndOfPart()),
            "on_end": self._on_end,
        }

    def _on_part_begin(self) -> None:
        self._headers = _Headers()
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise MalformedMultipart(f"a body has at most {MAX_PARTS} parts")

    def _on_end(self) -> None:
        self._complete = True


def _text(raw: bytes) -> str:
    """Browsers send UTF-8; what is not is read as Latin-1, which never fails."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
