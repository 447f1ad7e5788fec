import pytest

from workers.clock_rules import Reading, judge

#: How far a machine is ahead of MongoDB and of Valkey, and by how much that may be wrong; whether it takes work, and
#: whether operators are told of it and of the servers. None is what is not known, or stays as it was.
TABLE = [
    ((0.0, 0.0, 0.1), (True, False, False)),
    ((4.9, 4.9, 0.0), (True, False, False)),
    ((-5.05, -5.0, 0.1), (True, False, False)),  # it may be the answer that was slow
    ((5.2, 4.9, 0.1), (True, True, False)),
    ((-59.0, -59.5, 0.1), (True, True, False)),
    ((61.0, 61.0, 0.1), (False, True, False)),
    ((-3600.0, -3601.0, 0.2), (False, True, False)),
    ((61.0, 59.0, 0.0), (True, True, False)),  # from one of them only
    ((63.0, 57.0, 0.1), (True, False, True)),  # and they disagree
    ((3600.0, 0.0, 0.1), (True, False, True)),
    ((0.0, -3600.0, 0.1), (True, False, True)),
    ((3600.0, -3600.0, 0.1), (True, False, True)),
    ((-3600.0, -3594.0, 0.1), (True, False, True)),
    ((None, 3600.0, 0.1), (None, True, None)),
    ((3600.0, None, 0.1), (None, True, None)),
    ((None, 0.0, 0.1), (None, None, None)),
    ((None, None, 0.0), (None, None, None)),
]


class TestJudge:
    """What follows from two servers' clocks."""

    def test_table(self) -> None:
        """Both have to say so before a machine stops; where they disagree, or one is silent, nothing changes."""
        wrong = []
        for (mongo, valkey, error), wanted in TABLE:
            found = judge(Reading(mongo, valkey, error))
            told = [None if one is None else bool(one) for one in (found.off, found.disagree)]
            if (found.may_work, *told) != wanted:
                wrong.append((mongo, valkey, error, found))
        assert wrong == []

    @pytest.mark.parametrize("ahead", [3600.0, -3600.0])
    def test_words(self, ahead: float) -> None:
        """The sentences name both servers, the way and the seconds."""
        way = "ahead of" if ahead > 0 else "behind"
        off = judge(Reading(ahead, ahead)).off
        assert off == (
            f"its clock is 3600 s {way} MongoDB's and 3600 s {way} Valkey's; it takes no work until that is mended"
        )
        disagree = judge(Reading(ahead, 0.0)).disagree or ""
        assert disagree.startswith("the clocks of MongoDB and Valkey are 3600 s apart: ")
