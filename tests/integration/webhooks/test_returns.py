import hashlib
import hmac
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from time import monotonic
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlsplit

import pytest
from bson import ObjectId
from flask.testing import FlaskClient
from pymongo import MongoClient
from structlog.testing import capture_logs

from config.settings import Settings
from payments.accepting import new_row
from payments.events import Context
from payments.operations import OperationsLedger, Send
from tests.support.broker import Broker
from tests.support.sandbox import SERVER_KEY
from workers.stack import EmbeddedValkey
from workers.stack_mongo import EmbeddedMongo

PATH = "/payments/return"
FORM = "application/x-www-form-urlencoded"
Fields = dict[str, str | bytes]
Client = MongoClient[dict[str, Any]]

#: The published vector "Return 1" and its signature.
RETURN_1: Fields = {
    "acquirerMessage": "",
    "acquirerRRN": "",
    "cartId": "INV-2026-0001",
    "customerEmail": "buyer@example.test",
    "respCode": "G12345",
    "respMessage": "Authorised",
    "respStatus": "A",
    "token": "",
    "tranRef": "TST2621800000101",
}
SIGNATURE_1 = "aee68e3f197b5c1a9083a16016e97edfbad52960b40cc285acdbdb41fb52bc49"

#: The published vector "Return 2", whose acquirerRRN is "0", and both signatures that it may carry.
RETURN_2: Fields = {
    "acquirerMessage": "تمت الموافقة",
    "acquirerRRN": "0",
    "cartId": "INV/2026/07~A*1",
    "customerEmail": "a+b@example.test",
    "respCode": "G54321",
    "respMessage": "Approved & held (50%)",
    "respStatus": "H",
    "token": "",
    "tranRef": "TST2621800000102",
}
SIGNATURE_2 = "53bfb283b03e8edbd62ab85cee0943efbca9dab5c428798bbaefa77ca2872fef"
SIGNATURE_2_WITHOUT_ZERO = "f9cb871dc47499c6db57ef40535c7eb0d0bfd6792bafcd26d949fac0eda5acb9"


def form(fields: Fields, signature: str | None) -> str:
    """Encode a form as a browser does."""
    members = fields if signature is None else {**fields, "signature": signature}
    return "&".join(f"{name}={quote_plus(value)}" for name, value in members.items())


