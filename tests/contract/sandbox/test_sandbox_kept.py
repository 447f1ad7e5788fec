"""What a sandbox with a file for its ledger still knows after it was killed, and what one without forgets."""

import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.identifiers import Mint
from sandbox.shelf import Shelf
from tests.contract.sandbox.conftest import SandboxDesk
from tests.support.sandbox import Sandbox

INVOICE = {"tran_type": "sale", "tran_class": "ecom", "cart_description": "Bill 1", "cart_currency": "SAR"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the ledger is, in a folder that is not there yet."""
    return tmp_path / "kept" / "ledger.sqlite"


@pytest.fixture
def sandbox(tmp_path: Path, file: Path) -> Iterator[Sandbox]:
    """A sandbox that keeps its ledger."""
    process = Sandbox(tmp_path, "--ledger", str(file)).start()
    yield process
    process.stop()


@pytest.fixture
def again(sandbox: Sandbox) -> Callable[[], SandboxDesk]:
    """Kill it and start it again."""

    def restart() -> SandboxDesk:
        sandbox.kill()
        return SandboxDesk(sandbox.start().url)

    return restart


class TestKilled:
    """After `kill -9`."""

    def test_everything(self, sandbox: Sandbox, again: Callable[[], SandboxDesk]) -> None:
        """Pages, payments, movements, tokens and invoices are as they were, to the last member."""
        desk = SandboxDesk(sandbox.url)
        paid = desk.paid(tokenise=2, customer_details={"name": "أمل", "email": "a@example.test", "country": "SA"})
        desk.followed(paid, "refund", "15.25")
        held = desk.paid("held", tran_type="auth")
        auth = desk.paid(tran_type="auth", cart_amount=50)
        desk.followed(auth, "capture", 20)
        voucher = desk.opened(cart_id="voucher")["tran_ref"]
        desk.pay(voucher, None, method="sadad")
        unpaid = desk.opened(cart_id="unpaid")
        made = desk.call("/payment/invoice/new", cart_id="BILL", cart_amount=7, **INVOICE).json()
        refs = (paid, held, auth, voucher, unpaid["tran_ref"])
        told = ("/sandbox/ledger", "/sandbox/pages", "/sandbox/invoices")

        def shown(desk: SandboxDesk) -> list[Any]:
            answers = [desk.query(tran_ref=ref).json() for ref in refs]
            for answer in answers:
                answer.pop("trace")
            return [*answers, *(desk.get(path) for path in told)]

        before = shown(desk)
        desk = again()
        assert shown(desk) == before
        status = desk.call("/payment/invoice/status", invoice_id=made["invoice_id"]).json()
        assert status == {"invoice_status": "pending"}

    def test_goes_on(self, sandbox: Sandbox, again: Callable[[], SandboxDesk]) -> None:
        """Yesterday's payment is refunded, its rest is not more than it was, its card charges, its page is paid."""
        desk = SandboxDesk(sandbox.url)
        paid = desk.paid(tokenise=2)
        token = desk.query(tran_ref=paid).json()["token"]
        desk.followed(paid, "refund", 15)
        page = desk.opened(cart_id="page")
        desk.pay(desk.opened(cart_id="bank")["tran_ref"], "three_ds", three_ds="leave")
        form = desk.post("payment_token").json()["payment_token"]
        link = desk.call("/payment/invoice/new", cart_id="BILL", cart_amount=7, **INVOICE).json()["invoice_link"]
        desk = again()
        assert desk.followed(paid, "refund", 100.5)["payment_result"]["response_status"] == "A"
        assert desk.followed(paid, "refund", 0.01)["payment_result"]["response_status"] == "E"
        assert desk.create(cart_id="R", tran_class="recurring", token=token).json()["token"] == token
        assert desk.create(cart_id="F", payment_token=form).json()["payment_result"]["response_status"] == "A"
        path = page["redirect_url"][page["redirect_url"].index("/payment/") :]
        assert desk.submit(desk.url + path).status_code == 200
        assert desk.status(page["tran_ref"])[0] == "A"
        bank = desk.ledger(cart_id="bank")["transactions"][0]["tran_ref"]
        assert desk.pay(bank, None)["status"] == "A"
        assert requests.get(desk.url + link[link.index("/payment/") :], timeout=5).status_code == 200

    def test_time(self, sandbox: Sandbox, again: Callable[[], SandboxDesk]) -> None:
        """What had died stays dead, what was agreed stays agreed, what was forgotten stays forgotten."""
        desk = SandboxDesk(sandbox.url)
        dead = desk.opened()["tran_ref"]
        desk.let_pass(minutes=21)
        alive = desk.opened(cart_id="alive")["tran_ref"]
        token = desk.post("token", token_info={"total_count": 1}).json()["token"]
        gone = desk.post("token").json()["token"]
        desk.call("/payment/token/delete", token=gone)
        desk.create(cart_id="R", tran_class="recurring", token=token)
        spent = desk.post("payment_token").json()["payment_token"]
        desk.create(cart_id="S", payment_token=spent)
        desk = again()
        assert desk.status(dead) == ("X", "355")
        assert desk.status(alive) == ("P", "600")
        beyond = desk.create(cart_id="R2", tran_class="recurring", token=token).json()
        assert beyond["payment_result"]["response_code"] == "996"
        assert desk.call("/payment/token", token=gone).status_code == 400
        assert desk.create(cart_id="S2", payment_token=spent).status_code == 400

    def test_reset(self, sandbox: Sandbox, again: Callable[[], SandboxDesk]) -> None:
        """What was forgotten on order does not come back."""
        desk = SandboxDesk(sandbox.url)
        desk.paid(tokenise=2)
        desk.let_pass(minutes=5)
        desk.call("/payment/invoice/new", cart_id="BILL", cart_amount=7, **INVOICE)
        desk.post("reset")
        desk = again()
        assert desk.ledger()["transactions"] == []
        assert desk.get("/sandbox/pages")["pages"] == []
        assert desk.get("/sandbox/invoices")["invoices"] == []
        assert desk.get("/sandbox/time")["ahead_seconds"] == 0

    def test_identifiers(self, sandbox: Sandbox, again: Callable[[], SandboxDesk]) -> None:
        """No reference, trace or invoice number comes twice."""
        desk, seen = SandboxDesk(sandbox.url), []
        for round_ in range(3):
            for number in range(3):
                page = desk.opened(cart_id=f"{round_}-{number}")
                made = desk.call("/payment/invoice/new", cart_id=f"B{round_}-{number}", cart_amount=7, **INVOICE)
                seen += [page["tran_ref"], page["trace"].rpartition(".")[2], made.json()["invoice_id"]]
            desk = again()
        assert len(set(seen)) == len(seen) == 27

    def test_under_load(self, sandbox: Sandbox) -> None:
        """Killed while many pay, it knows whatever was answered, and its books are sound."""
        desk, answered, enough = SandboxDesk(sandbox.url), [], threading.Event()

        def work(worker: int) -> None:
            for number in range(10_000):
                try:
                    ref = desk.paid(cart_id=f"{worker}-{number}", cart_amount=10)
                    answered.append(("A", ref))
                    answered.append(("A", desk.followed(ref, "refund", 4)["tran_ref"]))
                except (requests.RequestException, AssertionError):
                    return
                if len(answered) > 60:
                    enough.set()

        workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for worker in workers:
            worker.start()
        assert enough.wait(60)
        sandbox.kill()
        for worker in workers:
            worker.join()
        desk = SandboxDesk(sandbox.start().url)
        known = {one["tran_ref"]: one for one in desk.ledger()["transactions"]}
        assert [ref for status, ref in answered if known.get(ref, {}).get("status") != status] == []
        sums = desk.ledger()["balances"]
        for root, one in known.items():
            if one["previous_tran_ref"] is None:
                assert (sums[root]["captured"], sums[root]["refunded"]) in {("10", "4"), ("10.00", "4.00")} | {
                    (captured, "0") for captured in ("0", "10", "10.00")
                }


class TestFile:
    """The file itself."""

    def test_private(self, sandbox: Sandbox, file: Path) -> None:
        """Nobody else may read it."""
        assert sandbox.url
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def test_one_sandbox(self, sandbox: Sandbox, file: Path) -> None:
        """A second sandbox on the same file says so and ends; the first goes on."""
        second = self.start(file)
        assert second.returncode == 1
        assert f"{file} cannot be used" in second.stderr
        assert "Traceback" not in second.stderr
        assert SandboxDesk(sandbox.url).create().status_code == 200

    def test_none_of_ours(self, file: Path) -> None:
        """A file that is something else is told and left as it is."""
        file.parent.mkdir()
        file.write_text("a shopping list\n" * 100)
        done = self.start(file)
        assert (done.returncode, "cannot be used" in done.stderr) == (1, True)
        assert file.read_text() == "a shopping list\n" * 100

    def test_without(self, tmp_path: Path) -> None:
        """Without a file everything ends with the process, and nothing is written."""
        process = Sandbox(tmp_path).start()
        try:
            SandboxDesk(process.url).paid()
            process.kill()
            desk = SandboxDesk(process.start().url)
            assert desk.ledger()["transactions"] == []
        finally:
            process.stop()
        assert {path.name for path in tmp_path.iterdir()} == {"sandbox.log", "sandbox.port"}

    def test_numbers(self, file: Path) -> None:
        """Numbers are set aside before they are given out, a block at a time."""
        first = Shelf(file)
        mint = Mint(first)
        given = [int(mint.tran_ref()[-8:]) for _ in range(2_500)]
        first.close()
        assert given == list(range(given[0], given[0] + 2_500))
        assert int(Mint(Shelf(file)).tran_ref()[-8:]) > given[-1]

    def start(self, file: Path) -> "subprocess.CompletedProcess[str]":
        """Start another one on the file, which should end by itself."""
        command = [sys.executable, "-m", "sandbox", "--ledger", str(file)]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
