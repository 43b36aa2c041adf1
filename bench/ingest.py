"""How fast documents become searchable, against the bare speed of the model on the same chunks."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import parsing
from corpus import BenchDocument, documents
from harness import TOPOLOGY, BareModel, Bench, blocks, run, say, started
from index import count_points
from nats.aio.client import Client
from nats.js import JetStreamContext

from rag_common.broker import flush
from rag_common.contracts import ChunkText, DocumentEvent, DocumentRef, EmbedChunks

STAGES = ("gateway", "ingest", "embedder", "retriever", "nats", "postgres")
BLOCKS = 4


async def main(quick: bool) -> dict[str, Any]:
    corpus = documents(120 if quick else 1000)
    figures: dict[str, Any] = {}
    model = BareModel()
    say(f"{len(corpus)} documents of about 2 KB on the bulk lane, in {BLOCKS} blocks; model in {model.dtype}")
    async with started() as bench:
        figures |= await end_to_end(bench, model, corpus)
        figures |= await unchanged(bench, corpus)
        figures["documents_live"] = await bench.live()
        texts = await bench.chunk_texts([document.name for document in corpus])
        figures["chunks"] = await bench.database.fetchval("SELECT count(*) FROM chunks")
        directory = bench.stack.directory
        await bench.stop()
        figures["points"] = count_points(directory)
    figures |= await embed_stage(model, texts)
    assert figures["documents_live"] == len(corpus), "a document is not live"
    assert figures["points"] == figures["chunks"], "points and chunks differ"
    return figures


async def end_to_end(bench: Bench, model: BareModel, corpus: list[BenchDocument]) -> dict[str, Any]:
    """Each block is dropped and awaited, then its chunks are encoded by the bare model."""
    platform = bare = 0.0
    chunks = 0
    ratios = []
    spent: Counter[str] = Counter()
    done = 0
    for block in blocks(corpus, BLOCKS):
        before = bench.core_seconds()
        began = time.perf_counter()
        await bench.drop(block)
        done += len(block)
        await bench.wait_live(done)
        seconds = time.perf_counter() - began
        spent.update({name: value - before[name] for name, value in bench.core_seconds().items()})
        texts = await bench.chunk_texts([document.name for document in block])
        alone = model.seconds(texts)
        say(
            f"  {len(block)} documents, {len(texts)} chunks: {len(texts) / seconds:.0f} chunks/s"
            f" end to end, {len(texts) / alone:.0f} chunks/s bare"
        )
        platform, bare, chunks = platform + seconds, bare + alone, chunks + len(texts)
        ratios.append(alone / seconds)
    return {
        "ratio_to_bare_encode": round(bare / platform, 3),
        "ratio_of_blocks": [round(ratio, 3) for ratio in ratios],
        "chunks_per_s": round(chunks / platform, 1),
        "bare_chunks_per_s": round(chunks / bare, 1),
        "documents_per_s": round(len(corpus) / platform, 1),
        "core_ms_per_document": {
            name: round(spent[name] * 1000 / len(corpus), 2) for name in STAGES if name in spent
        },
    }


async def unchanged(bench: Bench, corpus: list[BenchDocument]) -> dict[str, Any]:
    """The same drop again; hints on ``event.document`` count the outcomes."""
    outcomes: Counter[str] = Counter()
    subscription = await bench.nats.subscribe(TOPOLOGY.subject(DocumentEvent))
    await flush(bench.nats)
    began = time.perf_counter()
    await bench.drop(corpus)
    while sum(outcomes.values()) < len(corpus):
        event = await subscription.next_msg(timeout=60)
        outcomes[DocumentEvent.decode(event.data).outcome] += 1
    seconds = time.perf_counter() - began
    await subscription.unsubscribe()
    say(f"the same drop again: {dict(outcomes)} in {seconds:.1f} s")
    assert outcomes == {"unchanged": len(corpus)}, outcomes
    return {"unchanged_per_s": round(len(corpus) / seconds, 1)}


async def embed_stage(model: BareModel, texts: list[str]) -> dict[str, Any]:
    """Only the embedder runs. Its paused lane is filled, then released, block by block."""
    async with started(only=("embedder",)) as bench:
        platform = bare = 0.0
        for number, block in enumerate(blocks(texts, BLOCKS)):
            await _pause(bench.nats, until=time.time() + 300)
            jobs = await _fill(bench.jetstream, number, block)
            await _pause(bench.nats, until=time.time() - 1)
            # a pull that was waiting before the pause notices its end only when it times out
            await _first_delivery(bench.jetstream)
            began = time.perf_counter()
            await _wait_indexed(bench.jetstream, jobs)
            seconds = time.perf_counter() - began
            await bench.jetstream.purge_stream(TOPOLOGY.stream("INDEX"))
            alone = model.seconds(block)
            say(
                f"  embed stage alone: {len(block) / seconds:.0f} chunks/s,"
                f" bare model {len(block) / alone:.0f} chunks/s"
            )
            platform, bare = platform + seconds, bare + alone
    return {"embed_stage_ratio": round(bare / platform, 3)}


async def _pause(connection: Client, until: float) -> None:
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until))
    await connection.request(
        f"$JS.API.CONSUMER.PAUSE.{TOPOLOGY.stream('EMBED')}.embedder-bulk",
        f'{{"pause_until":"{moment}"}}'.encode(),
        timeout=10,
    )


async def _fill(jetstream: JetStreamContext, block: int, texts: Sequence[str]) -> int:
    """One message per four chunks, as documents of 2 KB make them; how many there are."""
    messages = [
        EmbedChunks(
            document=DocumentRef(tenant="default", document_id=f"{block}-{start}", generation=1),
            lane="bulk",
            space="all-minilm-l6-v2",
            batch=0,
            chunks=tuple(ChunkText(no=no, text=text) for no, text in enumerate(texts[start : start + 4])),
        )
        for start in range(0, len(texts), 4)
    ]
    subject = TOPOLOGY.subject(EmbedChunks, lane="bulk")
    await asyncio.gather(*(jetstream.publish(subject, message.encode()) for message in messages))
    return len(messages)


async def _first_delivery(jetstream: JetStreamContext) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if (await jetstream.consumer_info(TOPOLOGY.stream("EMBED"), "embedder-bulk")).num_ack_pending:
            return
        await asyncio.sleep(0.005)
    raise TimeoutError("the embedder has not started")


async def _wait_indexed(jetstream: JetStreamContext, count: int) -> None:
    deadline = time.monotonic() + 600
    while (await jetstream.stream_info(TOPOLOGY.stream("INDEX"))).state.messages < count:
        if time.monotonic() > deadline:
            raise TimeoutError("the embedder did not finish")
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    run(main, __doc__ or "", parse=parsing.main)
