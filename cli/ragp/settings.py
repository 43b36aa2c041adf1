"""The settings of the command line. An option given on the command line wins over them."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class CliSettings(BaseSettings):
    """Read once from the environment (``RAGP_`` + the field's name in capitals), then passed in."""

    model_config = SettingsConfigDict(env_prefix="RAGP_", frozen=True, extra="ignore")

    data_dir: Path = Field(
        Path("~/.local/share/ragp"),
        description="Directory that holds all state of the embedded stack.",
    )
    url: str | None = Field(
        None, description="Gateway to talk to; none: the one of the running embedded stack."
    )
    api_key: SecretStr | None = Field(
        None, description="API key of that gateway; none: the embedded stack's own key file."
    )
    nats_url: str | None = Field(
        None, description="NATS for `ragp drop` and `ragp provision`; none: the embedded stack's."
    )
    nats_user: str | None = Field(None, description="NATS user that goes with the NATS URL.")
    nats_password: SecretStr | None = Field(None, description="Password of that NATS user.")
    database_url: SecretStr | None = Field(
        None, description="PostgreSQL for `ragp migrate`; none: the embedded stack's."
    )
    namespace: str = Field("rag", description="Prefix of every subject, stream and bucket.")
    replicas: int = Field(1, ge=1, le=5, description="Copies of each stream; 3 in a NATS cluster.")
    tenant: str = Field("default", description="Tenant that `ragp drop` publishes for.")
