import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.token_cut import has_token, without_token
from tests.support.notices import notice

TOKEN = "2C4656BF67A3E43DC6BE93FE00000001"


class TestCut:
    """A body without its token."""

    def test_nothing_else(self) -> None:
        """All but the token stays byte for byte, amounts and spaces included."""
        body = notice(token=TOKEN, cart_amount="115.00")
        assert without_token(body) == body.replace(TOKEN.encode(), b"")

    @pytest.mark.parametrize("body", [
        b'{"tran_ref":"T1"}', b'{"token":""}', b'{"token":null}', b"<html>", b"", b"\xff\xfe", b'{"token_type":"x"}',
    ])  # fmt: skip
    def test_no_token(self, body: bytes) -> None:
        """What holds none is left as it is."""
        assert (has_token(body), without_token(body)) == (False, body)

    @pytest.mark.parametrize("body", [
        b'{"Token" : "%s"}', b'{"TOKEN":"%s"}', b'{"\\u0074oken":"%s"}', b'{"payment_token":"%s"}',
        b'{"a":[{"token":"%s"}]}', b'{"token":["%s"]}', b'{"token":{"x":"%s"}}', b'{"token":"\\u0041%s"}',
        b'not JSON "token":"%s" at all', b"tranRef=T1&token=%s&x=1", b"payment_token=%s", b"{'token': '%s'}",
        b'"{\\"token\\": \\"%s\\"}', b"{token: %s}", b'{"token": "%s',
    ])  # fmt: skip
    def test_however_it_is_written(self, body: bytes) -> None:
        """Its name may have any case or spelling and stand anywhere; the token is gone, and found no more."""
        cut = without_token(body % TOKEN.encode())
        assert TOKEN.encode() not in cut
        assert not has_token(cut)

    @given(st.recursive(
        st.one_of(st.text(), st.integers(), st.none(), st.booleans()),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(st.sampled_from(["a", "token", "Payment_Token", "tran_ref"]), inner, max_size=3),
        ),
    ))  # fmt: skip
    def test_any_document(self, document: object) -> None:
        """Of any document the tokens go, and every other member stays what it is."""
        body = json.dumps(document).encode()
        cut = without_token(body)
        assert not has_token(cut)
        assert _bare(json.loads(cut)) == _bare(document)


def _bare(value: object) -> object:
    if isinstance(value, dict):
        kept = {name: inner for name, inner in value.items() if name.lower() not in ("token", "payment_token")}
        return {name: _bare(inner) for name, inner in kept.items()}
    return [_bare(inner) for inner in value] if isinstance(value, list) else value
