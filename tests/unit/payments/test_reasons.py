import ast
import random
import string
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments import reason_kinds
from payments.assessment import Assessment, assess
from payments.cases import Case, cases
from payments.cms_fields import cms_fields
from payments.events import from_document
from payments.facts import CaseFact, Fact, FollowUpStarted, ReviewSettled, TransactionObserved
from payments.payment import Payment, fold
from payments.reason_kinds import REASON_KINDS, ReasonKind, words
from payments.reasons import Reason, ReasonCode
from payments.reasons_before import SENTENCES, read_sentence, sentence_before, sentences_before
from tests.support.reasons import about, reason_of, reason_of_key
from tests.unit.payments.stories import after, page, seen
from tests.unit.payments.test_any_order import BEFORE, MANY, SAID
from tests.unit.payments.test_histories import HISTORIES, stored

SOURCE = Path(__file__).parents[3]
DOCS = SOURCE / "docs" / "operations.md"

CAPTURE = FollowUpStarted(
    operation_id="op-9", cart_id="op-T2", action="capture", tran_ref="T1", amount="115.00", currency="SAR"
)
GIVEN_UP = ReviewSettled(**about("capture op-9: nothing found within a day"), note="n", by="b", operation_id="op-9")

TEXT = st.text(string.ascii_letters + string.digits + " :'-…\n", max_size=30)


class TestKinds:
    """Every code has a row that says what it reads like, what it means and what to do."""

    def test_closed(self) -> None:
        """No code is without a row, and no row without a code."""
        assert set(REASON_KINDS) == {str(code) for code in ReasonCode}

    @MANY
    @given(before=BEFORE, said=SAID)
    def test_judged(self, before: list[Fact], said: list[TransactionObserved]) -> None:
        """Whatever PayTabs says, the case that comes of it is of a known code, with every name in its words filled."""
        for reason in assess(fold([*before, *said])).review:
            assert reason.code in REASON_KINDS
            assert len(reason.params) >= len(REASON_KINDS[reason.code].params), reason

    @pytest.mark.parametrize(
        ("said", "reason"),
        [
            (after("T1", "T2", "refund", "A"), Reason("kind_differs", "T2", ("refund", "capture"))),
            (after("T7", "T2", "capture", "A"), Reason("acts_on_another_transaction", "T2", ("capture",))),
            (after("T1", "T2", "capture", "A", "40.00"), Reason("amount_differs", "T2", ("capture",))),
            (after("T1", "T2", "capture", "A"), Reason("given_up_and_happened", "T2", ("capture",))),
        ],
    )
    def test_follow_ups(self, said: TransactionObserved, reason: Reason) -> None:
        """So is what differs from a follow-up of ours, or happened although it was given up."""
        told = [*page("auth"), CAPTURE, GIVEN_UP, seen("T1", "auth", "A"), seen("T7", "auth", "A"), said]
        assert reason in assess(fold(told)).review

    @pytest.mark.parametrize("kind", REASON_KINDS.values(), ids=REASON_KINDS)
    def test_docs(self, kind: ReasonKind) -> None:
        """docs/operations.md has the same table, word by word."""
        assert f"| `{kind.code}` | {kind.words} | {kind.means} | {kind.to_do} |" in DOCS.read_text().splitlines()

    def test_newer(self) -> None:
        """A code of a newer version is shown as it is, with what it is about."""
        assert words(Reason("moon_is_full", "TST1", ("tonight",))) == "moon is full TST1 tonight"


