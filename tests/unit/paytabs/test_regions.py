import pytest

from paytabs.errors import InvalidRequest
from paytabs.regions import BASE_URLS, base_url


class TestBaseUrl:
    """Where each region answers."""

    @pytest.mark.parametrize(
        ("region", "url"),
        [
            ("ARE", "https://secure.paytabs.com"),
            ("SAU", "https://secure.paytabs.sa"),
            ("OMN", "https://secure-oman.paytabs.com"),
            ("JOR", "https://secure-jordan.paytabs.com"),
            ("EGY", "https://secure-egypt.paytabs.com"),
            ("GLOBAL", "https://secure-global.paytabs.com"),
            ("IRQ", "https://secure-iraq.paytabs.com"),
            ("KWT", "https://secure-kuwait.paytabs.com"),
            ("QAT", "https://secure-doha.paytabs.com"),
            ("MAR", "https://secure-morocco.paytabs.com"),
            ("MADFOAT", "https://madfoat-secure.paytabs.com"),
            ("CUZDAN", "https://secure.cuzdan.az"),
        ],
    )
    def test_known(self, region: str, url: str) -> None:
        """Each of the twelve regions has its own host."""
        assert base_url(region) == url

    def test_no_others(self) -> None:
        """The list is closed: twelve."""
        assert len(BASE_URLS) == 12

    @pytest.mark.parametrize("region", ["PSE", "sau", "", "XX"])
    def test_unknown(self, region: str) -> None:
        """An unknown region never becomes an address; the error lists the known ones."""
        with pytest.raises(InvalidRequest, match="SAU") as caught:
            base_url(region)
        assert caught.value.field == "region"
