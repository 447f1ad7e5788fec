from workers.library_shapes import SHAPES, USES, misfits


class TestShapes:
    """The methods of Celery and Kombu that ours stand in for are the ones that were looked at."""

    def test_installed(self) -> None:
        """Those that are installed fit."""
        assert misfits() == []

    def test_others(self) -> None:
        """A method with other parameters, another text, or none of its name is named with what was expected."""
        for name in SHAPES:
            (found,) = misfits({name: "self another"}, {})
            assert found == f"{name}: expected the parameters (self another)"
        for name in USES:
            assert misfits({}, {name: "no such line"}) == [f"{name}: expected no such line"]
        assert len(misfits({"kombu.transport.redis:Channel.gone": "self"}, {"celery.worker.loops:gone": "x"})) == 2
