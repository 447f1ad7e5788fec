import pytest

from aggregations.member_health import MemberHealth


@pytest.fixture
def member() -> MemberHealth:
    """A secondary that one probe has found healthy, at second 100, with everything up to second 99."""
    health = MemberHealth(bound_seconds=5)
    health.probed(100, 99)
    return health


class TestMemberHealth:
    """A secondary is read only while what it lags by is known, and within the bound."""

    def test_unknown(self) -> None:
        """One that no probe has answered is not read."""
        assert not MemberHealth(bound_seconds=5).may_be_read(0)

    def test_goes_stale(self, member: MemberHealth) -> None:
        """Without further probes it may be read until what it was known to have is as old as the bound."""
        assert [member.may_be_read(now) for now in (100, 104, 104.1)] == [True, True, False]

    def test_silent(self, member: MemberHealth) -> None:
        """Two failures in a row eject it, one does not."""
        member.failed()
        assert member.may_be_read(100)
        member.failed()
        assert member.ejected == "silent"
        assert not member.may_be_read(100)

    def test_hiccups(self, member: MemberHealth) -> None:
        """Failures with a success between them do not add up."""
        for now in (101, 102, 103):
            member.failed()
            member.probed(now, now - 1)
        assert member.may_be_read(103)

    @pytest.mark.parametrize("fresh_as_of", [95.9, None])
    def test_lagging(self, member: MemberHealth, fresh_as_of: float | None) -> None:
        """One probe that finds it beyond the bound, or before all that is known, ejects it."""
        member.probed(101, fresh_as_of)
        assert member.ejected == "lagging"
        assert not member.may_be_read(101)

    def test_returns(self, member: MemberHealth) -> None:
        """It is read again after three healthy probes in a row; a failure begins the count anew."""
        member.probed(101, None)
        member.probed(102, 101)
        member.probed(103, 102)
        member.failed()
        seen = []
        for now in (104, 105, 106):
            member.probed(now, now - 1)
            seen.append(member.may_be_read(now))
        assert seen == [False, False, True]
