"""The PayTabs sandbox as tests see it: a process of its own, and the desk from which it is watched and disturbed."""

import signal
import sys
import time
from pathlib import Path
from typing import Any, Self

import requests

from workers.stack_process import GuardedProcess

Json = dict[str, Any]

#: The profile and key that the sandbox and the tests share; public test values.
PROFILE_ID = 987654
SERVER_KEY = "SSANDBOX01-AAAA2222BB-CCCC3333DD"

#: How long the sandbox may take to start, in seconds.
START_SECONDS = 30.0

#: How long the desk may take to answer, in seconds.
DESK_SECONDS = 15.0


class SandboxError(AssertionError):
    """Raised when the sandbox's desk refuses what a test asks of it."""


class Sandbox:
    """One running `python -m sandbox` and its desk.

    Args:
        directory: Where its log and the file with its port go.
        arguments: Further command-line arguments, for example `"--ipn-url", url`.
    """

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.log = directory / "sandbox.log"
        self._port_file = directory / "sandbox.port"
        self._arguments = arguments
        self._session = requests.Session()
        self._process: GuardedProcess | None = None
        self.url = ""

    def start(self) -> Self:
        """Start the process and return when its desk answers."""
        self._port_file.unlink(missing_ok=True)
        options = {"host": "127.0.0.1", "port": 0, "profile-id": PROFILE_ID, "server-key": SERVER_KEY}
        options["port-file"] = str(self._port_file)
        argv = [sys.executable, "-m", "sandbox"]
        argv += [part for name, value in options.items() for part in (f"--{name}", str(value))]
        with self.log.open("ab") as output:
            self._process = GuardedProcess([*argv, *self._arguments], output=output)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.returncode is not None or time.monotonic() > deadline:
                self.stop()
                raise SandboxError(f"the sandbox did not start: {self.log.read_text()[-2000:]}")
            time.sleep(0.02)
        return self

    def stop(self) -> None:
        """End the process; its ledger is gone with it, unless it was told where to keep it."""
        if self._process is not None:
            self._process.stop()
            self._process = None
        self._session.close()

    def kill(self) -> None:
        """End the process without a chance to put anything away."""
        if self._process is not None:
            self._process.signal(signal.SIGKILL)
            self._process.wait(START_SECONDS)
            self._process = None

    def reset(self) -> None:
        """Empty the ledger and all records, and take back every switch and fault."""
        self._desk("POST", "reset")

    def ledger(self, **only: str) -> list[Json]:
        """List every transaction, all of them or those of one `tran_ref` or `cart_id`."""
        return list(self._desk("GET", "ledger", only)["transactions"])

    def movements(self, **only: str) -> list[Json]:
        """List every movement of money, filtered as in `ledger`."""
        return list(self._desk("GET", "ledger", only)["movements"])

    def requests(self, path: str | None = None, **only: str) -> list[Json]:
        """List the gateway's HTTP requests, all of them or those for one path or one `cart_id`."""
        return list(self._desk("GET", "requests", only | ({"path": path} if path else {}))["requests"])

    def notifications(self, **only: str) -> list[Json]:
        """List every attempt to deliver a notification, all of them or those of one `tran_ref`."""
        return list(self._desk("GET", "notifications", only)["notifications"])

    def waiting(self) -> Any:
        """Show the notifications that are still to be delivered."""
        return self._desk("GET", "notifications")["waiting"]

    def fates(self) -> dict[str, int]:
        """Count the notifications by what befell them: `sent`, or the kind of a fault."""
        return dict(self._desk("GET", "notifications")["fates"])

    def balances(self) -> dict[str, dict[str, str]]:
        """Give the sums of every family of transactions, by the reference with which it began."""
        return dict(self._desk("GET", "ledger")["balances"])

    def keep_card(self, card: str = "authorised", **terms: Any) -> tuple[str, str]:
        """Keep a card under a token, with `expiry` and `token_info` as wished; gives token and reference."""
        kept = self._desk("POST", "token", {"card": card, **terms})
        return str(kept["token"]), str(kept["tran_ref"])

    def payment_token(self, card: str) -> str:
        """Do what the browser's card form does: a token for one payment."""
        return str(self._desk("POST", "payment_token", {"card": card})["payment_token"])

    def switches(self) -> Json:
        """Show how the switches stand."""
        return dict(self._desk("GET", "switches"))

    def switch(self, **switches: Any) -> None:
        """Set some switches and leave the others."""
        self._desk("PUT", "switches", switches)

    def fault(self, path: str, kind: str, *, times: int = 1, **options: Any) -> None:
        """Queue a fault for the next requests of a path, for example `"/payment/request", "cut_after_accept"`."""
        self._desk("POST", "faults", {"path": path, "kind": kind, "times": times, **options})

    def clear_faults(self) -> None:
        """Drop the faults still queued."""
        self._desk("DELETE", "faults")

    def pay(self, tran_ref: str, card: str) -> Any:
        """Do what the hosted page's Pay button does."""
        return self._desk("POST", "pay", {"tran_ref": tran_ref, "card": card})

    def choose(self, tran_ref: str, method: str, *, then: str = "approve") -> Any:
        """Pay by another method than a card: a voucher, or a stay elsewhere that ends with approve, fail or leave."""
        return self._desk("POST", "pay", {"tran_ref": tran_ref, "method": method, "three_ds": then})

    def visit(self, tran_ref: str) -> Json:
        """Load the hosted page and do nothing yet; whoever did so before the page's end may finish after it."""
        return dict(self._desk("POST", "visit", {"tran_ref": tran_ref}))

    def pages(self, **only: str) -> list[Json]:
        """List every hosted page with its end and its state, all of them or that of one `tran_ref`."""
        return list(self._desk("GET", "pages", only)["pages"])

    def pass_time(self, *, minutes: float = 0, seconds: float = 0, **only: Any) -> Json:
        """Let time pass for all that has an end, or for one `tran_ref`'s page or one `invoice_id` alone."""
        return dict(self._desk("POST", "time", {"minutes": minutes, "seconds": seconds, **only}))

    def cancel(self, tran_ref: str) -> Any:
        """Do what the hosted page's Cancel button does."""
        return self._desk("POST", "pay", {"tran_ref": tran_ref, "cancel": True})

    def notify(self, tran_ref: str, **overrides: Any) -> Any:
        """Send the notification of a transaction again, altered and signed as asked."""
        return self._desk("POST", "notify", {"tran_ref": tran_ref, **overrides})

    def dashboard(self, tran_ref: str, action: str, **options: Any) -> Any:
        """Do what a merchant can do in PayTabs' dashboard: capture, release, void, expire, settle."""
        return self._desk("POST", "dashboard", {"tran_ref": tran_ref, "action": action, **options})

    def _answers(self) -> bool:
        try:
            self.url = f"http://127.0.0.1:{int(self._port_file.read_text())}"
            return self._session.get(f"{self.url}/healthz", timeout=DESK_SECONDS).ok
        except (OSError, ValueError):
            return False

    def _desk(self, method: str, path: str, members: Json | None = None) -> Any:
        """Call the desk, the members in the query of a GET and in the body of everything else."""
        query, body = (members, None) if method == "GET" else (None, members)
        url = f"{self.url}/sandbox/{path}"
        answer = self._session.request(method, url, timeout=DESK_SECONDS, params=query, json=body)
        if not answer.ok:
            raise SandboxError(f"{method} /sandbox/{path} gave {answer.status_code}: {answer.text[:500]}")
        return answer.json() if answer.content else None
