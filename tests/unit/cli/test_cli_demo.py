"""The demo keeps to this machine's stack."""

import pytest

from scripts.demo import own_environment


def test_the_demo_does_not_follow_settings_to_another_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAGP_URL", "RAGP_API_KEY", "RAGP_NATS_URL", "RAGP_DATA_DIR", "OTHER"):
        monkeypatch.setenv(name, "x")
    kept = own_environment()
    assert [name for name in kept if name.startswith("RAGP_")] == ["RAGP_DATA_DIR"]
    assert kept["OTHER"] == "x"
