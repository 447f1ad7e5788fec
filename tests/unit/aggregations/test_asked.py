from aggregations.memory import ASKED_SECONDS, MOST_ASKED, Asked


class TestAsked:
    """A crowd of readers of one stale answer asks for one refresh."""

    def test_once(self) -> None:
        """The first of a key, and the first again once a refresh may have been lost."""
        now = [100.0]
        asked = Asked(lambda: now[0])
        assert [asked.is_first("a"), asked.is_first("a"), asked.is_first("b")] == [True, False, True]
        now[0] += ASKED_SECONDS
        assert [asked.is_first("a"), asked.is_first("a")] == [True, False]

    def test_bounded(self) -> None:
        """However many keys there are, it does not grow without end."""
        asked = Asked(lambda: 100.0)
        assert all(asked.is_first(str(number)) for number in range(3 * MOST_ASKED))
        assert len(asked._until) <= MOST_ASKED