class TestSentences:
    """What versions before the codes wrote is read into codes for ever."""

    @pytest.mark.parametrize("code", sorted(SENTENCES))
    @given(data=st.data())
    def test_there_and_back(self, code: str, data: st.DataObject) -> None:
        """A sentence gives its code, and the code its sentence, whatever the names in it are."""
        for sentence in SENTENCES[code]:
            names = {name: data.draw(TEXT) for _, name, _, _ in string.Formatter().parse(sentence) if name}
            params = [names[name] for name in sorted(names) if name.isdigit()]
            written = sentence.format(*params, **{name: names[name] for name in names if not name.isdigit()})
            found = read_sentence(written)
            assert written in sentences_before(*found)

    @pytest.mark.parametrize(
        ("sentence", "reason"),
        [
            ("TST1: amount differs from the payment's", Reason("amount_differs", "TST1", ("payment",))),
            ("TST1: amount differs from the refund's", Reason("amount_differs", "TST1", ("refund",))),
            ("TST1: a refund where a capture was asked", Reason("kind_differs", "TST1", ("refund", "capture"))),
            ("TST1: unknown status 'Z'", Reason("unknown_status", "TST1", ("'Z'",))),
            ("paid twice: TST1 and TST2 both stand", Reason("paid_twice", "", ("TST1", "TST2"))),
            ("paid twice: TST1 and TST2 and TST3 both stand", Reason("paid_twice", "", ("TST1", "TST2", "TST3"))),
            ("refund op-1: nothing found within a day", Reason("nothing_found", "op-1", ("refund",))),
            ("refund op-1: nothing found within 1 day, 0:00:00", Reason("nothing_found", "op-1", ("refund",))),
            ("operation op-1: PayTabs does not show it", Reason("not_shown_by_paytabs", "operation op-1")),
            ("a notice with another amount", Reason("notice_with_another_amount")),
            ("the moon is full", Reason("unrecognised", "the moon is full")),
            ("", Reason("unrecognised")),
        ],
    )
    def test_read(self, sentence: str, reason: Reason) -> None:
        """Each into its code; one that nobody is known to have written is kept as it is."""
        assert reason_of(sentence) == reason

    def test_frozen(self) -> None:
        """Words may change, sentences may not: of a reason of those days the key is the last sentence of it."""
        reason = Reason("amount_differs", "TST1", ("payment",))
        assert reason.key == sentence_before("amount_differs", "TST1", ("payment",))
        assert reason.key == "TST1: amount differs from the payment's"

    def test_long(self) -> None:
        """A sentence of any length is read in a time that grows with its length alone."""
        hostile = ": a " * 20_000 + " where a " * 20_000
        assert read_sentence(hostile) == ("unrecognised", hostile, ())


