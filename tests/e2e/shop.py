"""The shop that payers come from and go back to: a real HTTP server, since a browser has to land somewhere.

It knows nothing of payments; it only remembers how its visitors arrived.
"""

import http.server
import threading
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qs, urlsplit

#: The page that thanks a payer; nothing on it comes from elsewhere, not even an icon.
PAGE = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Shop</title><link rel="icon" href="data:,"></head>
<body><h1>Thank you</h1></body></html>
"""

#: How often the accepting loop looks whether it shall end, in seconds.
LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Visit:
    """How a browser arrived.

    Attributes:
        method: GET, or POST when a page sent it straight here.
        path: Where it went.
        query: The address's parameters, each by its last value.
        referer: Where it says to come from.
    """

    method: str
    path: str
    query: dict[str, str]
    referer: str | None


class Shop:
    """A shop on a free loopback port, in a `with` block."""

    def __init__(self) -> None:
        self.visits: list[Visit] = []
        visits = self.visits

        class Door(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                parts = urlsplit(self.path)
                query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
                visits.append(Visit(self.command, parts.path, query, self.headers.get("Referer")))
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(PAGE)))
                self.end_headers()
                self.wfile.write(PAGE)

            do_POST = do_GET  # noqa: N815 - the name that http.server looks for

            def log_message(self, *_: object) -> None:
                """Keep quiet: the visits are the log."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(LOOK_SECONDS,), name="shop")
        self.thanks_url = f"http://127.0.0.1:{self._server.server_port}/thanks"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
