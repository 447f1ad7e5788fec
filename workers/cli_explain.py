"""`nestcms-workers payment explain`: why a payment stands as it does, as a story that a person can read."""

from collections.abc import Iterator, Mapping
from typing import Any

from redis.exceptions import RedisError
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from config.connections import redis_client
from config.settings import Settings
from payments.audit_entries import AuditEntries
from payments.explaining import Explainer, ExplainerParts
from payments.inbox import COLLECTION
from workers.cli_errors import NothingRuns
from workers.cli_payment import reading
from workers.cli_settings import client_settings
from workers.waiting import waiting_about

Json = Mapping[str, Any]


def explaining_settings() -> Settings:
    """Read the settings: the database is needed; what waits in the broker is told where that is known too.

    Raises:
        SettingsError: something is wrong.
        StackError: nobody names the database.
    """
    try:
        return client_settings(["mongo_uri", "redis_url"])
    except NothingRuns:
        return client_settings(["mongo_uri"])


def explain_payment(settings: Settings, payment_id: str) -> tuple[Json, Json]:
    """Return a payment's view and everything that led to it.

    Raises:
        PaymentUnreadable: there is no such payment.
        ServerSilent: the database does not answer.
    """
    keys = [settings.paytabs_serverk, settings.paytabs_serverk_previous]
    with reading(settings, payment_id) as world:
        explainer = Explainer(
            ExplainerParts(
                store=world.store,
                ledger=world.ledger,
                review=world.review,
                entries=AuditEntries(world.db),
                inbox=world.db[COLLECTION],
                reactions=world.outbox.rows,
                keys=[key.get_secret_value() for key in keys if key],
            )
        )
        told = explainer.explain(payment_id)
        return world.service.get(payment_id).to_json(), {**told, "waiting": _waiting(settings, told)}


def _waiting(settings: Settings, told: Json) -> list[Json] | None:
    """Return what waits in the broker about a payment; None when nobody can say."""
    ids = {told["payment_id"], *(row["id"] for row in told["deliveries"])}
    for row in told["operations"]:
        ids |= {row["operation_id"], row["tran_ref"]} - {None}
    ids |= {row["event_id"] for row in told["reactions"]}
    if settings.redis_url is None:
        return None
    try:
        with redis_client(settings.redis_url) as broker:
            return [one.to_json() for one in waiting_about(broker, ids)]
    except RedisError:
        return None


def story(view: Json, told: Json) -> RenderableType:
    """Lay out why a payment stands as it does."""
    parts: list[RenderableType] = [Text(_opening(view, told), style="bold")]
    sections = {
        "What happened": [_event(event) for event in told["events"]],
        "To be reviewed": [_review(case) for case in told["reviews"]],
        "Operations": [line for row in told["operations"] for line in _operation(row)],
        "What waits": _waits(told["waiting"]),
        "Raw deliveries": [_delivery(row) for row in told["deliveries"]],
        "Who was told": [_reaction(row) for row in told["reactions"]],
        "What operators did": [_act(entry) for entry in told["acts"]],
    }
    for title, lines in sections.items():
        if lines:
            parts += [Text(f"\n{title}", style="bold"), *(Padding(Text(line), (0, 0, 0, 2)) for line in lines)]
    return Group(*parts)


def _opening(view: Json, told: Json) -> str:
    decided = told["decided_by"]
    if decided is None:
        return f"Payment {view['payment_id']} is {view['state']}: nothing has happened to it yet."
    seen = decided["observed"]
    but = f"; before that, version {seen['version']}, {seen['type']}: {seen['words']}" if seen else ""
    why = f"because of version {decided['version']}, {decided['type']}: {decided['words']}{but}"
    return f"Payment {view['payment_id']} over {view['amount']} {view['currency']} is {view['state']}, {why}."


def _event(event: Json) -> str:
    asked = f"asked for by {event['requested_by']}" if event["requested_by"] else "nobody named who asked"
    ids = f"{event['source']}, correlation id {event['correlation_id']}"
    ids += f", task {event['task_id']}" if event["task_id"] else ""
    first = f"{event['version']}. {_time(event['recorded_at'])}  {event['type']}: {event['words']} → {event['state']}"
    return f"{first}\n   {event['learnt']}; {asked} through {ids}"


def _review(case: Json) -> str:
    proposal = (
        f"; {case['proposal']['task']} {case['proposal']['arguments']} would settle it" if case["proposal"] else ""
    )
    evidence = f" ({'; '.join(case['evidence'])})" if case["evidence"] else ""
    return f"{case['reason']}{evidence}{proposal}"


def _operation(row: Json) -> Iterator[str]:
    amount = f" of {row['amount']} {row['currency']}" if row["amount"] else ""
    who = f", asked for by {row['requested_by']}" if row["requested_by"] else ""
    error = f" ({row['error']})" if row["error"] else ""
    state = f"{row['status']}{', open' if row['open'] else ''}{error}"
    yield f"{row['operation_id']}: {row['kind']}{amount}, {state}, accepted {_time(row['created_at'])}{who}"
    for send in row["sends"]:
        given_up = f", given up {_time(send['retired_at'])}" if send["retired_at"] else ""
        yield f"  cart {send['cart_id']}, sent {_time(send['sent_at'])}{given_up}"


def _waits(found: list[Json] | None) -> list[str]:
    """Say what waits; a broker that nobody asked, or that does not answer, is said to be unknown."""
    return ["not known: the broker does not answer"] if found is None else [row["words"] for row in found]


def _delivery(row: Json) -> str:
    came = f"{_time(row['received_at'])}, {_times(row['seen'])}" if row["received_at"] else _times(row["seen"])
    end = ", ".join(str(one) for one in (row["status"], row["result"], row["reason"]) if one)
    return f"{row['id']}\n   came {came}; {end}; signature {row['signature']}; correlation id {row['correlation_id']}"


def _reaction(row: Json) -> str:
    end = f"done {_time(row['done_at'])}" if row["done_at"] else row["status"]
    why = f" ({row['note'] or row['error']})" if row["note"] or row["error"] else ""
    return f"{row['handler']} about {row['event_id'].rpartition('-')[2]}, {row['type']}: {end}{why}"


def _act(entry: Json) -> str:
    how = entry["outcome"] or "begun"
    return f"#{entry['n']} {_time(entry['at'])}  {entry['by']}: {entry['command']}: {entry['reason']}: {how}"


def _time(moment: str | None) -> str:
    return "?" if moment is None else moment.replace("T", " ").partition(".")[0]


def _times(seen: int | None) -> str:
    return "once" if seen == 1 else f"{seen} times"
