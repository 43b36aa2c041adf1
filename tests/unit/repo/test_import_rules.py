"""Each import that must never exist, written into a small copy of the layout, breaks its contract."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SERVICES = ["rag_gateway", "rag_ingest", "rag_embedder", "rag_retriever", "rag_generator"]
MODULES = ["__init__", "app", "settings", "handlers", "domain", "adapters"]

FORBIDDEN = [
    ("rag_gateway/handlers.py", "import rag_ingest.domain", "No service imports another service"),
    ("rag_common/registry.py", "import rag_gateway.settings", "rag_common imports no service"),
    ("rag_common/registry.py", "import ragp", "rag_common imports no service"),
    ("rag_ingest/domain.py", "import faststream", "The domain imports no framework"),
    ("rag_ingest/domain.py", "import asyncpg", "The domain imports no framework"),
    ("rag_ingest/domain.py", "import rag_ingest.adapters", "The domain imports no framework"),
    ("rag_ingest/domain.py", "import rag_ingest.handlers", "The domain imports no framework"),
    ("rag_ingest/domain.py", "import rag_ingest.settings", "The domain imports no framework"),
    ("rag_ingest/domain.py", "import rag_common.registry", "The domain imports no framework"),
    (
        "rag_gateway/routes/search.py",
        "import rag_gateway.adapters",
        "Handlers and routes do not import adapters",
    ),
    (
        "rag_embedder/handlers.py",
        "import rag_embedder.adapters",
        "Handlers and routes do not import adapters",
    ),
    ("rag_common/contracts/base.py", "import numpy", "Contracts import only the standard library"),
    (
        "rag_common/contracts/base.py",
        "import rag_common.errors",
        "Contracts import only the standard library",
    ),
    ("rag_retriever/handlers.py", "import rag_retriever.app", "Nothing imports an app"),
    ("ragp/__init__.py", "import rag_gateway.app", "Nothing imports an app"),
]


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """An empty copy of our packages, with our import rules."""
    modules = [f"{service}/{module}.py" for service in SERVICES for module in MODULES]
    modules += ["rag_gateway/routes/__init__.py", "rag_gateway/routes/search.py", "ragp/__init__.py"]
    modules += ["rag_common/__init__.py", "rag_common/errors.py", "rag_common/registry.py"]
    modules += ["rag_common/contracts/__init__.py", "rag_common/contracts/base.py"]
    for module in modules:
        path = tmp_path / module
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    return tmp_path


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_rules_allow_what_the_layout_needs(layout: Path) -> None:
    (layout / "rag_ingest/app.py").write_text("import rag_ingest.adapters, rag_ingest.handlers\n")
    (layout / "rag_ingest/handlers.py").write_text("import rag_ingest.domain\n")
    (layout / "rag_ingest/domain.py").write_text("import json, numpy, rag_common.contracts.base\n")
    (layout / "rag_common/contracts/base.py").write_text("import re, pydantic\n")
    result = lint(layout)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(("module", "line", "rule"), FORBIDDEN)
def test_a_forbidden_import_breaks_its_rule(layout: Path, module: str, line: str, rule: str) -> None:
    (layout / module).write_text(line + "\n", encoding="utf-8")
    result = lint(layout)
    assert result.returncode != 0
    broken = [text for text in result.stdout.splitlines() if text.endswith("BROKEN")]
    assert [text.startswith(rule) for text in broken] == [True], result.stdout
