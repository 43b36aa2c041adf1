"""The settings of the command line. An option given on the command line wins over them."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from rag_common.contracts import TenantId


def _http_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("must begin with http:// or https:// and name a host")
    return url


def _postgresql_url(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(("postgresql://", "postgres://")):
        raise ValueError("must begin with postgresql://")
    return url


def _printable_ascii(key: SecretStr) -> SecretStr:
    if not (key.get_secret_value().isascii() and key.get_secret_value().isprintable()):
        raise ValueError("must consist of printable ASCII characters, as it is sent in an HTTP header")
    return key


class CliSettings(BaseSettings):
    """Read once from the environment (``RAGP_`` + the field's name in capitals), then passed in."""

    model_config = SettingsConfigDict(env_prefix="RAGP_", frozen=True, extra="ignore", env_ignore_empty=True)

    data_dir: Path = Field(
        Path("~/.local/share/ragp"),
        description="Directory that holds all state of the embedded stack.",
    )
    url: Annotated[str, AfterValidator(_http_url)] | None = Field(
        None, description="Gateway to talk to; none: the one of the running embedded stack."
    )
    api_key: Annotated[SecretStr, AfterValidator(_printable_ascii)] | None = Field(
        None, description="API key of that gateway; none: the embedded stack's own key file."
    )
    nats_url: str | None = Field(
        None, description="NATS for `ragp drop` and `ragp provision`; none: the embedded stack's."
    )
    nats_user: str | None = Field(None, description="NATS user that goes with the NATS URL.")
    nats_password: SecretStr | None = Field(None, description="Password of that NATS user.")
    database_url: Annotated[SecretStr, AfterValidator(_postgresql_url)] | None = Field(
        None, description="PostgreSQL for `ragp migrate`; none: the embedded stack's."
    )
    namespace: str = Field("rag", description="Prefix of every subject, stream and bucket.")
    replicas: int = Field(1, ge=1, le=5, description="Copies of each stream; 3 in a NATS cluster.")
    tenant: TenantId = Field("default", description="Tenant that `ragp drop` publishes for.")