def sign(fields: Fields) -> str:
    """Sign the non-empty fields as the gateway states it does, on its own code."""
    kept = sorted((name, value) for name, value in fields.items() if value)
    text = "&".join(f"{name}={quote_plus(value)}" for name, value in kept).replace("~", "%7E")
    return hmac.new(SERVER_KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


class TestSignedReturn:
    """A payer who comes back is led on, and PayTabs is asked."""

    @pytest.mark.parametrize("method", ["GET", "POST"])
    @pytest.mark.parametrize(
        "vector",
        [(RETURN_1, SIGNATURE_1), (RETURN_2, SIGNATURE_2), (RETURN_2, SIGNATURE_2_WITHOUT_ZERO)],
    )
    def test_vectors(
        self, receiver: FlaskClient, broker: Broker, settings: Settings, method: str, vector: tuple[Fields, str]
    ) -> None:
        """Both canonical forms are accepted; the query is asked for by reference; the status is not passed on."""
        fields, signature = vector
        raw = form(fields, signature)
        if method == "GET":
            answer = receiver.get(f"{PATH}?{raw}")
        else:
            answer = receiver.post(PATH, data=raw, content_type="application/x-www-form-urlencoded")
        assert answer.status_code == 303
        target = urlsplit(answer.headers["Location"])
        assert target._replace(query="").geturl() == settings.return_allowed_urls[0]
        assert parse_qs(target.query) == {"tran_ref": [fields["tranRef"]], "cart_id": [fields["cartId"]]}
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        (message,) = broker.messages("payments")
        assert message["task"] == "payments.verify"
        assert message["kwargs"] == {"tran_ref": fields["tranRef"], "payer_returned": True}
        assert len(message["x-correlation-id"]) == 32

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_token(self, receiver: FlaskClient, broker: Broker, method: str) -> None:
        """A card's token in it is dropped: it is neither passed on, nor handed over, nor logged; a query tells it."""
        token = "2C4656BF67A3E43DC6BE93FE00000001"
        fields = {**RETURN_1, "token": token}
        raw = form(fields, sign(fields))
        with capture_logs() as lines:
            by_get = method == "GET"
            answer = receiver.get(f"{PATH}?{raw}") if by_get else receiver.post(PATH, data=raw, content_type=FORM)
        assert answer.status_code == 303
        (message,) = broker.messages("payments")
        assert [line["event"] for line in lines] == ["payer_returned"]
        assert token not in f"{answer.headers}{answer.get_data(as_text=True)}{message}{lines}"

    def test_bytes_that_are_not_utf8(self, receiver: FlaskClient) -> None:
        """A message in another encoding is verified over its bytes."""
        fields: Fields = {"acquirerMessage": b"caf\xe9", "tranRef": "TST2621800000101"}
        raw = form(fields, sign(fields))
        assert "caf%E9" in raw
        assert receiver.post(PATH, data=raw).status_code == 303

    def test_own_parameters(self, receiver: FlaskClient) -> None:
        """What our own return address carried is not part of what is signed."""
        assert receiver.get(f"{PATH}?lang=ar&{form(RETURN_1, SIGNATURE_1)}&x=1").status_code == 303
        assert receiver.post(f"{PATH}?lang=ar", data=form(RETURN_1, SIGNATURE_1)).status_code == 303

    def test_broker_gone(self, receiver: FlaskClient, valkey: EmbeddedValkey) -> None:
        """The payer is led on although the query cannot be asked for now."""
        valkey.kill()
        assert receiver.post(PATH, data=form(RETURN_1, SIGNATURE_1)).status_code == 303


class TestKnownPage:
    """A payer who comes from a page of ours is led to where its row says, as its payment's."""

    OWN = "https://shop.example/orders/7?lang=ar#paid"

    def test_own_address(self, receiver: FlaskClient, broker: Broker, settings: Settings, client: Client) -> None:
        """Its own address is led to, whatever the list and `next` say; without one the list's first is.

        The payment's id is carried along, the query is asked for under the id that the page was asked for under, and a
        return without its cart is known by its reference.
        """
        db = client[settings.mongo_database]
        known = {own: add_page(db, own) for own in (self.OWN, None)}
        failed = []
        for (own, (payment_id, cart_id, tran_ref)), named in product(known.items(), (True, False)):
            fields: Fields = {**RETURN_1, "cartId": cart_id if named else "", "tranRef": tran_ref}
            listed = quote_plus(settings.return_allowed_urls[0])
            answer = receiver.post(f"{PATH}?next={listed}", data=form(fields, sign(fields)), content_type=FORM)
            target = urlsplit(answer.headers["Location"])
            told = {"payment_id": [payment_id], "tran_ref": [tran_ref]} | ({"cart_id": [cart_id]} if named else {})
            wanted = urlsplit(own or settings.return_allowed_urls[0])
            same = target._replace(query="") == wanted._replace(query="")
            if not (same and parse_qs(target.query) == told | parse_qs(wanted.query)):
                failed.append((own, named, target.geturl()))
        assert failed == []
        assert {one["x-correlation-id"] for one in broker.messages("payments")} == {"order-4711"}

    def test_foreign_signature(self, receiver: FlaskClient, settings: Settings, client: Client) -> None:
        """Nobody is led anywhere whose cart PayTabs has not signed."""
        _, cart_id, tran_ref = add_page(client[settings.mongo_database], self.OWN)
        fields: Fields = {**RETURN_1, "cartId": cart_id, "tranRef": tran_ref}
        assert receiver.post(PATH, data=form(fields, SIGNATURE_1), content_type=FORM).status_code == 403

    def test_database_silent(self, receiver: FlaskClient, settings: Settings, mongo: EmbeddedMongo) -> None:
        """While the database does not answer a payer is led to the list's first address, within seconds."""
        mongo.freeze(0)
        try:
            began = monotonic()
            answer = receiver.post(PATH, data=form(RETURN_1, SIGNATURE_1), content_type=FORM)
            assert monotonic() - began < 10
        finally:
            mongo.thaw(0)
        assert answer.headers["Location"].startswith(settings.return_allowed_urls[0])


def add_page(db: Any, own: str | None) -> tuple[str, str, str]:
    """Insert the row and the event of a page; give its payment's id, its cart and its reference."""
    payment, now = ObjectId(), datetime.now(UTC)
    cart_id, tran_ref = f"nw-{payment}", f"TST{str(payment)[-13:]}".upper()
    row = new_row(
        f"page-{payment}-1", str(payment), kind="create_page", now=now,
        params={"asked": {"return_url": own}, "return_url": "https://pay.example/payments/return"},
        context=Context(correlation_id="order-4711", source="tests"),
    )  # fmt: skip
    row = replace(row, sends=(Send(cart_id, now),), tran_ref=tran_ref)
    ledger = OperationsLedger(db, lease=timedelta(30))
    ledger.ensure_indexes()
    with db.client.start_session() as session:
        ledger.accept(row, session)
    db["payment_events"].insert_one({"payment_id": payment, "version": 1, "data": {"tran_ref": tran_ref}})
    return str(payment), cart_id, tran_ref


class TestNoOpenRedirect:
    """A payer is sent to known addresses only."""

    @pytest.mark.parametrize(
        "wanted",
        ["https://evil.example", "//evil.example", "{allowed}@evil.example", "javascript:alert(1)"],
    )
    def test_foreign_address(self, receiver: FlaskClient, settings: Settings, wanted: str) -> None:
        """An address that is not on the list becomes the first one that is."""
        foreign = wanted.format(allowed=settings.return_allowed_urls[0])
        answer = receiver.get(f"{PATH}?next={quote_plus(foreign)}&{form(RETURN_1, SIGNATURE_1)}")
        assert answer.status_code == 303
        assert answer.headers["Location"].startswith(f"{settings.return_allowed_urls[0]}?")
        assert "evil" not in answer.headers["Location"]


class TestSecondAllowedAddress:
    """The address a payer came from may choose among the known ones."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        """Two addresses, the second with a query of its own."""
        return settings.model_copy(update={"return_allowed_urls": ("https://a.example/", "https://b.example/p?x=1")})

    def test_chosen(self, receiver: FlaskClient) -> None:
        """`next` picks one of the list, and its own query is kept."""
        wanted = quote_plus("https://b.example/p?x=1")
        answer = receiver.get(f"{PATH}?next={wanted}&{form(RETURN_1, SIGNATURE_1)}")
        assert answer.headers["Location"] == "https://b.example/p?x=1&cart_id=INV-2026-0001&tran_ref=TST2621800000101"


class TestNoAllowedAddress:
    """Without a list nobody is sent anywhere."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        """No address at all."""
        return settings.model_copy(update={"return_allowed_urls": ()})

    def test_page(self, receiver: FlaskClient, broker: Broker) -> None:
        """The payer reads that the payment is being checked, and it is."""
        answer = receiver.post(PATH, data=form(RETURN_1, SIGNATURE_1))
        assert answer.status_code == 200
        assert "being checked" in answer.get_data(as_text=True)
        assert len(broker.messages("payments")) == 1


class TestRefusedReturn:
    """A return that proves nothing does nothing, and its payer reads a sentence."""

    @pytest.mark.parametrize(
        ("raw", "status"),
        [
            (form(RETURN_1, None), 403),
            (form(RETURN_1, ""), 403),
            (form(RETURN_1, "0" * 64), 403),
            (form(RETURN_1, SIGNATURE_1) + f"&signature={SIGNATURE_1}", 403),
            (form({**RETURN_1, "respStatus": "D"}, SIGNATURE_1), 403),
            (form({**RETURN_1, "tranRef": "TST2621800000999"}, SIGNATURE_1), 403),
            (form({**RETURN_1, "tranRef": ""}, SIGNATURE_1), 400),
            ("", 400),
            (f"signature={sign({})}", 400),
            (form(RETURN_1, SIGNATURE_1) + "&tranRef=TST2621800000999", 400),
            ("tranRef=%C3%A9&signature=" + sign({"tranRef": "é"}), 400),
            ("&".join(f"a{number}=1" for number in range(60)), 400),
        ],
    )
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_refused(self, receiver: FlaskClient, broker: Broker, raw: str, status: int, method: str) -> None:
        """400 without one reference, 403 without one right signature; a page, no task, no redirect."""
        answer = receiver.get(f"{PATH}?{raw}") if method == "GET" else receiver.post(PATH, data=raw)
        assert answer.status_code == status
        assert answer.mimetype == "text/html"
        assert "cannot be used" in answer.get_data(as_text=True)
        assert "Location" not in answer.headers
        assert broker.messages("payments") == []
