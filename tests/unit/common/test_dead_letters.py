import base64

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic import ValidationError

from rag_common.broker.deadletters import MAX_BODY, MAX_REASON, MAX_STACK, bad_message, dead_letter
from rag_common.broker.job import Job
from rag_common.contracts import DeadLetter, EmbedChunks
from rag_common.errors import BadDocument
from rag_common.topology import Topology

TIME_NS = 1_773_500_966_123_456_789


def delivery(data: bytes = b"{}", headers: dict[str, str] | None = None, domain: str = "") -> Msg:
    prefix = f"$JS.ACK.{domain}.hash" if domain else "$JS.ACK"
    reply = f"{prefix}.LAB_INGEST.ingest-bulk.2.17.5.{TIME_NS}.0" + (".random" if domain else "")
    return Msg(Client(), subject="lab.ingest.bulk.acme", reply=reply, data=data, headers=headers)


def job_of(message: Msg) -> Job:
    return Job.of(message, Topology("lab"))


@pytest.mark.parametrize("domain", ["", "_", "hub"])
def test_the_facts_of_a_delivery(domain: str) -> None:
    job = job_of(delivery(domain=domain))
    assert (job.stream, job.sequence, job.attempt) == ("LAB_INGEST", 17, 2)
    assert (job.tenant, job.lane) == ("acme", "bulk")
    assert job.time_ns == TIME_NS


def test_no_header_changes_a_jobs_place_in_the_order() -> None:
    headers = {"Rag-Original-Time-Ns": str(TIME_NS - 5), "Rag-Original-Sequence": "3"}
    job = job_of(delivery(headers=headers))
    assert (job.time_ns, job.sequence) == (TIME_NS, 17)


def test_a_dead_letter_tells_what_happened_and_keeps_the_job() -> None:
    message = delivery(b"\xff body", {"Nats-Msg-Id": "one"})
    letter = dead_letter(message, job_of(message), "ingest", BadDocument("damaged", code="damaged_pdf"))
    assert (letter.code, letter.reason, letter.stack, letter.attempts) == ("damaged_pdf", "damaged", "", 2)
    assert base64.b64decode(letter.body) == b"\xff body"
    assert letter.headers == {"Nats-Msg-Id": "one"}
    assert letter.original_time_ns == TIME_NS
    assert DeadLetter.decode(letter.encode()) == letter


def test_a_dead_letter_always_fits_and_always_encodes() -> None:
    message = delivery(b"x" * (MAX_BODY + 1), {"big": "h" * 100_000})
    try:
        raise RuntimeError("\ud800" * 100_000)
    except RuntimeError as error:
        letter = dead_letter(message, job_of(message), "ingest", error)
    assert letter.body == ""
    assert letter.headers == {}
    assert len(letter.reason) == MAX_REASON
    assert len(letter.stack) <= MAX_STACK
    assert len(letter.encode()) < 4 * 1024 * 1024


def test_the_largest_body_that_is_kept_fits_into_the_servers_limit() -> None:
    message = delivery(b"x" * MAX_BODY)
    letter = dead_letter(message, job_of(message), "ingest", BadDocument("no"))
    assert len(base64.b64decode(letter.body)) == MAX_BODY
    assert len(letter.encode()) < 4 * 1024 * 1024


def test_a_message_that_does_not_decode_names_its_fields_but_not_their_content() -> None:
    body = b'{"document": {"tenant": "SECRET VALUE", "document_id": "d", "generation": 0}}'
    with pytest.raises(ValidationError) as caught:
        EmbedChunks.decode(body)
    error = bad_message(caught.value)
    assert error.code == "bad_message"
    assert "document.generation" in error.message
    assert "SECRET" not in error.message
