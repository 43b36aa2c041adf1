"""The settings that are refused, and how they are named."""

from pathlib import Path

import pytest

from ragp.errors import CommandError
from ragp.options import settings_from


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("url", "localhost:8080"),
        ("url", "http://[::1"),
        ("url", "http://"),
        ("url", "http://host:port"),
        ("api_key", "ключ"),
        ("api_key", "two\nlines"),
        ("database_url", "mysql://x"),
        ("tenant", "Bad_Tenant"),
    ],
)
def test_a_setting_that_does_not_fit_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"RAGP_{name.upper()}", value)
    with pytest.raises(CommandError, match=f"RAGP_{name.upper()} is not valid"):
        settings_from()


@pytest.mark.parametrize("url", ["http://localhost:8080", "https://[::1]/rag", "http://127.0.0.1:1"])
def test_urls_that_fit(url: str) -> None:
    assert settings_from(url=url).url == url


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAGP_DATA_DIR", "RAGP_API_KEY"):
        monkeypatch.setenv(name, "")
    assert settings_from().data_dir == Path("~/.local/share/ragp")
    assert settings_from().api_key is None
