"""Which addresses PayTabs takes, and how it sends the payer back to them."""

from typing import Any

import pytest


class TestReturn:
    """How the payer comes back."""

    @pytest.mark.parametrize(
        "url",
        ["http://shop.example.test/", "https://shop.example.test:8443/", "https://localhost/", "http://127.0.0.1:9/x"],
    )
    @pytest.mark.parametrize("rules", ["strict", "local"])
    def test_addresses(self, desk: Any, rules: str, url: str) -> None:
        """A return may have a port, be local or be http, whatever the rules; a callback may not in strict mode."""
        desk.switch(url_rules=rules)
        assert desk.create(**{"return": url}).status_code == 200
        assert desk.create(cart_id="B", callback=url).ok == (rules == "local")

    @pytest.mark.parametrize(
        "url",
        [
            "https://10.0.0.7/ipn",
            "https://192.168.1.1/ipn",
            "https://[::1]/ipn",
            "https://169.254.0.1/ipn",
            "https://shop/ipn",
            "https://shop.local/ipn",
            "https://shop.example.test:443/ipn",
        ],
    )
    def test_private(self, desk: Any, url: str) -> None:
        """A callback that is nowhere in public, or names a port, is refused in strict mode and named."""
        desk.switch(url_rules="strict")
        answer = desk.create(callback=url)
        assert (answer.status_code, answer.json()["code"]) == (400, 2)
        assert "callback" in answer.json()["message"]

    @pytest.mark.parametrize(("scheme", "fields"), [("http", 0), ("https", 10)])
    def test_by_get(self, desk: Any, scheme: str, fields: int) -> None:
        """Over http the payer comes by GET without a field, whatever was asked; over https with all of them."""
        desk.switch(url_rules="strict")
        url = f"{scheme}://shop.example.test:8443/back?mine=1"
        page = desk.opened(**{"return": url})
        back = desk.pay(page["tran_ref"])["return"]
        assert (back["method"], len(back["fields"])) == ("GET" if fields == 0 else "POST", fields)
        second = desk.opened(cart_id="B", return_using_get=True, **{"return": url})
        answer = desk.submit(second["redirect_url"])
        assert answer.status_code == 303
        assert (answer.headers["Location"] == url) == (fields == 0)

    def test_local(self, desk: Any) -> None:
        """Under local rules an http return is posted with its fields, as a desk without TLS needs it."""
        back = desk.pay(desk.opened(**{"return": "http://127.0.0.1:9/back"})["tran_ref"])["return"]
        assert (back["method"], len(back["fields"])) == ("POST", 10)
