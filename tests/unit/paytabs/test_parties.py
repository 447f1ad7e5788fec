import pycountry
import pytest
from babel import Locale
from hypothesis import given
from hypothesis import strategies as st

from paytabs.callbacks import brings_fields, takes_callback
from paytabs.countries import ALIASES, alpha_2
from paytabs.errors import InvalidRequest
from paytabs.operations import PartyDetails
from paytabs.parties import NAME_LENGTH, PLACE_LENGTH, STREET_LENGTH, party
from paytabs.texts import cleaned, cut

CODES = {one.alpha_2 for one in pycountry.countries}


class TestCountries:
    """A country by its code, by its name in English or Arabic, or as people say it."""

    def test_every_country(self) -> None:
        """Both codes in any case, the standard's names, and the everyday names of either language."""
        for one in pycountry.countries:
            code = one.alpha_2
            names = [code, one.alpha_3, one.name, getattr(one, "official_name", code)]
            names += [Locale(language).territories[code] for language in ("en", "ar")]
            for name in (*names, *(text.lower() for text in names), f"  {names[2]} "):
                assert alpha_2(name) == code, name

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("KSA", "SA"), ("k.s.a.", "SA"), ("UAE", "AE"), ("U.A.E", "AE"), ("UK", "GB"), ("uk", "GB"),
            ("USA", "US"), ("السعودية", "SA"), ("السّعوديّة", "SA"), ("الإمارات", "AE"), ("الامارات", "AE"),
            ("دولة الكويت", "KW"), ("The Kingdom of Saudi Arabia", "SA"), ("Turkey", "TR"), ("ABW", "AW"),
        ],
    )  # fmt: skip
    def test_said(self, text: str, code: str) -> None:
        """What people say and write is understood."""
        assert alpha_2(text) == code

    @pytest.mark.parametrize(
        "text", ["XX", "ZZ", "EU", "XXX", "Atlantis", "", "  ", "S", "S\x00A", "12", None, 5, ["SA"], "S" * 100_000]
    )
    def test_none(self, text: object) -> None:
        """What means no country is left out."""
        assert alpha_2(text) is None

    def test_aliases(self) -> None:
        """Each alias leads to a country that there is."""
        assert set(ALIASES.values()) <= CODES

    @given(st.text(max_size=30))
    def test_any(self, text: str) -> None:
        """Whatever somebody types, the answer is a country or none."""
        assert alpha_2(text) in {None, *CODES}


class TestParty:
    """What of a person is sent."""

    def test_whole(self) -> None:
        """What PayTabs takes goes as it is."""
        details = {
            "name": "Huda Payer", "email": "huda@example.com", "phone": "+966 50 123-4567", "street1": "King Fahd Road",
            "city": "Riyadh", "state": "01", "country": "Saudi Arabia", "zip": "12345", "ip": "203.0.113.9",
        }  # fmt: skip
        assert party(details) == details | {"phone": "+966501234567", "country": "SA"}

    @pytest.mark.parametrize(
        ("member", "value"),
        [
            *(("email", one) for one in ("huda", "huda@", "@x.com", "a b@x.com", "a@b", "a@x.com\x00", "x" * 300)),
            *(("phone", one) for one in ("", "n/a", "12", "1" * 30, "+", "05x", "0\x00")),
            *(("country", one) for one in ("XX", "ZZ", "Atlantis")),
            *(("zip", one) for one in ("\x00", "-", "x" * 40, "12#4")),
            *(("ip", one) for one in ("localhost", "300.1.1.1", "1.2.3", "::g")),
            *(("name", one) for one in ("", " \x00\n ", "\u2028")),
        ],
    )
    @pytest.mark.parametrize("typed", [str, lambda one: [one], lambda one: {"a": one}])
    def test_left_out(self, member: str, value: str, typed: object) -> None:
        """What it would refuse is left out, for the page asks for it; so is what is no text."""
        assert party({member: typed(value), "city": "Riyadh"}) == {"city": "Riyadh"}  # type: ignore[operator] # any of three

    def test_number(self) -> None:
        """A telephone number that was stored as a number is one; Arabic digits are digits."""
        assert party({"phone": 966501234567}) == {"phone": "966501234567"}
        assert party({"phone": "٠٥٠١٢٣٤٥٦٧"}) == {"phone": "0501234567"}

    @pytest.mark.parametrize(
        ("member", "longest"), [("name", NAME_LENGTH), ("street1", STREET_LENGTH), ("city", PLACE_LENGTH)]
    )
    def test_too_long(self, member: str, longest: int) -> None:
        """What is too long is cut, its control characters gone before."""
        assert party({member: "\x00" + "x" * 300}) == {member: "x" * longest}

    @given(st.dictionaries(st.sampled_from(sorted(PartyDetails.model_fields)), st.text(max_size=400) | st.integers()))
    def test_any(self, details: dict[str, object]) -> None:
        """Whatever a document holds, what is left of it can be sent."""
        sent = party(details)
        PartyDetails(**sent)
        assert all(len(value) <= 254 and not set(value) & {"\x00", "\n", "\u2028"} for value in sent.values())

    @pytest.mark.parametrize("country", ["XX", "ZZZ", "sa", "KSA1", "Saudi Arabia"])
    def test_model(self, country: str) -> None:
        """Who fills the model in by hand is told of a country that is none."""
        with pytest.raises(InvalidRequest, match="country"):
            PartyDetails(country=country)


