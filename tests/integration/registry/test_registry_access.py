"""Who may read what is inside documents, whatever is uploaded, taken back and changed, in any order."""

import uuid
from dataclasses import dataclass, field
from typing import Literal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from registry_support import TENANT, accept, found, make_live, upload

from rag_common.contracts import DocumentRef
from rag_common.registry import Registry

EVERYBODY, ANNA, BOSS = ("*",), ("user:anna",), ("user:boss",)


async def member(registry: Registry, container: DocumentRef, source_uri: str) -> DocumentRef:
    accepted = await registry.members.accept(container, upload(source_uri))
    assert accepted is not None
    return accepted.document


async def acl(registry: Registry, document: DocumentRef) -> tuple[str, ...]:
    return (await registry.documents.get(TENANT, document.document_id)).acl


async def test_a_refused_upload_gives_each_member_back_what_it_had(registry: Registry) -> None:
    container = await make_live(registry, "a.zip", acl=EVERYBODY, metadata={"year": 2025})
    await member(registry, container, "a.zip!/b.txt")
    secret = await make_live(registry, "a.zip!/b.txt", "two")
    other = await member(registry, container, "a.zip!/c.txt")
    await registry.documents.patch(TENANT, secret.document_id, acl=BOSS, metadata={"secret": True})
    refused = (await accept(registry, "a.zip", "two", acl=ANNA, metadata={"year": 2026})).document
    assert await found(registry, secret, *ANNA)
    await registry.accepting.reject(TENANT, [refused])
    assert await found(registry, secret, *BOSS)
    assert not await found(registry, secret, *EVERYBODY, *ANNA)
    shown = [await registry.documents.get(TENANT, each.document_id) for each in (container, secret, other)]
    assert [each.acl for each in shown] == [EVERYBODY, BOSS, EVERYBODY]
    assert [each.metadata for each in shown] == [{"year": 2025}, {"secret": True}, {"year": 2025}]


async def test_a_change_of_a_member_survives_the_refusal_of_an_upload_before_it(registry: Registry) -> None:
    container = await make_live(registry, "a.zip", acl=EVERYBODY)
    inside = await member(registry, container, "a.zip!/b.txt")
    refused = (await accept(registry, "a.zip", "two", acl=BOSS)).document
    # the value that it has already, and shall keep
    await registry.documents.patch(TENANT, inside.document_id, acl=BOSS)
    await registry.accepting.reject(TENANT, [refused])
    assert (await acl(registry, container), await acl(registry, inside)) == (EVERYBODY, BOSS)


async def test_uploads_refused_in_any_order_leave_nothing(registry: Registry) -> None:
    container = await make_live(registry, "a.zip", acl=BOSS)
    inside = await member(registry, container, "a.zip!/b.txt")
    first = (await accept(registry, "a.zip", "two", acl=EVERYBODY)).document
    second = (await accept(registry, "a.zip", "three", acl=ANNA)).document
    new = await member(registry, second, "a.zip!/new.txt")
    for refused in (first, second):
        await registry.accepting.reject(TENANT, [refused])
    assert [await acl(registry, each) for each in (container, inside, new)] == [BOSS, BOSS, BOSS]


TREE = {"": None, "!/a.txt": "", "!/b.zip": "", "!/b.zip!/c.txt": "!/b.zip"}
_names = st.sampled_from(sorted(TREE))
_acls = st.sampled_from([EVERYBODY, ANNA, BOSS])
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("patch"), _names, _acls),
        st.tuples(st.sampled_from(["upload", "send again"]), _names, _acls | st.none()),
        st.tuples(st.sampled_from(["refuse", "begin"]), st.integers(0, 3), st.none()),
        st.tuples(st.just("take in"), _names, st.none()),
    ),
    max_size=14,
)


@dataclass
class Change:
    """``open`` while the queue may refuse it; then it is either refused or for good."""

    value: tuple[str, ...]
    state: Literal["open", "refused", "for good"]


