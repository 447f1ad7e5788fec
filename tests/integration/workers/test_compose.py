import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from config.settings import Settings
from tests.support.processes import ROOT
from tests.support.sandbox import PROFILE_ID, SERVER_KEY
from workers.processes import COMMANDS, WORKER_ENVIRONMENT, desk_settings, environment, process_specs
from workers.stack import EmbeddedMongo, EmbeddedValkey

#: Where compose has a variable: with a default or a complaint, which play no part here.
VARIABLE = re.compile(r"\$\{(\w+)[^}]*\}")


#: Where the sandbox listens in its container; the sandbox itself reads no environment.
SANDBOX = {"RECEIVER_HOST": "0.0.0.0", "SANDBOX_PORT": "8400", "LOCAL_DIR": "/var/lib/nestcms"}  # noqa: S104 - inside a container


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services of docker-compose.yml, anchors resolved."""
    found: dict[str, Any] = YAML(typ="safe").load(ROOT / "docker-compose.yml")["services"]
    return found


def expected(name: str, service: dict[str, Any]) -> list[str]:
    """Fill a process's command from a service's environment, and leave to compose what is not in it."""
    words = COMMANDS[name].split()
    told = service["environment"] if name != "sandbox" else SANDBOX
    known = {key.lower(): str(value) for key, value in told.items()}
    named = {field: known.get(field, "${" + field.upper() + "}") for field in Settings.model_fields}
    return [word.format_map(named) for word in words]


class TestComposeFile:
    """The containers run what the desk runs."""

    @pytest.mark.parametrize("name", COMMANDS)
    def test_commands(self, services: dict[str, Any], name: str) -> None:
        """Every process has the very command that runs on a desk."""
        given = VARIABLE.sub(r"${\1}", services[name]["command"])
        assert shlex.split(given) == expected(name, services[name])

    def test_no_other_services(self, services: dict[str, Any]) -> None:
        """Beside the processes there are the two servers and nothing else."""
        assert set(services) == set(COMMANDS) | {"valkey", "mongo"}

    def test_workers_shut_down_softly(self, services: dict[str, Any]) -> None:
        """Workers have the variable that must be there when they start."""
        for name in COMMANDS:
            given = WORKER_ENVIRONMENT.items() <= services[name]["environment"].items()
            assert given == name.startswith("worker-")

    def test_servers(self, services: dict[str, Any], tmp_path: Path) -> None:
        """The two servers have the options that the embedded ones are started with, but for where they listen."""
        valkey = EmbeddedValkey(tmp_path)
        mongo = EmbeddedMongo(tmp_path)
        for name, arguments in (
            ("valkey", valkey._arguments(1)),
            ("mongo", mongo.servers[0]._arguments(1)),
        ):
            words = shlex.split(services[name]["command"])[1:]
            options = {word for word in words if word.startswith("--")} - {"--bind_ip_all"}
            pairs = dict(zip(words, [*words[1:], ""], strict=True))
            ours = dict(zip(arguments, [*arguments[1:], ""], strict=True))
            assert {option: pairs[option] for option in options} == {option: ours.get(option) for option in options}

    def test_only_loopback(self, services: dict[str, Any]) -> None:
        """No port is open to the network."""
        ports = [port for service in services.values() for port in service.get("ports", [])]
        assert ports
        assert all(port.startswith("127.0.0.1:") for port in ports)

    def test_hashed_image(self) -> None:
        """The image takes nothing that the lock file does not hash."""
        text = (ROOT / "deploy" / "Dockerfile").read_text()
        assert "pip install --require-hashes --no-deps -r requirements.lock" in text


class TestProcessSpecs:
    """The processes of a run on one desk."""

    def test_environment_round_trip(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        """A process reads exactly the settings that its starter had."""
        for name, value in environment(settings).items():
            monkeypatch.setenv(name, value)
        assert Settings(_env_file=None) == settings

    def test_sandbox_stands_in(self, settings: Settings) -> None:
        """With the sandbox, every process is told the sandbox's address, and the sandbox its own port."""
        unset = {"paytabs_callback_url": None, "paytabs_return_url": None, "receiver_port": 0, "sandbox_port": 0}
        desk = desk_settings(settings.model_copy(update=unset), sandbox=True)
        specs = {spec.name: spec for spec in process_specs(desk, sandbox=True)}
        assert desk.receiver_port > 0
        assert desk.sandbox_port > 0
        assert specs["worker-money"].env["PAYTABS_BASE_URL"] == f"http://127.0.0.1:{desk.sandbox_port}"
        assert desk.paytabs_callback_url == f"http://127.0.0.1:{desk.receiver_port}/webhooks/paytabs"
        sandbox = " ".join(specs["sandbox"].argv)
        # What it keeps is below the directory that is removed with the embedded servers' data.
        assert f"--ledger {desk.local_dir}/sandbox/ledger.sqlite" in sandbox
        assert f"--port {desk.sandbox_port} --profile-id {PROFILE_ID} --server-key {SERVER_KEY}" in sandbox

    def test_real_gateway(self, settings: Settings) -> None:
        """Without the sandbox nothing is said about where PayTabs is, and no such process is started."""
        desk = desk_settings(settings, sandbox=False)
        specs = {spec.name: spec for spec in process_specs(desk, flower=False)}
        assert set(specs) == set(COMMANDS) - {"sandbox", "flower"}
        assert "PAYTABS_BASE_URL" not in specs["worker-money"].env
        assert all(spec.required for spec in specs.values())
