"""The desk's settings, and the sandbox as a process."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import requests

from sandbox import switches
from sandbox.switches import Switches


class TestSwitches:
    """Settings of the desk."""

    def test_unknown_and_unsuitable(self, desk: Any) -> None:
        """Every mistake is named, and nothing is set."""
        answer = desk.switch(query_lag_seconds=-1, colour="red", strict_ipn=True)
        assert answer.status_code == 400
        assert "colour: no such switch" in answer.json()["error"]
        assert "query_lag_seconds" in answer.json()["error"]
        assert desk.get("/sandbox/switches") == Switches().model_dump()

    def test_merged(self, desk: Any) -> None:
        """Only what is named changes."""
        desk.switch(query_lag_seconds=2)
        assert desk.switch(retry_count=1).json()["query_lag_seconds"] == 2

    def test_described(self, desk: Any) -> None:
        """Each switch tells its meaning, and the module's table names it."""
        described = desk.get("/sandbox/switches", describe=1)
        assert set(described) == set(Switches.model_fields)
        assert all(one["description"] for one in described.values())
        assert [name for name in described if f"`{name}`" not in (switches.__doc__ or "")] == []


class TestReset:
    """Beginning anew."""

    def test_forgets(self, desk: Any) -> None:
        """Everything is as at the start."""
        desk.switch(retry_count=1)
        desk.post("faults", path="/payment/query", kind="http_500")
        desk.pay(desk.opened()["tran_ref"])
        assert desk.post("reset").status_code == 200
        assert desk.ledger() == {"transactions": [], "movements": [], "balances": {}}
        assert desk.get("/sandbox/requests")["requests"] == []
        assert desk.get("/sandbox/faults")["faults"] == []
        assert desk.get("/sandbox/switches") == Switches().model_dump()
        assert desk.create().status_code == 200


class TestRecord:
    """What was received."""

    def test_requests(self, desk: Any) -> None:
        """Headers, raw body and answer of each call are kept; the desk's own calls are not."""
        body = '{"profile_id":987654,"cart_id":"INV-7","cart_amount":1.10}'
        headers = {"Authorization": desk.key, "X-Correlation-Id": "abc"}
        requests.post(f"{desk.url}/payment/query", data=body, headers=headers, timeout=5)
        desk.query(cart_id="INV-8")
        (record,) = desk.get("/sandbox/requests", cart_id="INV-7")["requests"]
        assert (record["raw_body"], record["headers"]["X-Correlation-Id"]) == (body, "abc")
        assert (record["method"], record["path"], record["status"]) == ("POST", "/payment/query", 200)
        assert record["at"].endswith("Z")


class TestPayByDesk:
    """Paying without a browser."""

    def test_refusals(self, desk: Any) -> None:
        """An unknown card or page is refused, and a second payment too."""
        ref = desk.opened()["tran_ref"]
        assert desk.post("pay", tran_ref=ref, card="4242").status_code == 400
        assert desk.post("pay", tran_ref="TST1").status_code == 404
        assert desk.pay(ref)["status"] == "A"
        assert desk.post("pay", tran_ref=ref).status_code == 409
        assert desk.post("pay", tran_ref=ref, cancel=True).status_code == 409

    def test_three_ds(self, desk: Any) -> None:
        """The 3-D Secure step is approved, failed or left open as asked."""
        ref = desk.opened()["tran_ref"]
        assert desk.pay(ref, "three_ds", three_ds="leave")["status"] is None
        assert desk.pay(ref, "three_ds", three_ds="fail")["code"] == "310"


class TestProcess:
    """`python -m sandbox`."""

    def test_start_and_stop(self, tmp_path: Path) -> None:
        """It says where it listens, writes the port, logs without the key, and ends at once on SIGTERM."""
        port_file = tmp_path / "port"
        command = [sys.executable, "-m", "sandbox", "--port-file", str(port_file), "--server-key", "SKEY"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            assert process.stdout
            line = process.stdout.readline()
            deadline = time.monotonic() + 60
            while not port_file.exists():
                assert time.monotonic() < deadline
                time.sleep(0.01)
            url = f"http://127.0.0.1:{int(port_file.read_text())}"
            assert line == f"PayTabs sandbox on {url}\n"
            body = '{"profile_id":987654,"cart_id":"x"}'
            headers = {"Authorization": "SKEY"}
            assert requests.post(f"{url}/payment/query", data=body, headers=headers, timeout=5).json() == []
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=5)
        finally:
            process.kill()
        assert process.returncode == 0
        assert "POST /payment/query 200" in log
        assert "SKEY" not in log

    def test_busy_port(self) -> None:
        """A busy port gives one clear sentence."""
        with subprocess.Popen([sys.executable, "-m", "sandbox"], stdout=subprocess.PIPE, text=True) as first:
            try:
                assert first.stdout
                port = first.stdout.readline().strip().rsplit(":", 1)[1]
                command = [sys.executable, "-m", "sandbox", "--port", port]
                second = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
            finally:
                first.terminate()
        assert second.returncode == 1
        assert f"cannot listen on 127.0.0.1:{port}" in second.stderr