@dataclass
class Model:
    """All changes that each document was ever given. The last that was not refused holds."""

    changes: dict[str, list[Change]] = field(default_factory=dict)

    def value(self, name: str) -> tuple[str, ...]:
        return next(each.value for each in reversed(self.changes[name]) if each.state != "refused")

    def set(self, name: str, change: Change) -> None:
        same = change.value == self.value(name)
        shared = [each for each in self.changes[name] if each.state == "open"]
        for inside in [each for each in self.changes if each.startswith(name)]:
            own = self.changes[inside]
            if inside == name or not same:
                own.append(change)
                continue
            # not a change, but for what an upload that may be refused has brought here
            places = [no for no, each in enumerate(own) if any(each is upload for upload in shared)]
            if places:
                own.insert(places[-1] + 1, change)


class Archive:
    """One archive in the registry, and what the model says of it."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.source = uuid.uuid4().hex
        self.model = Model()
        self.latest: dict[str, DocumentRef] = {}
        self.sha: dict[str, str] = {}
        self.uploads: list[tuple[DocumentRef, Change]] = []

    async def start(self) -> None:
        self.latest[""] = (await accept(self.registry, self.source, acl=EVERYBODY)).document
        self.model.changes[""] = [Change(EVERYBODY, "for good")]

    async def step(self, action: str, what: str | int, value: tuple[str, ...] | None) -> None:
        if isinstance(what, int):
            await self.settle(action, what)
        elif action == "take in":
            await self.take_in(what)
        elif what in self.latest and action == "patch":
            await self.registry.documents.patch(TENANT, self.latest[what].document_id, acl=value)
            assert value is not None
            self.model.set(what, Change(value, "for good"))
        elif what in self.latest:
            await self.upload(what, value, again=action == "send again")

    async def upload(self, name: str, value: tuple[str, ...] | None, *, again: bool) -> None:
        sha = self.sha.get(name, "one") if again else uuid.uuid4().hex
        accepted = await accept(self.registry, self.source + name, sha, acl=value)
        new = accepted.outcome == "accepted"
        self.latest[name], self.sha[name] = accepted.document, sha
        change = Change(value or EVERYBODY, "open" if new else "for good")
        if value is not None:
            self.model.set(name, change)
        if new:
            self.uploads.append((accepted.document, change))

    async def settle(self, action: str, number: int) -> None:
        if number < len(self.uploads):
            document, change = self.uploads.pop(number)
            if action == "begin":
                assert await self.registry.ingesting.begin(document, 1)
                change.state = "for good"
                return
            await self.registry.accepting.reject(TENANT, [document])
            generation = await self.registry.ingesting.generation(document)
            assert generation is not None
            # not if the same bytes were sent again: then the reconciler queues it
            change.state = "refused" if generation.state == "rejected" else "for good"

    async def take_in(self, name: str) -> None:
        parent = TREE[name]
        if parent is None or parent not in self.latest:
            return
        newest = await self.registry.documents.get(TENANT, self.latest[parent].document_id)
        container = DocumentRef(tenant=TENANT, document_id=newest.id, generation=newest.generation)
        self.latest[name] = await member(self.registry, container, self.source + name)
        self.model.changes.setdefault(name, list(self.model.changes[parent]))

    async def check(self) -> None:
        """Every document has the ACL that was set last, for it or around it, and not refused."""
        shown = {name: await acl(self.registry, each) for name, each in self.latest.items()}
        assert shown == {name: self.model.value(name) for name in self.latest}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_steps)
async def test_the_last_change_that_was_not_refused_holds(
    registry: Registry, steps: list[tuple[str, str | int, tuple[str, ...] | None]]
) -> None:
    archive = Archive(registry)
    await archive.start()
    for name in ("!/a.txt", "!/b.zip", "!/b.zip!/c.txt"):
        if len(steps) % 2:
            await archive.take_in(name)
    for action, what, value in steps:
        await archive.step(action, what, value)
        await archive.check()
