"""`nestcms-workers servers`: whose the broker and the cache are, and handing them over."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from pymongo.errors import PyMongoError
from redis.exceptions import RedisError
from rich.console import Console

from config.addresses import hosts
from config.connections import redis_client
from config.fingerprints import hand_over, ours
from config.settings import Settings
from workers.cli_audit_entry import by_option, operator_action, reason_option
from workers.cli_enqueue import to_text
from workers.cli_errors import MessagesWait, ServerSilent
from workers.cli_payment import wide
from workers.cli_settings import client_settings
from workers.cli_status import table_of
from workers.server_rows import ANSWER_SECONDS, parts, row_of, waiting


@click.group()
def servers() -> None:
    """See whose the broker and the cache are, and hand them over."""


@servers.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(*, as_json: bool) -> None:
    """Show which system's fingerprint the broker and the cache carry; exit code 1 when it is another's."""
    settings = client_settings(["mongo_uri", "redis_url"])
    with answering(settings):
        own = ours(settings)
        rows = [row_of(name, url, own) for name, url in parts(settings).items()]
    if as_json:
        click.echo(to_text(rows))
    else:
        wide(Console()).print(table_of("servers", rows))
    if not all(row["ok"] for row in rows):
        raise click.exceptions.Exit(1)


@servers.command("hand-over")
@click.option("--with-messages", is_flag=True, help="Also with messages in the broker: they are this system's.")
@reason_option()
@by_option()
def hand_servers_over(*, with_messages: bool, reason: str, by: str) -> None:
    """Have the broker and the cache carry this system's fingerprint.

    Right after a restore, a move or a new profile. What waits in the broker is done by this system from then on: with
    messages in it the command has to be told that they are this system's. Processes that wait go on within seconds.
    """
    settings = client_settings(["mongo_uri", "redis_url"])
    with answering(settings):
        own = ours(settings)
        given = {"to": str(own), "with_messages": with_messages}
        with operator_action(settings, command="servers hand-over", by=by, reason=reason, arguments=given) as action:
            broker = str(settings.redis_url)
            if not with_messages and not row_of("broker", broker, own)["ok"] and (found := waiting(broker)):
                raise MessagesWait(found)
            told = []
            for name, url in parts(settings).items():
                with redis_client(url, timeout_seconds=ANSWER_SECONDS) as server:
                    told.append(f"the {name} was {hand_over(server, own) or 'nobody'}'s")
            action.outcome = f"handed over: {'; '.join(told)}"
    click.echo(f"Now {own}; {'; '.join(told)}.")


@contextmanager
def answering(settings: Settings) -> Iterator[None]:
    """Say in one sentence which server does not answer.

    Raises:
        ServerSilent: one does not.
    """
    try:
        yield
    except PyMongoError as error:
        raise ServerSilent("MongoDB", hosts(settings.mongo_uri or ""), type(error).__name__) from error
    except RedisError as error:
        raise ServerSilent("the broker or the cache", hosts(settings.redis_url or ""), type(error).__name__) from error
