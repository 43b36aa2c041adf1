"""The command line speaks the language of the environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUSSIAN = {"LC_ALL": "", "LANG": "ru_RU.UTF-8", "LANGUAGE": ""}
ENGLISH = {"LC_ALL": "C.UTF-8"}


def ragp(
    environment: dict[str, str], *arguments: str | Path, code: int = 0
) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RAGP_", "LC_"))}
    result = subprocess.run(
        [sys.executable, "-m", "ragp", *arguments],
        env={**inherited, "COLUMNS": "100", "PYTHONIOENCODING": "utf-8", **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == code, result.stderr
    return result


def test_help_is_russian_throughout() -> None:
    told = " ".join(ragp(RUSSIAN, "search", "--help").stdout.split())
    assert "Использование: " in told
    assert "ragp search [ПАРАМЕТРЫ]" in told
    for russian in (
        "Аргументы:",
        "Параметры:",
        "по умолчанию: 5",
        "Вопрос.",
        "Показать эту справку и выйти.",
    ):
        assert russian in told
    for english in ("Usage", "Options", "default:", "Show this"):
        assert english not in told


@pytest.mark.parametrize(
    ("arguments", "russian"),
    [
        (["search"], "Ошибка: Не указан аргумент 'query'."),
        (["nosuch"], "Ошибка: Нет команды 'nosuch'."),
        (["status", "--nosuch"], "Ошибка: Нет параметра: --nosuch"),
        (["search", "-n", "0", "x"], "Значение должно быть не меньше 1"),
    ],
)
def test_a_wrong_call_is_explained_in_russian(arguments: list[str], russian: str) -> None:
    told = ragp(RUSSIAN, *arguments, code=2).stderr
    assert russian in told
    assert "Использование:" in told
    assert "Usage" not in told


def test_an_error_and_its_cure_are_russian(tmp_path: Path) -> None:
    told = ragp(RUSSIAN, "status", "--data-dir", tmp_path, code=1).stderr
    assert f"в {tmp_path} стек не запущен" in told.replace("\n", " ")
    assert "что делать: запустите его: ragp up --detach" in told


def test_english_stays_english(tmp_path: Path) -> None:
    told = ragp(ENGLISH, "status", "--data-dir", tmp_path, code=1).stderr
    assert "error: no stack is running on" in told
    assert "try:   start it: ragp up --detach" in told
    assert "Usage: " in ragp({**ENGLISH, "LANG": "ru_RU.UTF-8"}, "key", "--help").stdout
