import base64
import json

import pytest

from observability.dead_letters import Kind
from workers.quarantine import undeliverable

TOKEN = "2C4656BF67A3E43DC6BE93FE00000001"


class TestQuarantinedTokens:
    """A message that cannot be delivered and holds a card's token."""

    @pytest.mark.parametrize(("args", "kwargs"), [
        (["6b0dd8b3e913aa2067d15139", TOKEN, "op-1"], {}), ([[TOKEN]], {}), ([], {"token": TOKEN}),
        ([], {"tokn": TOKEN}), ([], {"wrapped": {"value": TOKEN}}),
    ])  # fmt: skip
    @pytest.mark.parametrize("encoding", ["base64", None])
    def test_gone(self, args: list[object], kwargs: dict[str, object], encoding: str | None) -> None:
        """It stands nowhere in the letter, by whatever name it was given or none, also not in what was said of it."""
        body = [args, kwargs, {}]
        text = json.dumps(body)
        envelope = {
            "headers": {"task": "payments.charge_tokn", "id": "t", "argsrepr": repr(args), "kwargsrepr": repr(kwargs)},
            "properties": {"body_encoding": encoding}, "content-type": "application/json",
            "body": base64.b64encode(text.encode()).decode() if encoding else text,
        }  # fmt: skip
        letter = undeliverable(envelope, "payments", Kind.UNKNOWN_TASK, "no task has that name", body)
        assert TOKEN not in letter.to_json()
        assert not letter.intact
