"""Settings that only make sense together."""

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from rag_gateway.settings import GatewaySettings


def settings(**changes: Any) -> GatewaySettings:
    return GatewaySettings(database_url=SecretStr("postgresql://localhost/rag"), **changes)


@pytest.mark.parametrize(("sweep", "upload"), [(59.0, 1.0), (3600.0, 1801.0), (600.0, 1800.0)])
def test_no_upload_may_outlast_the_time_between_two_sweeps(sweep: float, upload: float) -> None:
    with pytest.raises(ValidationError):
        settings(sweep_interval=sweep, upload_timeout=upload)


def test_an_upload_may_take_half_of_it() -> None:
    assert settings(sweep_interval=60.0, upload_timeout=30.0).upload_timeout == 30.0
