"""A payer at a real browser: Debian's headless Chromium, and hands that press what a person presses.

Everything that a person would not see but should not be there is noted: errors on the console, uncaught exceptions,
requests that leave this machine.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Response,
    WebError,
    sync_playwright,
)

#: The programs that can play the browser, in the order in which they are looked for.
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")

#: No sandbox, for root; no connections of the browser's own, and no name but loopback can be resolved.
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)

#: How long the browser waits for anything, in milliseconds.
PATIENCE_MS = 10_000

#: Any time in the future and any code do for the sandbox's cards.
EXPIRY, CVV = "12/33", "123"

#: Where requests may go.
LOOPBACK = "127.0.0.1"


def find_chromium() -> str | None:
    """Return the path of a Chromium on this machine, None when there is none."""
    return next((path for name in CHROMIUM_NAMES if (path := shutil.which(name))), None)


@contextmanager
def chromium(path: str) -> Iterator[Browser]:
    """Run a headless Chromium with a new, empty profile during the block."""
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_FLAGS)) as browser,
    ):
        yield browser


class Payer:
    """One payer: a browser context of its own, one tab, and what was noted in it.

    Args:
        context: A fresh context of a browser.

    Attributes:
        page: The tab.
        complaints: Console errors and uncaught exceptions, in order.
        requests: The address of every request, in order.
        responses: HTTP status and address of every answer, in order.
    """

    def __init__(self, context: BrowserContext) -> None:
        context.set_default_timeout(PATIENCE_MS)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.responses: list[tuple[int, str]] = []
        context.on("console", self._on_console)
        context.on("weberror", self._on_error)
        context.on("request", self._on_request)
        context.on("response", self._on_response)
        self.page: Page = context.new_page()

    def open(self, redirect_url: str) -> None:
        """Open a hosted page."""
        self.page.goto(redirect_url)

    def type_card(self, number: str, *, expiry: str = EXPIRY, cvv: str = CVV) -> None:
        """Fill in the card form."""
        for field, text in (("card-number", number), ("expiry", expiry), ("cvv", cvv)):
            self.page.locator(f"#{field}").fill(text)

    def press(self, button: str) -> None:
        """Press a button by its id."""
        self.page.locator(f"#{button}").click()

    def land(self, url: str) -> None:
        """Wait until the browser has arrived at an address, whatever its query."""
        self.page.wait_for_url(lambda present: present.partition("?")[0] == url)

    def pay(self, redirect_url: str, card: str, return_url: str) -> None:
        """Open a hosted page, pay with a card and land on the return address."""
        self.open(redirect_url)
        self.type_card(card)
        self.press("pay")
        self.land(return_url)

    def focused(self) -> str:
        """Tell the id of the element that has the keyboard."""
        return str(self.page.evaluate("document.activeElement.id"))

    def requests_outside(self) -> list[str]:
        """List the requests that were meant for somewhere else than loopback."""
        return [
            url for url in self.requests if (parts := urlsplit(url)).scheme != "data" and parts.hostname != LOOPBACK
        ]

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _on_error(self, error: WebError) -> None:
        self.complaints.append(f"exception: {error.error}")

    def _on_request(self, request: Request) -> None:
        self.requests.append(request.url)

    def _on_response(self, response: Response) -> None:
        self.responses.append((response.status, response.url))
