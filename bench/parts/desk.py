"""All parts of the system on this machine, real and empty, with a payer at a browser: what a measurement works with."""

import contextlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import requests

from tests.e2e.cms_side import Cms, running_cms
from tests.e2e.payer import Payer, chromium
from tests.e2e.shop import Shop
from tests.support.sandbox import PROFILE_ID, SERVER_KEY, Sandbox
from tests.support.system import system_settings
from workers.stack import EmbeddedMongo, EmbeddedValkey

#: A card that the sandbox authorises.
CARD = "4111 1111 1111 1111"


@dataclass(frozen=True)
class Desk:
    """The running parts that a measurement touches."""

    cms: Cms
    shop: Shop
    sandbox: Sandbox
    payer: Payer

    def press(self, page: str) -> tuple[float, float]:
        """Open a page, type a card, press Pay; give the moment of the press and the seconds until the landing."""
        self.payer.open(page)
        self.payer.type_card(CARD)
        pressed_at = time.time()
        self.payer.press("pay")
        self.payer.land(self.shop.thanks_url)
        return pressed_at, time.time() - pressed_at

    def press_unseen(self, tran_ref: str) -> float:
        """Do over HTTP what the Pay button does; give the moment."""
        pressed_at = time.time()
        self.sandbox.pay(tran_ref, CARD)
        return pressed_at

    def bare_page(self) -> str:
        """Open a page at the sandbox that tells nobody and leads straight to the shop."""
        order = {
            "profile_id": PROFILE_ID,
            "tran_type": "sale",
            "tran_class": "ecom",
            "cart_id": uuid4().hex,
            "cart_description": "Baseline",
            "cart_currency": "SAR",
            "cart_amount": 115,
            "return": self.shop.thanks_url,
        }
        url = f"{self.sandbox.url}/payment/request"
        answer = requests.post(url, json=order, headers={"Authorization": SERVER_KEY}, timeout=10)
        answer.raise_for_status()
        return str(answer.json()["redirect_url"])


@contextlib.contextmanager
def everything(browser_path: str) -> Iterator[Desk]:
    """Start all parts on an empty directory, and stop them."""
    with contextlib.ExitStack() as parts:
        home = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="nestcms-bench-")))
        valkey = parts.enter_context(EmbeddedValkey(home / "valkey"))
        mongo = parts.enter_context(EmbeddedMongo(home / "mongo"))
        shop = parts.enter_context(Shop())
        sandbox = Sandbox(home).start()
        parts.callback(sandbox.stop)
        settings = system_settings(
            mongo_uri=mongo.uri,
            redis_url=valkey.url,
            sandbox_url=sandbox.url,
            directory=home,
            return_allowed_urls=(shop.thanks_url,),
            receiver_workers=2,
        )
        cms = parts.enter_context(running_cms(settings))
        context = parts.enter_context(parts.enter_context(chromium(browser_path)).new_context())
        yield Desk(cms, shop, sandbox, Payer(context))
