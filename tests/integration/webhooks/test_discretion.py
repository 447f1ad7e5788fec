import pytest
from flask.testing import FlaskClient

from config.settings import Settings
from tests.integration.webhooks.test_returns import RETURN_1, form
from tests.support.notices import PREVIOUS_KEY, notice, sign
from tests.support.sandbox import SERVER_KEY
from webhooks.body import MAX_BODY_BYTES

PATH = "/webhooks/paytabs"
RETURN = "/payments/return"

#: What a request brings along that nobody needs to be told again.
MARK = "4111111111111111"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A budget that is soon spent."""
    return settings.model_copy(update={"receiver_failure_budget": 2})


class TestRefusals:
    """Who is turned away learns why, and nothing else."""

    @pytest.mark.parametrize(
        ("path", "body", "headers", "statuses"),
        [
            (PATH, notice(cart_id=MARK), {}, {403, 429}),
            (PATH, notice(cart_id=MARK), {"Signature": MARK * 4}, {403, 429}),
            (PATH, notice(tran_ref={"a": MARK}), sign(notice(tran_ref={"a": MARK})), {400}),
            (PATH, MARK.encode() + b"<", sign(MARK.encode() + b"<"), {400}),
            (PATH, MARK.encode() * (MAX_BODY_BYTES // 8), {"Signature": MARK}, {413}),
            (RETURN, form({**RETURN_1, "customerEmail": MARK}, MARK).encode(), {}, {403, 429}),
            (RETURN, f"tranRef=&cartId={MARK}".encode(), {}, {400}),
            (f"/{MARK}", b"", {}, {404}),
            (f"{PATH}/{MARK}", b"", {}, {404}),
            ("/healthz", MARK.encode(), {}, {405}),
        ],
    )
    def test_nothing_secret(  # noqa: PLR0917 - one row of the table
        self,
        receiver: FlaskClient,
        settings: Settings,
        path: str,
        body: bytes,
        headers: dict[str, str],
        statuses: set[int],
    ) -> None:
        """No answer holds a key, the right signature, a server of ours, a limit, or what was sent."""
        answers = [receiver.post(path, data=body, headers=headers) for _ in range(3)]
        assert {answer.status_code for answer in answers} == statuses
        right = {sign(body, key)["Signature"] for key in (SERVER_KEY, PREVIOUS_KEY)}
        servers = {address for address in (settings.mongo_uri, settings.redis_url) if address}
        secrets = {SERVER_KEY, PREVIOUS_KEY, MARK, settings.mongo_database, "per 60", "paytabs.", *right, *servers}
        for answer in answers:
            said = f"{answer.headers}{answer.get_data(as_text=True)}"
            assert not [secret for secret in secrets if secret in said]
            assert not [name for name in answer.headers.keys() if name.lower().startswith("x-ratelimit")]  # noqa: SIM118 - Headers iterate over pairs
