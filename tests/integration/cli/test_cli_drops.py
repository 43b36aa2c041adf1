"""Dropping files onto a real nats-server."""

from pathlib import Path

from nats.js import JetStreamContext

from rag_common.testing import NatsServer
from rag_common.topology import Topology
from ragp.commands.drop import drop_only
from ragp.drops import DropFields
from ragp.files import SourceFile
from ragp.options import settings_from


async def test_one_bad_file_does_not_end_the_drop(
    provisioned: Topology, nats_server: NatsServer, jetstream: JetStreamContext, tmp_path: Path
) -> None:
    files = [SourceFile(tmp_path / name) for name in ("gone.txt", "b.txt", "c.txt")]
    for file in files[1:]:
        file.path.write_text("x")
    settings = settings_from(
        data_dir=tmp_path / "none", nats_url=nats_server.url, namespace=provisioned.namespace
    )
    outcomes = await drop_only(settings, files, DropFields("notes", {"long": "m" * 100}))
    assert [(outcome.path, outcome.state) for outcome in outcomes] == [(files[0].path, "unreadable")]
    refused = await drop_only(settings, files[1:], DropFields("notes", {"long": "m" * 20_000}))
    assert {outcome.state for outcome in refused} == {"refused"}
    assert "metadata" in refused[0].reason
    info = await jetstream.stream_info(provisioned.stream("INGEST"))
    assert info.state.messages == 2
