"""The rows of `nestcms-workers policy`, each table read from the one place where it is decided."""

from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

from config.settings import Settings
from config.timechain import LINKS
from payments.ladder import LADDERS, POLLING, Ladder
from paytabs.errors import LISTED_CODES, RESPONSE_CODES, ErrorCode, ResponseCode
from paytabs.refusals import REFUSALS, UNLISTED, CallKind, Standing
from paytabs.resilience import POLICIES, BackoffPolicy

Row = dict[str, Any]

#: How many waits of a policy are shown at most.
FIRST_WAITS = 6

HOUR = timedelta(hours=1)

#: Stands for every code that is not listed.
_ANY_OTHER = ErrorCode(
    code=UNLISTED, meaning="not listed: it is counted, and logged as it came", executed=True,
    configuration_fault=False, evidence="about 60 more are said to exist",
)  # fmt: skip

#: How often a ladder asks after its last step, where there is a word for it.
_OFTEN = {HOUR: "hourly", 24 * HOUR: "daily"}


def policies(_settings: Settings) -> list[Row]:
    """List what is tried again, how often, and how long the first waits may be."""
    return [{"policy": name, **asdict(one), "first_ceilings_seconds": _ceilings(one)} for name, one in POLICIES.items()]


def _ceilings(policy: BackoffPolicy) -> list[float]:
    """Give the longest first waits; after the last attempt nobody waits."""
    return [policy.ceiling(failed) for failed in range(1, policy.max_attempts)][:FIRST_WAITS]


def ladders(_settings: Settings) -> list[Row]:
    """List when PayTabs is asked about an operation, by kind, and what follows when it knows nothing."""
    known = {"known and not final": replace(POLLING, resends=0)}
    return [
        {
            "kind": kind,
            "asked_after": asked_after(ladder),
            "when_nothing_is_found": ladder.on_nothing,
            "human_after": f"{ladder.review_after / HOUR:g} h" if ladder.review_after else "never",
        }
        for kind, ladder in {**LADDERS, **known}.items()
    ]


def asked_after(ladder: Ladder) -> str:
    """Say when a ladder asks, such as "5, 15, 60, 130, 300 s, 1, 6, 24 h, then daily"."""
    steps = [timedelta(seconds=seconds) for seconds in ladder.steps_seconds]
    short = [f"{step.seconds}" for step in steps if step < HOUR]
    long = [f"{step / HOUR:g}" for step in steps if step >= HOUR]
    told = [f"{', '.join(numbers)} {unit}" for numbers, unit in ((short, "s"), (long, "h")) if numbers]
    return f"{', '.join(told)}, then {_OFTEN.get(ladder.every, f'every {ladder.every}')}"


def pages(settings: Settings) -> list[Row]:
    """List how long pages live, and for how long a payer in the middle of one is waited for."""
    then = {
        "paypage_ttl_minutes": "the link is shown to nobody any more",
        "page_margin_seconds": "PayTabs is asked, and another attempt may begin unless somebody may still pay",
        "page_margin_other_seconds": "the same, where another method than a card was named",
    }
    minutes = {
        "paypage_ttl_minutes": settings.paypage_ttl_minutes,
        "page_margin_seconds": settings.page_margin_seconds / 60,
        "page_margin_other_seconds": settings.page_margin_other_seconds / 60,
    }
    return [{"setting": name.upper(), "minutes": minutes[name], "then": words} for name, words in then.items()]


def error_codes(_settings: Settings) -> list[Row]:
    """List the codes that come in the place of an answer, with what each proves of each kind of call."""
    return [*(_error_code(one) for one in LISTED_CODES.values()), _error_code(_ANY_OTHER)]


def _error_code(row: ErrorCode) -> Row:
    code = row.code if row.code in LISTED_CODES else UNLISTED
    proves = {kind.replace("-", "_").replace(" ", "_"): _proves(code, kind) for kind in CallKind}
    return {"code": row.code or "any other", "meaning": row.meaning, **proves, "evidence": row.evidence}


def _proves(code: int, kind: CallKind) -> str:
    """Say what a code proves under a status that PayTabs refuses with, and under another one where that differs."""
    refusing, other = (REFUSALS[code, stands, kind] for stands in (Standing.REFUSING, Standing.OTHER))
    return str(refusing) if refusing is other else f"{refusing}; under another status {other}"


def response_codes(_settings: Settings) -> list[Row]:
    """List the codes that explain a status within an answer."""
    return [
        {
            "status": one.status,
            "code": one.code,
            "meaning": one.meaning,
            "retried": _tried_again(one),
            "evidence": one.evidence,
        }
        for one in RESPONSE_CODES.values()
    ]


def _tried_again(row: ResponseCode) -> str:
    if row.is_doubtful:
        return "no: ask the bank first"
    if not row.payer_may_retry:
        return "no"
    return "by the payer, if they like" if row.same_card_may_do else "by the payer, with another card"


def times(settings: Settings) -> list[Row]:
    """List the times that are set, shortest first, each with those that have to be longer, and why."""
    names = dict.fromkeys(name for link in LINKS for name in (*link.shorter, link.longer))
    return [
        {
            "setting": name.upper(),
            "seconds": getattr(settings, name),
            "stays_under": [f"{link.longer.upper()}: {link.why}" for link in LINKS if name in link.shorter],
        }
        for name in sorted(names, key=lambda one: float(getattr(settings, one)))
    ]