@pytest.fixture
def reworded(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Every sentence of every reason as somebody may word it tomorrow: at random."""
    draw = random.Random(seed)  # noqa: S311 - words, not a secret
    letters = string.ascii_letters + "   :…'"

    def other(kind: ReasonKind) -> ReasonKind:
        names = [f"{{{name.removesuffix('…')}}}" for name in kind.params] + ["{subject}"]
        parts = ["".join(draw.choices(letters, k=12)), *draw.sample(names, draw.randint(0, len(names)))]
        return replace(kind, words=" ".join(parts))

    monkeypatch.setattr(reason_kinds, "REASON_KINDS", {code: other(kind) for code, kind in REASON_KINDS.items()})


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.usefixtures("reworded")
class TestReworded:
    """Rewording every sentence at random changes nothing but words."""

    @pytest.mark.parametrize("history", HISTORIES, ids=[one["name"] for one in HISTORIES])
    def test_histories(self, history: dict[str, Any]) -> None:
        """The golden histories of every version come to what they came to, and their cases have the same ids."""
        told = [from_document(stored(one)).fact for one in history["documents"]]
        found, payment = assess(fold(told)), fold(told)
        assert (str(found.state), found.cms_status) == (history["expected"]["state"], history["expected"]["status"])
        assert [reason.key for reason in found.review] == history["expected"]["review"]
        assert ids(payment, found) == [case_id(key) for key in history["expected"]["review"]]
        shown = cms_fields(payment, found, 1, None)["gateway"]
        assert shown["review_codes"] == [reason_of_key(key).code for key in history["expected"]["review"]]
        assert len(shown["review"]) == len(shown["review_codes"])

    @pytest.mark.parametrize("history", HISTORIES, ids=[one["name"] for one in HISTORIES])
    def test_written_today(self, history: dict[str, Any]) -> None:
        """A case that was settled in other words stays settled when its facts are told again in today's."""
        told = [from_document(stored(one)).fact for one in history["documents"]]
        again = [replace(one, reason=words(one.case)) if isinstance(one, CaseFact) else one for one in told]
        assert fold([*told, *again[-1:]]) == fold([*told, *told[-1:]])
        assert assess(fold(again)) == assess(fold(told))


def ids(payment: Payment, found: Assessment) -> list[str]:
    """Return the ids of a payment's cases."""
    return [case.case_id for case in cases(PAYMENT, payment, found, [])]


def case_id(key: str) -> str:
    """Return the id of the case that a reason's key makes."""
    return Case(PAYMENT, reason_of_key(key), ()).case_id


PAYMENT = "65f0c0ffee65f0c0ffee65f0"


class TestCase:
    """What a case says of itself."""

    def test_id(self) -> None:
        """Its id is eight digits made from the payment and the reason, the same in every version."""
        case = Case(PAYMENT, Reason(ReasonCode.NOTICE_AMOUNT), ())
        assert case.case_id == "b8cfc2a7"
        assert Case(case.payment_id, case.reason, ("other evidence",), "op-1").case_id == case.case_id
        assert Case(case.payment_id[::-1], case.reason, ()).case_id != case.case_id

    def test_earlier_id(self) -> None:
        """An id from an operator's notes still finds its case, whichever sentence it was made from."""
        case = Case(PAYMENT, Reason(ReasonCode.NOTHING_FOUND, "op-1", ("refund",)), ())
        first, last = "0ad4d876", "bc683290"
        assert case.case_id == last
        assert case.answers_to(first)
        assert case.answers_to(last[:3])
        assert not case.answers_to("ffffffff")

    @pytest.mark.parametrize(
        ("sentence", "evidence", "tran_ref"),
        [
            ("TST2621800000102: amount differs from the payment's", (), "TST2621800000102"),
            ("a notice with another amount", ("TST2621800000102 sale A (delivery ab)",), "TST2621800000102"),
            ("the CMS says paid, PayTabs does not know the reference", ("TST0000000000001",), "TST0000000000001"),
            ("refund op-1: nothing found within a day", ("cart nw-1",), None),
            ("paid twice: TST2621800000102 and TST2621800000103 both stand", (), None),
        ],
    )
    def test_tran_ref(self, sentence: str, evidence: tuple[str, ...], tran_ref: str | None) -> None:
        """It names the one transaction that it is about, where there is one."""
        assert Case(PAYMENT, reason_of(sentence), evidence).tran_ref == tran_ref


class TestSource:
    """Nothing in the source goes by words."""

    def test_no_sentence(self) -> None:
        """No module but the two tables has a text with what a sentence of a reason, of today or before, has fixed."""
        sentences = [
            *(one for known in SENTENCES.values() for one in known),
            *(
                kind.words for kind in REASON_KINDS.values() if kind.code != ReasonCode.CMS_NOT_CONFIRMED
            ),  # two words fixed
        ]
        fixed = {
            max((text for text, _, _, _ in string.Formatter().parse(one)), key=len).strip(": ") for one in sentences
        }
        fixed = {one for one in fixed if len(one) > len("was asked")}
        tables = {"reasons_before.py", "reason_kinds.py"}
        for module in (path for room in ("payments", "tasks", "workers") for path in (SOURCE / room).glob("*.py")):
            if module.name not in tables:
                found = [text for text in texts(module) if any(one in text for one in fixed)]
                assert found == [], module

    def test_searched(self) -> None:
        """The tables themselves would be found."""
        assert "{subject}: amount missing" in texts(SOURCE / "payments" / "reason_kinds.py")


def texts(module: Path) -> list[str]:
    """Return the texts in a module that are no docstrings."""
    tree = ast.parse(module.read_text())
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told
    ]
