"""``ragp ingest``: files over HTTP, followed until every one is searchable or has failed."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from ragp.client import PATIENCE, GatewayClient, UploadFields
from ragp.console import report
from ragp.errors import GatewayError
from ragp.files import SourceFile, find_files, parse_metadata
from ragp.following import REFUSED, TERMINAL, UNREADABLE, follow, outcome_of, unreadable_outcomes
from ragp.language import _
from ragp.options import ApiKey, DataDir, Url, settings_from
from ragp.outcomes import Outcome, exit_code, print_summary, progress
from ragp.target import Gateway, find_gateway

DEFAULT_COLLECTION = "default"
UPLOADS_AT_ONCE = 4

Paths = Annotated[list[Path], typer.Argument(help="Files and directories.")]
CollectionOption = Annotated[str, typer.Option("--collection", "-c", help="Collection to put them into.")]
AclOption = Annotated[
    list[str] | None,
    typer.Option("--acl", help="Who may read them (user:anna, group:hr, *); several times for several."),
]
MetadataOption = Annotated[
    list[str] | None, typer.Option("--metadata", "-m", help="key=value; several times for several.")
]
CreateOption = Annotated[bool, typer.Option(help="Create the collection if it is missing.")]


def ingest(
    paths: Paths,
    collection: CollectionOption = DEFAULT_COLLECTION,
    acl: AclOption = None,
    metadata: MetadataOption = None,
    create: CreateOption = True,
    data_dir: DataDir = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Upload files and wait until they are searchable; exit code 1 if any failed."""
    files, unreadable = find_files(paths)
    fields = UploadFields(collection, parse_metadata(metadata or []), acl)
    gateway = find_gateway(settings_from(data_dir=data_dir, url=url, api_key=api_key))
    outcomes = asyncio.run(ingest_files(gateway, files, fields, create=create))
    outcomes += unreadable_outcomes(unreadable)
    print_summary(outcomes)
    exit_code(outcomes)


async def ingest_files(
    gateway: Gateway, files: Iterable[SourceFile], fields: UploadFields, *, create: bool
) -> list[Outcome]:
    """Upload, a few at a time, and follow each document to its end; one outcome per file."""
    async with GatewayClient(gateway, patience=PATIENCE) as client:
        if create and await client.ensure_collection(fields.collection):
            report(f"created the collection {fields.collection}")
        files = list(files)
        waiting = iter(files)
        with progress() as bar:
            uploading = bar.add_task(_("upload"), total=len(files))

            async def upload_next() -> list[tuple[SourceFile, Outcome]]:
                uploaded = []
                for file in waiting:
                    uploaded.append((file, await _upload(client, file, fields)))
                    bar.advance(uploading)
                return uploaded

            shares = await asyncio.gather(*(upload_next() for _ in range(UPLOADS_AT_ONCE)))
            begun = [outcome for share in shares for _, outcome in share]
            done = [outcome for outcome in begun if outcome.state in TERMINAL]
            pending = [outcome for outcome in begun if outcome.state not in TERMINAL]
            indexing = bar.add_task(_("index"), total=len(files), completed=len(done))
            done += await follow(client, pending, lambda: bar.advance(indexing))
    order = {file.path: number for number, file in enumerate(files)}
    return sorted(done, key=lambda outcome: order[outcome.path])


async def _upload(client: GatewayClient, file: SourceFile, fields: UploadFields) -> Outcome:
    try:
        return outcome_of(file.path, await client.upload(file.path, file.source_uri, fields))
    except GatewayError as error:
        if error.status in (401, 403, 404):
            # The key or the collection is wrong: every other file would fail like this one.
            raise
        return Outcome(file.path, REFUSED, reason=error.message)
    except OSError as error:
        return Outcome(file.path, UNREADABLE, reason=error.strerror or str(error))
