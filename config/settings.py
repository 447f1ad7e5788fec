"""Every setting of the system, one field per environment variable (the field's name in upper case).

Decided here: an empty variable is an unset one; all mistakes are reported at once; no message repeats a value.
"""

import base64
import binascii
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from config.addresses import database_name, hosts, is_web_address, other_database, scheme
from config.errors import SettingsError
from config.networks import is_loopback, is_proxy_network
from config.timechain import LINKS

__all__ = ["REGIONS", "Settings", "SettingsError", "load_settings", "require"]

#: PayTabs' region codes; a profile lives in exactly one, and its key is refused by the others' hosts.
REGIONS: tuple[str, ...] = (
    "ARE",
    "SAU",
    "OMN",
    "JOR",
    "EGY",
    "GLOBAL",
    "IRQ",
    "KWT",
    "QAT",
    "MAR",
    "MADFOAT",
    "CUZDAN",
)

#: How many milliseconds a new primary needs after its election before it takes writes.
ELECTION_MARGIN_MS = 2_000

#: What a task needs after an operation has timed out, in milliseconds: to put itself back before it is asked to stop.
MONGO_MARGIN_MS = 2_000

#: The shortest secret that the Standard Webhooks scheme signs with, in bytes.
SECRET_BYTES = 24

#: How long a key for stored cards is, in bytes.
CARD_KEY_BYTES = 32

#: The longest URL that PayTabs takes for callback and return.
MAX_GATEWAY_URL_LENGTH = 255

_SERVER_KEY = re.compile(r"S[A-Za-z0-9]{9}(-[A-Za-z0-9]{10}){2}")
_MAIL_ADDRESS = re.compile(r"[^@\s<>]+@[^@\s<>]+")
_DATABASE_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}")

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
WholeSeconds = Annotated[int, Field(ge=1, le=86_400)]
Milliseconds = Annotated[int, Field(gt=0, le=86_400_000)]
Port = Annotated[int, Field(ge=0, le=65_535)]
Count = Annotated[int, Field(ge=1, le=1_000)]
Days = Annotated[int, Field(ge=7, le=3_650)]
CallRate = Annotated[float, Field(gt=0, le=1_000, allow_inf_nan=False)]


