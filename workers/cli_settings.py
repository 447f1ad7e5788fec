"""What a command runs with: the environment's settings, completed for a desk.

Decided here: without real PayTabs credentials the sandbox stands in, under the public test profile; and a command that
is given no servers uses those of the `up` that runs in the same folder.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_settings import BaseSettings, SettingsConfigDict

from config.settings import Settings, load_settings
from workers.cli_errors import NothingRuns, PayTabsUnset
from workers.cli_run_file import RunFile
from workers.desk_key import with_kept_key

#: The public test profile: the one that the sandbox has by default, and that the examples show.
TEST_PROFILE = {
    "paytabs_profile": 987654,
    "paytabs_serverk": "SSANDBOX01-AAAA2222BB-CCCC3333DD",
    "paytabs_region": "SAU",
}


class _Given(BaseSettings):
    """What is set about PayTabs, in the environment or ``.env``; judged by `Settings`, not here."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", hide_input_in_errors=True)

    paytabs_profile: str | None = None
    paytabs_serverk: str | None = None
    paytabs_region: str | None = None
    paytabs_base_url: str | None = None


@dataclass(frozen=True)
class Desk:
    """How a stack on this machine is to run.

    Attributes:
        settings: Complete but for the servers' addresses.
        sandbox: Whether the sandbox stands in for PayTabs.
    """

    settings: Settings
    sandbox: bool


def stack_settings() -> Desk:
    """Read the settings of a stack that is to be started.

    Raises:
        SettingsError: something is wrong; real credentials that are given in part are reported as such.
    """
    given = _Given()
    sandbox = _means_the_sandbox(given)
    return Desk(load_settings(**_stand_ins(given) if sandbox else {}), sandbox)


def demo_settings() -> Settings:
    """Read the settings of a demo: free ports, the test profile whatever is configured, nothing sent elsewhere."""
    unset = ("base_url", "callback_url", "return_url", "serverk_previous")
    return load_settings(
        **TEST_PROFILE,
        **dict.fromkeys((f"paytabs_{name}" for name in unset), None),
        receiver_host="127.0.0.1",
        return_allowed_urls=(),
        require_tls=False,
        trusted_proxies=(),
        receiver_port=0,
        sandbox_port=0,
        flower_port=0,
        log_format="json",
        log_level="info",
    )


def client_settings(needs: Sequence[str]) -> Settings:
    """Read the settings of a command that talks to a stack that runs already.

    Args:
        needs: The fields of the servers that the command talks to: ``redis_url``, ``mongo_uri``.

    Raises:
        SettingsError: something is wrong.
        StackError: a server is needed that neither the settings nor a running stack name.
    """
    settings = with_kept_key(load_settings(**_stand_ins(_Given())))
    missing = [name for name in needs if getattr(settings, name) is None]
    if not missing:
        return settings
    file = RunFile(settings.local_dir)
    run = file.read()
    if run is None:
        raise NothingRuns([name.upper() for name in missing], file.path)
    return settings.model_copy(update={name: value for one in missing for name, value in run.servers(one).items()})


def gateway_settings(needs: Sequence[str]) -> Settings:
    """Read the settings of a command that also asks PayTabs: the real one, or the sandbox of a running stack.

    Args:
        needs: As in `client_settings`.

    Raises:
        SettingsError: something is wrong.
        StackError: a server that is needed, or PayTabs, is named by neither the settings nor a running stack.
    """
    given = _Given()
    if not _means_the_sandbox(given):
        if given.paytabs_serverk is None:
            return client_settings(needs)  # an address alone names a sandbox of the caller's own
        load_settings()  # real credentials that are given in part are a mistake, not to be completed
        return client_settings(needs)
    settings = client_settings(needs)
    run = RunFile(settings.local_dir).read()
    if run is None or run.sandbox_url is None:
        raise PayTabsUnset
    return settings.model_copy(update={"paytabs_base_url": run.sandbox_url})


def _means_the_sandbox(given: _Given) -> bool:
    """Tell whether nothing names a PayTabs of the caller's own."""
    return given.paytabs_serverk in (None, TEST_PROFILE["paytabs_serverk"]) and given.paytabs_base_url is None


def _stand_ins(given: _Given) -> dict[str, Any]:
    """Give the test profile's value for whatever is not set."""
    return {name: value for name, value in TEST_PROFILE.items() if getattr(given, name) is None}
