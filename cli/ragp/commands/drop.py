"""``ragp drop``: files over NATS, as an outside producer would."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Annotated

import typer
from pydantic import ValidationError

from rag_common.topology import Topology
from ragp.client import PATIENCE, GatewayClient
from ragp.commands.ingest import (
    DEFAULT_COLLECTION,
    AclOption,
    CollectionOption,
    CreateOption,
    MetadataOption,
    Paths,
)
from ragp.console import out, report
from ragp.drops import DropFields, Producer, TooLargeError
from ragp.files import SourceFile, find_files, parse_metadata
from ragp.following import REFUSED, UNREADABLE, unreadable_outcomes
from ragp.language import _, ngettext
from ragp.nats_client import connected
from ragp.options import ApiKey, DataDir, Url, settings_from
from ragp.outcomes import Outcome, exit_code, print_summary, progress
from ragp.settings import CliSettings
from ragp.target import find_gateway, find_nats
from ragp.watching import await_drops, handled_up_to, listening

WaitOption = Annotated[bool, typer.Option(help="Wait until every document is searchable or has failed.")]


def drop(
    paths: Paths,
    collection: CollectionOption = DEFAULT_COLLECTION,
    acl: AclOption = None,
    metadata: MetadataOption = None,
    create: CreateOption = True,
    wait: WaitOption = True,
    data_dir: DataDir = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Drop files onto the bulk queue, without HTTP; exit code 1 if any failed."""
    settings = settings_from(data_dir=data_dir, url=url, api_key=api_key)
    files, unreadable = find_files(paths)
    fields = DropFields(collection, parse_metadata(metadata or []), acl)
    if wait:
        outcomes = asyncio.run(drop_files(settings, files, fields, create=create))
    else:
        outcomes = asyncio.run(drop_only(settings, files, fields))
        stored = len(files) - len(outcomes)
        told = ngettext("{count} file stored in the queue", "{count} files stored in the queue", stored)
        out.print(told.format(count=stored))
    outcomes += unreadable_outcomes(unreadable)
    if wait or outcomes:
        print_summary(outcomes)
    exit_code(outcomes)


async def drop_files(
    settings: CliSettings, files: Sequence[SourceFile], fields: DropFields, *, create: bool
) -> list[Outcome]:
    """Drop and follow each document to its end; one outcome per file."""
    topology = Topology(settings.namespace)
    order = {file.path: number for number, file in enumerate(files)}
    async with (
        GatewayClient(find_gateway(settings), patience=PATIENCE) as api,
        connected(find_nats(settings, "operator")) as listener,
        connected(find_nats(settings, "producer")) as client,
        listening(listener, topology, fields.collection) as hints,
    ):
        if create and await api.ensure_collection(fields.collection):
            report(f"created the collection {fields.collection}")
        producer = Producer(client, topology, settings.tenant)
        dropped: dict[int, SourceFile] = {}
        with progress() as bar:
            dropping = bar.add_task(_("drop"), total=len(files))
            indexing = bar.add_task(_("index"), total=len(files))
            not_dropped = []
            for file in files:
                stored = await _drop(producer, file, fields)
                bar.advance(dropping)
                if isinstance(stored, Outcome):
                    not_dropped.append(stored)
                    bar.advance(indexing)
                else:
                    dropped[stored] = file
            done = not_dropped + await await_drops(
                api, hints, fields.collection, dropped, lambda: bar.advance(indexing),
                handled=partial(handled_up_to, listener, topology),
            )  # fmt: skip
    return sorted(done, key=lambda outcome: order[outcome.path])


async def drop_only(settings: CliSettings, files: Sequence[SourceFile], fields: DropFields) -> list[Outcome]:
    """The outcomes of those that could not be dropped."""
    async with connected(find_nats(settings, "producer")) as client:
        producer = Producer(client, Topology(settings.namespace), settings.tenant)
        stored = [await _drop(producer, file, fields) for file in files]
    return [result for result in stored if isinstance(result, Outcome)]


async def _drop(producer: Producer, file: SourceFile, fields: DropFields) -> int | Outcome:
    """The sequence of the drop, or why this file is none; the others go on."""
    try:
        return await producer.drop(file, fields)
    except ValidationError as error:
        first = error.errors()[0]
        return Outcome(file.path, REFUSED, reason=f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
    except TooLargeError as error:
        return Outcome(file.path, REFUSED, reason=error.message)
    except OSError as error:
        return Outcome(file.path, UNREADABLE, reason=error.strerror or str(error))
