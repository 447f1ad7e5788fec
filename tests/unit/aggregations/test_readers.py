import pytest
from pymongo.errors import ExecutionTimeout, NetworkTimeout, PyMongoError

from aggregations.readers import _never_sent


class TestNeverSent:
    """A read that waited for an election until its time was over may pass; one that the server stopped may not."""

    @pytest.mark.parametrize(
        ("error", "never"),
        [
            (ExecutionTimeout("remaining timeout", 50, {"ok": 0, "errmsg": "remaining timeout", "code": 50}), True),
            (ExecutionTimeout("exceeded", 50, {"ok": 0, "code": 50, "codeName": "MaxTimeMSExpired"}), False),
            (NetworkTimeout("timed out"), False),
        ],
        ids=["driver", "server", "network"],
    )
    def test_who_said_so(self, error: PyMongoError, *, never: bool) -> None:
        """Only the driver's own word, in PyMongo's form, says that the server never heard of it."""
        assert _never_sent(error) is never
