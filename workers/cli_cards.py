"""`nestcms-workers cards`: see a client's stored cards, have them forgotten, and rotate the keys of their tokens."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import click
from pymongo.errors import PyMongoError
from rich.console import Console, RenderableType
from rich.table import Table

from config.addresses import hosts
from config.settings import Settings
from payments.card_keys import reencrypt
from payments.card_vault import new_key
from payments.errors import InvalidArgument, NotYet, StreamContended
from tasks.publishing import leave_to_sweeps
from tasks.wiring import World, build_world
from workers.cli_audit_entry import by_option, operator_action, reason_option
from workers.cli_enqueue import to_text
from workers.cli_errors import CardUnusable, database_silent
from workers.cli_payment import check_id, wide
from workers.cli_settings import client_settings, gateway_settings
from workers.cli_world import acting, opened_world

Json = Mapping[str, Any]

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def cards() -> None:
    """See stored cards, have them forgotten, and rotate the keys of their tokens."""


@cards.command("new-key")
def print_key() -> None:
    """Print a fresh key for CARD_KEYS; it is kept nowhere."""
    click.echo(new_key())


@cards.command("list")
@click.argument("client_id", metavar="CLIENT_ID", callback=check_id)
@json_option
def list_cards(*, client_id: str, as_json: bool) -> None:
    """List the cards that are kept for a client, masked."""
    with opened_world(client_settings(["mongo_uri"])) as world:
        found = world.cards.list(client_id)
    if as_json:
        click.echo(to_text(found))
    elif not found["cards"]:
        click.echo("No card is kept for this client.")
    else:
        wide(Console()).print(cards_table(found["cards"]))


@cards.command()
@click.argument("card_id", metavar="[CARD_ID]", required=False)
@click.option("--client", "client_id", help="All cards of this client.", metavar="CLIENT_ID")
@reason_option()
@by_option()
def forget(*, card_id: str | None, client_id: str | None, reason: str, by: str) -> None:
    """Have a card forgotten, or all cards of a client: by PayTabs, then here.

    What is forgotten is gone for good; asked again, it stays so. The masked number stays where it says which card was
    charged.
    """
    if (card_id is None) == (client_id is None):
        raise click.UsageError("expected either CARD_ID or --client CLIENT_ID")
    with whole_world(gateway_settings(["mongo_uri"])) as world:
        named = [card_id] if card_id else [card["card_id"] for card in world.cards.list(str(client_id))["cards"]]
        for one in named:
            try:
                world.cards.forget(one, replace(acting(by), operation_id=f"forget-{one}"), reason)
            except (InvalidArgument, NotYet, StreamContended) as error:
                raise CardUnusable(one, str(error)) from error
            click.echo(f"{one} is forgotten.")
    if not named:
        click.echo("No card is kept for this client.")


@cards.command("reencrypt")
@click.option("--fetch", is_flag=True, help="Ask PayTabs again for tokens that no key opens.")
@reason_option()
@by_option()
def renew(*, fetch: bool, reason: str, by: str) -> None:
    """Encrypt every token anew under the first of CARD_KEYS; then older keys are not needed any more.

    It can be stopped and run again at any time. What none of the keys opens is counted; with --fetch the workers ask
    PayTabs for it again.
    """
    settings = client_settings(["mongo_uri"])
    with (
        operator_action(
            settings, command="cards reencrypt", by=by, reason=reason, arguments={"fetch": fetch}
        ) as action,
        whole_world(settings) as world,
    ):
        try:
            done = reencrypt(world.cards.store, world.cards.vault, world.clock(), fetch=fetch)
        except InvalidArgument as error:
            raise CardUnusable("any", str(error)) from error
        action.outcome = f"encrypted {done.renewed} anew, {done.unreadable} that no key opens"
    click.echo(f"Encrypted {done.renewed} tokens anew; {done.unreadable} are opened by none of the keys.")
    if done.unreadable:
        asked = "are asked for again" if fetch else "stay as they are; with --fetch PayTabs is asked for them again"
        click.echo(f"Those {asked}.")
        raise SystemExit(0 if fetch else 1)


@contextlib.contextmanager
def whole_world(settings: Settings) -> Iterator[World]:
    """Give a world for as long as there are cards to go through.

    Raises:
        ServerSilent: the database does not answer.
    """
    try:
        with contextlib.closing(build_world(settings, send=leave_to_sweeps)) as world:
            yield world
    except PyMongoError as error:
        raise database_silent(hosts(settings.mongo_uri or ""), error) from error


def cards_table(rows: Sequence[Json]) -> RenderableType:
    """Lay out a client's cards, one a line."""
    table = Table(title="Stored cards", title_justify="left")
    for name in ("card", "scheme", "number", "until", "state", "agreement", "made by"):
        table.add_column(name, no_wrap=name == "card")
    for row in rows:
        agreed = row["agreement"]
        table.add_row(
            row["card_id"], row["scheme"] or "-", row["masked"] or "-", row["expires"] or "-", row["state"],
            agreed["token_type"] if agreed else "-", row["tran_ref"],
        )  # fmt: skip
    return table
