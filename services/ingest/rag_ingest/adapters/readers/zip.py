"""ZIP archives: the list of their members, and the members themselves."""

import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from rag_common.errors import BadDocument
from rag_ingest.adapters.extracted import Extracted, TextBuilder
from rag_ingest.adapters.readers.members import BLOCK, MemberFiles, MemberRefused, one_line
from rag_ingest.adapters.readers.packages import DAMAGED, blames_file, opened
from rag_ingest.adapters.readers.zip_names import member_names
from rag_ingest.domain.formats import MEDIA_TYPES, Format
from rag_ingest.domain.members import Room

MAX_LISTED = 10_000
"""Lines of the list; an archive of more members is named by its first ones."""
MAX_RATIO = 200
"""Unpacked bytes for a packed one. Text shrinks to a twentieth, logs and empty tables to a hundredth."""
_RATIO_FROM = 1024**2
"""Bytes, unpacked, below which nobody minds the ratio."""
_PLUMBING = {".ds_store", "thumbs.db", "desktop.ini"}


def read(path: Path, kind: Format, room: Room | None) -> Extracted:
    """See :mod:`rag_ingest.adapters.readers`."""
    files = MemberFiles(room)
    with opened(path, kind) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        names = member_names(members)
        for member, name in zip(members, names, strict=True):
            files.add(name, _blocks(archive, member, name))
    if members and not files.rows and all(member.flag_bits & 1 for member in members):
        raise BadDocument(
            "The archive is protected by a password. Remove the password and send it again.",
            code="password_protected",
        )
    return _listed(names, files)


def _listed(names: list[str], files: MemberFiles) -> Extracted:
    built = TextBuilder()
    if names:
        built.add("\n".join(one_line(name) for name in names[:MAX_LISTED]))
    warnings = files.warnings
    if len(names) > MAX_LISTED:
        warnings.append(f"The list ends after {MAX_LISTED:,} of {len(names):,} members.")
    return built.extracted(MEDIA_TYPES["zip"], warnings=warnings) | {"members": files.rows}


def _check(member: zipfile.ZipInfo, name: str) -> None:
    mode = member.external_attr >> 16
    if stat.S_ISLNK(mode):
        raise MemberRefused(reason="it is a link")
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise MemberRefused(reason="it is no ordinary file")
    if member.file_size > max(_RATIO_FROM, MAX_RATIO * member.compress_size):
        raise MemberRefused(reason=f"it unpacks to more than {MAX_RATIO} times its size")
    path = PurePosixPath(name)
    if path.parts[:1] == ("__MACOSX",) or path.name.lower() in _PLUMBING:
        raise MemberRefused(reason="it belongs to the operating system")


def _blocks(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> Iterator[bytes]:
    """No more bytes than the member declares: zipfile stops there.

    :raises MemberRefused: it is damaged, or packed in a way that cannot be read.
    """
    _check(member, name)
    try:
        with archive.open(member) as file:
            while block := file.read(BLOCK):
                yield block
    except (NotImplementedError, MemoryError) as error:
        # LZMA allocates what the member declares for its dictionary, which may be 4 GiB
        raise MemberRefused(reason="it is packed in a way that is not supported") from error
    except RuntimeError as error:
        # zipfile has no narrower error for an encrypted member
        raise MemberRefused(reason="it is protected by a password") from error
    except (*DAMAGED, OSError) as error:
        if isinstance(error, OSError) and not blames_file(error):
            raise
        raise MemberRefused(reason="it is damaged") from error
