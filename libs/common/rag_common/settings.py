"""The settings that every service has. A service's own class adds its fields to these."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Read once from the environment (``RAG_`` + the field's name in capitals), then passed in."""

    model_config = SettingsConfigDict(env_prefix="RAG_", frozen=True, extra="ignore")

    namespace: str = Field(
        "rag",
        pattern=r"^[a-z][a-z0-9-]{0,31}$",
        description="Prefix of subjects, streams and buckets; several installations can share a NATS.",
    )
    nats_url: str = Field("nats://127.0.0.1:4222", description="NATS server, or several separated by commas.")
    nats_user: str | None = Field(None, description="NATS user of this service.")
    nats_password: SecretStr | None = Field(None, description="Password of the NATS user.")
    host: str = Field(
        "127.0.0.1", description="Address that the HTTP port (API, probes, metrics) listens on."
    )
    port: int = Field(0, ge=0, le=65535, description="HTTP port; 0 takes a free one.")
    log_level: str = Field(
        "INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Least severe level that is logged."
    )
    graceful_timeout: float = Field(
        60.0,
        gt=0,
        description="Seconds for running jobs after SIGTERM; the orchestrator's grace period must be longer.",
    )
    otlp_endpoint: str | None = Field(
        None, description="OTLP/HTTP traces endpoint (http://host:4318/v1/traces); none: nothing is exported."
    )


class DatabaseSettings(ServiceSettings):
    """Of the services that read the registry."""

    database_url: SecretStr = Field(
        SecretStr("postgresql://rag@127.0.0.1:5432/rag"), description="PostgreSQL of the document registry."
    )
    database_pool_size: int = Field(
        8, ge=2, le=100, description="Largest number of PostgreSQL connections of one process."
    )
