"""`nestcms-workers review`: what waits for a human, what to do about it, and closing it with a word about why.

Which payments there are to look at is what the open alerts say: an alert is opened in the transaction of the facts that
need a human and closed in the one of those that end it, whether the CMS still has the payment's document or not.
Operations in review are looked at as well, and each payment is judged anew from its facts.
"""

from collections.abc import Iterator
from typing import get_args

import click
import pymongo
from rich.console import Console

from config.redaction import redact_text
from payments.cases import CASE_ID_LENGTH, Case
from payments.errors import InvalidArgument, NotYet, StreamContended
from payments.overriding import PageOverrides
from payments.projections import REVIEW_ALERT
from payments.reasons import LEAVES
from payments.settling import Decision
from tasks.wiring import World
from workers.cli_audit_entry import operator_action
from workers.cli_document_gone import document_gone
from workers.cli_enqueue import to_text
from workers.cli_errors import CaseUnusable, NotImported, PageStands, PaymentUnreadable
from workers.cli_payment import check_id, state_table, wide
from workers.cli_review_tables import decisions, decisions_table, list_table, plain, print_case
from workers.cli_settings import client_settings, gateway_settings
from workers.cli_world import READ_SECONDS, acting, opened_world, whoever_types

by_option = click.option("--by", default=whoever_types, help="Who decides; you, when left out.")
note_option = click.option("--note", required=True, help="Why; it stays in the payment's history.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def check_case(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Take a case's id, or its beginning."""
    if not 0 < len(value) <= CASE_ID_LENGTH or set(value) - set("0123456789abcdef"):
        raise click.BadParameter(f"expected up to {CASE_ID_LENGTH} hexadecimal digits, got {value!r}")
    return value


@click.group()
def review() -> None:
    """Look at what waits for a human, and settle it."""


review.add_command(document_gone)


@review.command("list")
@json_option
def list_cases(*, as_json: bool) -> None:
    """List the cases of all payments, those that have waited longest first."""
    by = whoever_types()
    with opened_world(client_settings(["mongo_uri"])) as world:
        shown = [plain(case, world.ledger.of_payment(case.payment_id), by) for case in open_cases(world)]
    if as_json:
        click.echo(to_text(shown))
    elif not shown:
        click.echo("Nothing waits for a human.")
    else:
        wide(Console()).print(list_table(shown))


@review.command()
@click.argument("payment_id", metavar="PAYMENT_ID", callback=check_id)
@json_option
def show(*, payment_id: str, as_json: bool) -> None:
    """Show the cases of a payment, what to do about each, and the commands that settle it."""
    by = whoever_types()
    try:
        with opened_world(client_settings(["mongo_uri"])) as world, pymongo.timeout(READ_SECONDS):
            view = world.service.get(payment_id).to_json()
            rows = world.ledger.of_payment(payment_id)
            shown = [plain(case, rows, by) for case in world.review.cases(payment_id)]
            decided = decisions(world.service.history(payment_id))
    except InvalidArgument as error:
        raise PaymentUnreadable(payment_id, str(error)) from error
    if as_json:
        click.echo(to_text({"payment": view, "cases": shown, "decisions": decided}))
        return
    console = wide(Console())
    console.print(state_table(view))
    for case in shown:
        print_case(console, case)
    if decided:
        console.print(decisions_table(decided))
    if not shown:
        click.echo("Nothing of it waits for a human.")


@review.command()
@click.argument("case_id", metavar="CASE_ID", callback=check_case)
@note_option
@by_option
@click.option("--not-happened", is_flag=True, help="Declare that the operation in doubt did not happen.")
@click.option(
    "--as", "decision", type=click.Choice(get_args(Decision)), help="Whose word stands, of what the CMS says."
)
def settle(*, case_id: str, note: str, by: str, not_happened: bool, decision: Decision | None) -> None:
    """Close the case CASE_ID; the beginning of an id will do.

    A case about what the CMS itself says of a payment is settled in one of three ways: `--as ours` writes ours over
    it, `--as theirs` keeps it, `--as outside` says that the payment was settled without PayTabs, in cash for example.
    """
    with opened_world(client_settings(["mongo_uri"])) as world:
        case = the_one(world, case_id)
        about = {"case_id": case.case_id, "payment_id": case.payment_id, "not_happened": not_happened, "as": decision}
        try:
            with operator_action(world.db, command="review settle", by=by, reason=note, arguments=about):
                decide(world, case, redact_text(note), by, not_happened=not_happened, decision=decision)
        except (InvalidArgument, StreamContended) as error:
            raise CaseUnusable(case.case_id, str(error)) from error
        view = world.service.get(case.payment_id)
    click.echo(to_text({"case_id": case.case_id, "payment_id": case.payment_id, "reason": case.reason, "by": by,
                        "state": view.state, "left": list(view.review)}))  # fmt: skip


@review.command("override-page")
@click.argument("payment_id", metavar="PAYMENT_ID", callback=check_id)
@note_option
@by_option
def override_page(*, payment_id: str, note: str, by: str) -> None:
    """Set a payment's open page aside, so that it can be paid in another way.

    PayTabs is asked first: a page that has been paid is never overridden. Who still holds the link can pay it all the
    same; paid twice, the payment becomes a case.
    """
    with opened_world(gateway_settings(["mongo_uri", "redis_url"])) as world:
        overrides, about = PageOverrides(world.store, world.ledger, world.service), {"payment_id": payment_id}
        try:
            with operator_action(world.db, command="review override-page", by=by, reason=note, arguments=about):
                row = overrides.override(payment_id, redact_text(note), acting(by))
        except NotYet as error:
            raise PageStands(payment_id, f"PayTabs does not say how its page stands ({error.reason})") from error
        except (InvalidArgument, StreamContended) as error:
            raise PageStands(payment_id, str(error)) from error
        view = world.service.get(payment_id)
    click.echo(to_text({"payment_id": payment_id, "operation_id": row.operation_id, "tran_ref": row.tran_ref, "by": by,
                        "state": view.state}))  # fmt: skip


@review.command("import-settled")
@click.argument("payment_id", metavar="PAYMENT_ID", callback=check_id)
@note_option
@by_option
def import_settled(*, payment_id: str, note: str, by: str) -> None:
    """Take over a payment that the CMS calls paid or refunded and that never went through PayTabs.

    From then on it has a history here, which says that it was settled outside; it is charged as little as before.
    """
    with opened_world(gateway_settings(["mongo_uri"])) as world:
        about = {"payment_id": payment_id}
        try:
            with operator_action(world.db, command="review import-settled", by=by, reason=note, arguments=about):
                world.word.import_settled(payment_id, redact_text(note), acting(by))
        except (InvalidArgument, StreamContended) as error:
            raise NotImported(payment_id, str(error)) from error
        view = world.service.get(payment_id)
    told = {"payment_id": payment_id, "by": by, "state": view.state, "status": view.status}
    click.echo(to_text(told))


def decide(
    world: World, case: Case, note: str, by: str, *, not_happened: bool, decision: Decision | None = None
) -> None:
    """Settle a case, or the operation it is about.

    Raises:
        CaseUnusable: it has to be settled in another way.
        InvalidArgument: it cannot be settled, or not yet.
    """
    if (case.reason.code in LEAVES) != (decision is not None):
        wanted = "add --as ours, theirs or outside" if decision is None else "settle it without --as"
        raise CaseUnusable(case.case_id, f"it is about {'' if decision is None else 'something else than '}what the "
                           f"CMS says; {wanted}")  # fmt: skip
    if decision is not None:
        world.word.settle(case.payment_id, case.reason, decision, note, acting(by))
        return
    if not_happened and case.operation_id is None:
        raise CaseUnusable(case.case_id, "it is not about an operation in doubt; settle it without --not-happened")
    if case.operation_id is None:
        world.review.settle(case.payment_id, case.reason, note, acting(by))
    elif not_happened:
        world.review.settle_operation(case.operation_id, note, acting(by))
    else:
        raise CaseUnusable(
            case.case_id,
            f"operation {case.operation_id} is in doubt. Has it happened, 'enqueue payments.verify' with its tran_ref "
            "ends it; has it not, add --not-happened",
        )


def the_one(world: World, beginning: str) -> Case:
    """Return the open case whose id begins so.

    Raises:
        CaseUnusable: there is none, or more than one.
    """
    found = [case for case in open_cases(world) if case.answers_to(beginning)]
    if len(found) != 1:
        raise CaseUnusable(beginning, "several ids begin so" if found else "there is no open case of that id")
    return found[0]


def open_cases(world: World) -> Iterator[Case]:
    """Give the open cases of all payments, those that have waited longest first."""
    with pymongo.timeout(READ_SECONDS):
        known = [*world.alerts.open_keys(REVIEW_ALERT), *world.ledger.payments_in_review()]
    for payment_id in dict.fromkeys(known):
        yield from world.review.cases(payment_id)
