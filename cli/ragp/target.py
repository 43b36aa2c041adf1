"""Where a command finds its gateway, NATS and PostgreSQL: as told, else in the embedded stack."""

from dataclasses import dataclass
from typing import Literal

from rag_common.permissions import inbox_prefix
from ragp.errors import CommandError, StackError
from ragp.settings import CliSettings
from ragp.stack.state import LOOPBACK, DataDirectory, RunRecord, StackState


@dataclass(frozen=True)
class Gateway:
    url: str
    api_key: str


@dataclass(frozen=True)
class Nats:
    url: str
    user: str | None = None
    password: str | None = None
    inbox: str = "_INBOX"
    """Prefix of the reply subjects that the user may subscribe to."""


def running_stack(settings: CliSettings) -> RunRecord:
    """:raises StackError: no stack runs on this data directory."""
    directory = DataDirectory(settings.data_dir)
    record = RunRecord.of_running(directory)
    if record is None:
        raise StackError(f"no stack is running on {directory.root}", cure="start it: ragp up --detach")
    return record


def find_gateway(settings: CliSettings) -> Gateway:
    """:raises CommandError: no stack runs and no URL is given, or there is no API key."""
    record = (
        RunRecord.of_running(DataDirectory(settings.data_dir)) if settings.url else running_stack(settings)
    )
    own_url = record.url.rstrip("/") if record is not None else None
    url = (settings.url or own_url or "").rstrip("/")
    if settings.api_key is not None:
        key: str | None = settings.api_key.get_secret_value()
    else:
        # The key of this machine's stack opens that stack: it is told to no other address.
        key = DataDirectory(settings.data_dir).api_key() if url == own_url else None
    if key is None:
        raise CommandError(f"no API key for {url}", cure="set RAGP_API_KEY")
    return Gateway(url, key)


def find_nats(settings: CliSettings, role: Literal["operator", "producer"]) -> Nats:
    """The NATS of the settings, or that of the data directory with the credentials of ``role``.

    :raises StackError: neither is known.
    """
    inbox = inbox_prefix(role, settings.tenant if role == "producer" else None)
    if settings.nats_url is not None:
        password = settings.nats_password.get_secret_value() if settings.nats_password else None
        return Nats(settings.nats_url, settings.nats_user, password, inbox)
    state = _embedded_state(settings, "nats")
    return Nats(f"nats://{LOOPBACK}:{state.ports['nats']}", role, state.secrets[f"nats-{role}"], inbox)


def find_database(settings: CliSettings) -> str:
    """URL of PostgreSQL. :raises StackError: it is not known."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    state = _embedded_state(settings, "postgres")
    return f"postgresql://rag:{state.secrets['postgres']}@{LOOPBACK}:{state.ports['postgres']}/rag"


def _embedded_state(settings: CliSettings, process: str) -> StackState:
    directory = DataDirectory(settings.data_dir)
    state = StackState.load(directory)
    if process not in state.ports:
        raise StackError(f"no stack has ever run on {directory.root}", cure="start one: ragp up --detach")
    return state