class Settings(BaseSettings):
    """What one process is set to. Descriptions are what an operator reads after a mistake."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    # The database and the brokers; unset ones are started from the embedded servers by `nestcms-workers`.
    mongo_uri: str | None = Field(
        None, repr=False, description="a MongoDB address, mongodb://host[:port][,host...]/database"
    )
    mongo_database: str = Field("", description="a database name: letters, digits, _ and -")
    redis_url: str | None = Field(None, repr=False, description="a Redis or Valkey address, redis://host:port/0")
    result_url: str | None = Field(None, repr=False, description="a Redis or Valkey address, redis://host:port/1")
    cache_url: str | None = Field(None, repr=False, description="a Redis or Valkey address, redis://host:port/2")

    # PayTabs.
    paytabs_profile: int = Field(description="the profile's number, a positive integer", gt=0)
    paytabs_serverk: SecretStr = Field(
        description="a server key: three groups of ten joined by dashes, the first starting with S"
    )
    paytabs_serverk_previous: SecretStr | None = Field(
        None, description="the server key before the last rotation, of the same form, or nothing"
    )
    paytabs_region: str = Field(description="one of " + ", ".join(REGIONS))
    paytabs_base_url: str | None = Field(None, description="an http(s) address that replaces the region's host")
    paytabs_callback_url: str | None = Field(None, description="the public http(s) address of /webhooks/paytabs")
    paytabs_return_url: str | None = Field(None, description="the public http(s) address of /payments/return")
    return_allowed_urls: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="comma-separated http(s) addresses where a payer may be sent; the first is the default",
    )

    # Stored cards: tokens are encrypted under the first key and read under any.
    card_keys: SecretStr | None = Field(
        None, description="comma-separated keys for stored cards, each 32 bytes in URL-safe base64, newest first"
    )

    # How hard PayTabs is pressed, over all processes.
    paytabs_calls_per_second: CallRate = Field(20, description="calls to PayTabs in a second, over all processes")
    paytabs_calls_at_once: Count = Field(5, description="how many calls may be under way, over all processes")
    breaker_open_seconds: Seconds = Field(30, description="seconds without a call after PayTabs failed too often")

    # Hosted pages: how long they live, and how long a payer in the middle of one may still finish.
    paypage_ttl_minutes: Annotated[int, Field(ge=1, le=10_080)] = Field(
        20, description="whole minutes for which a hosted page lives, as PayTabs is told"
    )
    page_margin_seconds: Seconds = Field(
        600, description="seconds after a page's end in which a payer in the middle of it may still pay"
    )
    page_margin_other_seconds: Seconds = Field(
        10_800, description="the same seconds for a payer who has chosen another method than a card"
    )

    # The time chain, shortest first: see config/timechain.py.
    connect_timeout_seconds: Seconds = Field(3, description="seconds to connect to PayTabs")
    send_fence_seconds: Seconds = Field(5, description="seconds after `sending` in which a call may start")
    call_timeout_seconds: Seconds = Field(10, description="seconds for one whole call to PayTabs")
    soft_time_limit_seconds: Seconds = Field(20, description="seconds until a task that calls PayTabs is asked to stop")
    hard_time_limit_seconds: Seconds = Field(25, description="seconds until a task that calls PayTabs is killed")
    sweep_seconds: Seconds = Field(10, description="seconds between two runs of a sweep")
    lease_seconds: Seconds = Field(30, description="seconds for which a worker owns an operation or a delivery")
    other_soft_time_limit_seconds: Seconds = Field(45, description="seconds until any other task is asked to stop")
    other_hard_time_limit_seconds: Seconds = Field(50, description="seconds until any other task is killed")
    visibility_timeout_seconds: Seconds = Field(60, description="seconds until a lost worker's tasks are handed out")
    inbox_timeout_seconds: Seconds = Field(5, description="seconds for the receiver's whole write to the inbox")
    notice_patience_seconds: Seconds = Field(10, description="seconds that PayTabs waits for the receiver's answer")

    # MongoDB's clocks.
    mongo_election_timeout_ms: Milliseconds = Field(
        10_000, description="milliseconds of the replica set's electionTimeoutMillis"
    )
    server_selection_timeout_ms: Milliseconds = Field(
        12_000, description="milliseconds to find a primary: the election timeout and 2000 more"
    )
    mongo_timeout_ms: Milliseconds = Field(15_000, description="milliseconds for one database operation in a task")

    # How heavy reads are remembered.
    cache_timeout_ms: Annotated[int, Field(ge=10, le=2_000)] = Field(
        200, description="milliseconds after which a read goes on without the cache"
    )
    cache_largest_kib: Annotated[int, Field(ge=1, le=65_536)] = Field(
        1_024, description="KiB that an answer may have in the cache, compressed; a larger one is not kept"
    )
    cache_compress_kib: Annotated[int, Field(ge=1, le=65_536)] = Field(
        16, description="KiB above which an answer is compressed in the cache"
    )
    reads_at_once: Count = Field(4, description="how many heavy reads one process has under way in MongoDB")
    slow_read_ms: Milliseconds = Field(500, description="milliseconds from which a heavy read is logged as slow")

    # Reads from secondaries: only where the set has any.
    replica_lag_seconds: Annotated[float, Field(ge=3, le=3_600, allow_inf_nan=False)] = Field(
        5, description="seconds that a secondary may lag and still be read"
    )
    replica_fallback_at_once: Count = Field(
        2, description="how many heavy reads one process does at the primary for want of a secondary"
    )

    # Materialised views: see docs/views.md.
    watcher_lease_seconds: Annotated[float, Field(ge=2, le=60, allow_inf_nan=False)] = Field(
        5, description="seconds until another watcher takes over from one that is silent"
    )
    views_sweep_seconds: Annotated[float, Field(ge=0.5, le=60, allow_inf_nan=False)] = Field(
        2, description="seconds between two looks for views that have something to do"
    )
    views_bound_seconds: Annotated[float, Field(ge=2, le=600, allow_inf_nan=False)] = Field(
        10, description="seconds that a view may be behind before reads go past it"
    )
    views_rebuild_hour: Annotated[int, Field(ge=0, le=23)] = Field(
        1, description="the hour of the day, UTC, at which views are checked and built anew"
    )

    # Who is told what has happened. Unset, nobody is.
    smtp_host: str | None = Field(None, description="the host of the mail server that confirmations are handed in to")
    smtp_port: Port = Field(587, description="the mail server's port")
    smtp_security: Literal["starttls", "tls", "none"] = Field("starttls", description="starttls, tls or none")
    smtp_username: str | None = Field(None, description="the mail server's user, or nothing")
    smtp_password: SecretStr | None = Field(None, description="the mail server's password, or nothing")
    mail_from: str | None = Field(None, description="the address that confirmations are from")
    cms_webhook_url: str | None = Field(None, description="the http(s) address where the CMS takes webhooks")
    cms_webhook_secret: SecretStr | None = Field(
        None,
        description="the secret shared with the CMS, at least 24 bytes in base64, with or without whsec_ before it",
    )

    # Where the seals of the audit trail are kept outside the database.
    audit_seal_file: Path | None = Field(
        None, description="the file that seals are appended to; unset, audit/seals.jsonl in LOCAL_DIR, unless posted"
    )
    audit_seal_url: str | None = Field(
        None, repr=False, description="an http(s) address that every seal is posted to, or nothing"
    )

    # How long what may be about people is kept as it came; see docs/operations.md.
    inbox_retention_days: Days = Field(
        90, description="whole days for which deliveries, and operations in their callers' words, are kept as they came"
    )
    dead_letter_retention_days: Days = Field(90, description="whole days for which dead letters are kept as they came")

    # Processes on this machine.
    worker_concurrency: Count = Field(2, description="how many child processes a worker forks")
    soft_shutdown_seconds: Seconds = Field(10, description="seconds that a stopping worker gives its running tasks")
    result_expires_seconds: Seconds = Field(86_400, description="seconds for which a task's result can be fetched")
    receiver_host: str = Field("127.0.0.1", description="the address that the receiver listens on")
    receiver_port: Port = Field(8300, description="the receiver's port; 0 takes a free one")
    receiver_workers: Count = Field(2, description="how many processes the receiver runs")
    receiver_threads: Count = Field(16, description="how many requests one receiver process handles at once")

    # Who gets in at the receiver. It speaks plain HTTP: TLS is ended by a proxy, and believed from known ones only.
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="comma-separated addresses or networks (10.0.0.0/8) of the proxies in front, never everybody",
    )
    require_tls: bool = Field(
        default_factory=lambda known: not is_loopback(known.get("receiver_host", "")),
        description="true or false; unset, true unless RECEIVER_HOST is a loopback address",
    )
    receiver_failure_budget: Count = Field(
        20, description="how many failed signatures one sender may have within a window"
    )
    receiver_failure_window_seconds: WholeSeconds = Field(
        60, description="whole seconds until a sender's failure budget is restored"
    )

    # The desk, and how processes report.
    sandbox_port: Port = Field(8400, description="the sandbox's port; 0 takes a free one")
    flower_port: Port = Field(5555, description="Flower's port; 0 takes a free one")
    flower_address: str = Field("127.0.0.1", description="the address that Flower listens on")
    flower_basic_auth: SecretStr | None = Field(
        None, description="name:password pairs, comma-separated, of the people who may open Flower"
    )
    log_format: Literal["auto", "json", "console"] = Field("auto", description="auto, json or console")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="debug, info, warning or error")
    local_dir: Path = Field(Path(".local"), description="the folder of the embedded servers' data and logs")

    @field_validator("mongo_uri")
    @classmethod
    def _check_mongo_uri(cls, value: str | None) -> str | None:
        if value is not None and not (scheme(value) in {"mongodb", "mongodb+srv"} and hosts(value)):
            raise _expected("mongo_uri")
        return value

    @field_validator("mongo_database")
    @classmethod
    def _default_database(cls, value: str, info: ValidationInfo) -> str:
        name = value or database_name(info.data.get("mongo_uri") or "") or "nestcms"
        if not _DATABASE_NAME.fullmatch(name):
            raise _expected("mongo_database")
        return name

    @field_validator("redis_url", "result_url", "cache_url")
    @classmethod
    def _check_redis_url(cls, value: str | None, info: ValidationInfo) -> str | None:
        name = str(info.field_name)
        if value is None:
            return other_database(info.data.get("redis_url"), {"result_url": 1, "cache_url": 2}.get(name))
        database = database_name(value)
        if not (scheme(value) in {"redis", "rediss"} and hosts(value) and (not database or database.isdecimal())):
            raise _expected(name)
        return value

    @field_validator("paytabs_serverk", "paytabs_serverk_previous")
    @classmethod
    def _check_server_key(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None and not _SERVER_KEY.fullmatch(value.get_secret_value()):
            raise _expected(str(info.field_name))
        return value

    @field_validator("paytabs_region")
    @classmethod
    def _check_region(cls, value: str) -> str:
        if value.upper() not in REGIONS:
            raise _expected("paytabs_region")
        return value.upper()

    @field_validator(
        "paytabs_base_url", "paytabs_callback_url", "paytabs_return_url", "cms_webhook_url", "audit_seal_url"
    )
    @classmethod
    def _check_url(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and (not is_web_address(value) or len(value) > MAX_GATEWAY_URL_LENGTH):
            raise _expected(str(info.field_name))
        return value.rstrip("/") if value and info.field_name == "paytabs_base_url" else value

    @field_validator("mail_from")
    @classmethod
    def _check_mail_from(cls, value: str | None, info: ValidationInfo) -> str | None:
        if (value is not None and not _MAIL_ADDRESS.fullmatch(value)) or (value is None and info.data.get("smtp_host")):
            raise _expected("mail_from")
        return value

    @field_validator("cms_webhook_secret")
    @classmethod
    def _check_webhook_secret(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        needed = info.data.get("cms_webhook_url") is not None
        if (value is not None and not _is_shared_secret(value)) or (value is None and needed):
            raise _expected("cms_webhook_secret")
        return value

    @field_validator("card_keys")
    @classmethod
    def _check_card_keys(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not all(map(_is_card_key, split_keys(value))):
            raise _expected("card_keys")
        return value

    @field_validator("return_allowed_urls", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:  # noqa: ANN401 - text from the environment, or a tuple from a caller
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("return_allowed_urls")
    @classmethod
    def _check_allowed(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(is_web_address(url) for url in value):
            raise _expected("return_allowed_urls")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(is_proxy_network(network) for network in value):
            raise _expected("trusted_proxies")
        return value

    @field_validator("require_tls")
    @classmethod
    def _check_tls(cls, value: bool, info: ValidationInfo) -> bool:
        text = None
        if value and info.data.get("trusted_proxies") == ():
            text = "expected false, or in TRUSTED_PROXIES the proxies that end TLS: all else would be refused"
        for name in ("paytabs_callback_url", "paytabs_return_url") if value else ():
            if scheme(info.data.get(name) or "") == "http":
                text = f"expected false, or an https address in {name.upper()}: what comes there would be refused"
        if text:
            raise PydanticCustomError("setting", "{text}", {"text": text})
        return value

    @field_validator(*{link.longer for link in LINKS})
    @classmethod
    def _check_time_chain(cls, value: float, info: ValidationInfo) -> float:
        known = {**info.data, str(info.field_name): value}
        broken = [link.mistake(known) for link in LINKS if link.longer == info.field_name]
        if mistakes := [mistake for mistake in broken if mistake]:
            raise PydanticCustomError("setting", "{text}", {"text": "; ".join(mistakes)})
        return value

    @field_validator("server_selection_timeout_ms")
    @classmethod
    def _check_selection(cls, value: int, info: ValidationInfo) -> int:
        least = info.data.get("mongo_election_timeout_ms", 0) + ELECTION_MARGIN_MS
        if value < least:
            text = f"expected at least {least}: MONGO_ELECTION_TIMEOUT_MS and {ELECTION_MARGIN_MS} more, got {value}"
            raise PydanticCustomError("setting", "{text}", {"text": text})
        return value

    @field_validator("mongo_timeout_ms")
    @classmethod
    def _check_mongo_timeout(cls, value: int, info: ValidationInfo) -> int:
        selection, limit = info.data.get("server_selection_timeout_ms"), info.data.get("soft_time_limit_seconds")
        if selection is not None and value < selection:
            text = f"expected at least SERVER_SELECTION_TIMEOUT_MS ({selection}), got {value}"
            raise PydanticCustomError("setting", "{text}", {"text": text})
        if limit is not None and value > limit * 1000 - MONGO_MARGIN_MS:
            most = f"SOFT_TIME_LIMIT_SECONDS ({limit:g} s) less {MONGO_MARGIN_MS} ms"
            text = f"expected at most {most}, got {value} ms"
            raise PydanticCustomError("setting", "{text}", {"text": text})
        return value

    @property
    def card_key_list(self) -> tuple[str, ...]:
        """Return the keys for stored cards, newest first."""
        return split_keys(self.card_keys) if self.card_keys else ()

    @property
    def seal_file(self) -> Path | None:
        """Return the file that seals are appended to; None when they are only posted."""
        if self.audit_seal_file is None and self.audit_seal_url is not None:
            return None
        return self.audit_seal_file or self.local_dir / "audit" / "seals.jsonl"

    def with_servers(self, *, mongo_uri: str, redis_url: str) -> Self:
        """Return the same settings pointed at other servers: the embedded ones, once they run."""
        urls = {name: other_database(redis_url, number) for name, number in (("result_url", 1), ("cache_url", 2))}
        return self.model_copy(update={"mongo_uri": mongo_uri, "redis_url": redis_url, **urls})


def load_settings(**overrides: Any) -> Settings:  # noqa: ANN401 - each override has its field's own type
    """Read the environment and ``.env``.

    Args:
        **overrides: Fields by name; they win over the environment.

    Raises:
        SettingsError: Something is missing or wrong; all mistakes are in it.
    """
    if unknown := overrides.keys() - Settings.model_fields.keys():
        raise SettingsError([f"{name.upper()}: no such setting" for name in sorted(unknown)])
    try:
        return Settings(**overrides)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        # REQUIRE_TLS, which depends on another setting, is not worked out after a mistake elsewhere: no mistake itself.
        mistakes = [_mistake(detail) for detail in found if detail["type"] != "default_factory_not_called"]
    raise SettingsError(mistakes)


def require(value: str | None, variable: str) -> str:
    """Return ``value``, or raise SettingsError naming the ``variable`` that this process cannot do without."""
    if value is None:
        raise SettingsError([f"{variable}: missing; expected {Settings.model_fields[variable.lower()].description}"])
    return value


def split_keys(keys: SecretStr) -> tuple[str, ...]:
    """Return comma-separated keys one by one."""
    return tuple(key.strip() for key in keys.get_secret_value().split(","))


def _is_card_key(key: str) -> bool:
    """Tell whether a text is a key that Fernet takes."""
    try:
        return len(base64.b64decode(key, altchars=b"-_", validate=True)) == CARD_KEY_BYTES
    except (binascii.Error, ValueError):
        return False


def _is_shared_secret(value: SecretStr) -> bool:
    """Tell whether a text is base64 of enough bytes to sign with."""
    try:
        return len(base64.b64decode(value.get_secret_value().removeprefix("whsec_"), validate=True)) >= SECRET_BYTES
    except binascii.Error:
        return False


def _mistake(detail: ErrorDetails) -> str:
    name = str(detail["loc"][0])
    if detail["type"] == "setting":
        return f"{name.upper()}: {detail['msg']}"
    missing = "missing; " if detail["type"] == "missing" else ""
    return f"{name.upper()}: {missing}expected {Settings.model_fields[name].description}{_bounds(detail)}"


def _bounds(detail: ErrorDetails) -> str:
    words = {"gt": "more than", "ge": "at least", "le": "at most"}
    found = [f"{words[key]} {limit:g}" for key, limit in detail.get("ctx", {}).items() if key in words]
    return f" ({', '.join(found)})" if found else ""


def _expected(field: str) -> PydanticCustomError:
    return PydanticCustomError("setting", "expected {text}", {"text": Settings.model_fields[field].description})
