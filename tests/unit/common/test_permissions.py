from typing import get_args

import pytest

from rag_common.permissions import Role, inbox_prefix, permissions
from rag_common.topology import Topology

TOPOLOGY = Topology("lab", tenants=("acme", "other"))
RESTRICTED = [role for role in get_args(Role) if role != "operator"]
MANAGING = ("STREAM.CREATE", "STREAM.UPDATE", "STREAM.DELETE", "CONSUMER.DURABLE.CREATE", "STREAM.MSG.DELETE")


def published(role: Role) -> list[str]:
    tenant = "acme" if role == "producer" else None
    return permissions(TOPOLOGY, role, tenant=tenant)["publish"]["allow"]


@pytest.mark.parametrize("role", RESTRICTED)
def test_only_the_operator_manages_streams_and_consumers(role: Role) -> None:
    for subject in published(role):
        assert not any(verb in subject for verb in MANAGING), subject
        if "PURGE" in subject:
            assert subject.startswith("$JS.API.STREAM.PURGE.OBJ_"), subject
        if "CONSUMER.CREATE" in subject or "CONSUMER.DELETE" in subject:
            assert role == "gateway"
            assert "LAB_EVENTS" in subject, subject


@pytest.mark.parametrize("role", RESTRICTED)
def test_nobody_but_the_operator_may_do_everything(role: Role) -> None:
    tenant = "acme" if role == "producer" else None
    allowed = permissions(TOPOLOGY, role, tenant=tenant)
    for subject in (*allowed["publish"]["allow"], *allowed["subscribe"]["allow"]):
        assert subject.split(".")[0] not in ("*", ">")
        assert not subject.startswith("_INBOX.")


@pytest.mark.parametrize("role", RESTRICTED)
def test_each_role_hears_its_own_inbox_only(role: Role) -> None:
    tenant = "acme" if role == "producer" else None
    inboxes = [
        subject
        for subject in permissions(TOPOLOGY, role, tenant=tenant)["subscribe"]["allow"]
        if subject.startswith("_INBOX")
    ]
    assert inboxes == [f"{inbox_prefix(role, tenant)}.>"]


def test_a_producer_touches_nothing_of_another_tenant() -> None:
    assert "lab.ingest.bulk.acme" in published("producer")
    assert not [subject for subject in published("producer") if "other" in subject or "documents" in subject]


def test_a_producer_belongs_to_a_tenant() -> None:
    with pytest.raises(ValueError, match="tenant"):
        permissions(TOPOLOGY, "producer")


def test_no_consumer_publishes_into_the_subject_it_drains() -> None:
    assert "lab.embed.*" not in published("embedder")
    assert not [subject for subject in published("ingest") if subject.startswith("lab.ingest")]