class TestCut:
    """Texts are cut between what is seen as characters."""

    @pytest.mark.parametrize(
        ("text", "longest", "left"),
        [
            ("abcdef", 3, "abc"),
            ("abc", 3, "abc"),
            ("e\u0301e\u0301", 3, "e\u0301"),
            ("بِسْمِ", 3, "بِ"),
            ("a👨\u200d👩\u200d👧b", 3, "a"),
            ("a👍🏽b", 2, "a"),
            ("🇸🇦🇦🇪", 3, "🇸🇦"),
            ("🇸🇦🇦🇪", 2, "🇸🇦"),
            ("☎\ufe0fx", 1, ""),
        ],
    )
    def test_whole_characters(self, text: str, longest: int, left: str) -> None:
        """No accent, vowel sign, family or flag is torn apart."""
        assert cut(text, longest) == left

    @given(st.text(max_size=60), st.integers(0, 40))
    def test_any(self, text: str, longest: int) -> None:
        """What is left is a beginning, no longer than asked for, and cleaning twice is cleaning once."""
        assert text.startswith(cut(text, longest))
        assert len(cut(text, longest)) <= longest
        once = cleaned(text, longest)
        assert len(once) <= longest
        assert cleaned(once, longest) == once


REAL = "https://secure.paytabs.sa"


class TestCallback:
    """Where PayTabs is asked to tell of a payment."""

    @pytest.mark.parametrize("url", ["https://pay.example.com/ipn", "https://93.184.216.34/x", "https://a.b/?c=d"])
    def test_taken(self, url: str) -> None:
        """A public https address without a port."""
        assert takes_callback(url, REAL)

    @pytest.mark.parametrize(
        "url",
        [
            "http://pay.example.com/ipn", "https://pay.example.com:8443/ipn", "https://localhost/ipn", "https://host/x",
            "https://127.0.0.1/ipn", "https://10.0.0.5/x", "https://192.168.1.2/x", "https://[::1]/x", "https://",
            "https://pay.internal/x", "https://pay.example.com:x/ipn", "https://shop.localhost/x",
        ],
    )  # fmt: skip
    def test_refused(self, url: str) -> None:
        """Any other one would have the page refused; a gateway of this machine, or of this network, takes it."""
        assert not takes_callback(url, REAL)
        assert takes_callback(url, "http://127.0.0.1:8080")
        assert takes_callback(url, "http://sandbox:8080")


def test_return() -> None:
    """A payer comes back with the signed fields over https, and over http from a gateway of this network only."""
    plain, secure = "http://pay.example.com/payments/return", "https://pay.example.com:8443/payments/return"
    assert [brings_fields(url, REAL) for url in (plain, secure)] == [False, True]
    assert [brings_fields(url, "http://127.0.0.1:8080") for url in (plain, secure)] == [True, True]
