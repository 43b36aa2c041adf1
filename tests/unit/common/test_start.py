import pytest

from rag_common import service
from rag_common.errors import TransientError
from rag_common.service import START_TRIES, when_available


class Dependency:
    """Answers from the given call on."""

    def __init__(self, available_from: int) -> None:
        self.calls = 0
        self._available_from = available_from

    async def connect(self) -> str:
        self.calls += 1
        if self.calls < self._available_from:
            raise TransientError("still starting")
        return "connected"


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "START_PAUSE", 0)


async def test_a_dependency_that_comes_up_late_is_waited_for() -> None:
    dependency = Dependency(available_from=START_TRIES)
    assert await when_available(dependency.connect) == "connected"


async def test_a_dependency_that_never_comes_up_ends_the_start() -> None:
    dependency = Dependency(available_from=START_TRIES + 1)
    with pytest.raises(TransientError):
        await when_available(dependency.connect)
    assert dependency.calls == START_TRIES
