"""The declared indexes: each with the query it serves. What an aggregation leans on is named here.

Beside them stand the six that the plan this project grew from listed, and what became of each. None of ours spans two
arrays: MongoDB refuses the write of a document that has lists in two fields of one index.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Index:
    """One declared index on a collection of the CMS.

    Attributes:
        name: what it is called on the server; ours begin with `nw_`, so that nobody takes them for the CMS's.
        collection: where it is.
        keys: its fields in order, each ascending (1) or descending (-1).
        serves: the query it is there for.
    """

    name: str
    collection: str
    keys: tuple[tuple[str, int], ...]
    serves: str


def _up(*names: str) -> tuple[tuple[str, int], ...]:
    return tuple((name, 1) for name in names)


INDEXES: dict[str, Index] = {
    row.name: row
    for row in (
        Index("nw_projects_employee", "projects", _up("employee"), "the projects a user works on"),
        Index("nw_projects_contract", "projects", _up("contract"), "the projects of a contract, when it is paid"),
        Index("nw_permissions_for_status", "permissions", _up("_for", "status"), "the permissions a user was granted"),
        Index("nw_notes_on", "notes", _up("onModel", "onId"), "the notes on a project"),
        Index("nw_payments_client_status", "payments", _up("client", "status"), "the payments of a client"),
        Index("nw_payments_transr", "payments", _up("transR"), "the payment of a PayTabs reference"),
        Index("nw_payments_contract_status", "payments", _up("contractId", "status"), "the payments of a contract"),
        Index("nw_payments_created", "payments", _up("createdAt"), "the payments of a day, for the views; of a span"),
        Index(
            "nw_projectearnings_project", "projectearnings", _up("project", "currency", "type", "amount"),
            "a project's earnings, covered",
        ),
        Index(
            "nw_orgzearnings_orgz", "orgzearnings", _up("orgz", "currency", "type", "amount", "period"),
            "an organisation's earnings, covered",
        ),
    )
}  # fmt: skip


#: How the names of ours begin.
PREFIX = "nw_"


@dataclass(frozen=True)
class Planned:
    """An index of the plan this project grew from.

    Attributes:
        collection: where it was to be.
        keys: its fields, as far as they matter.
        wrong: why it is not declared.
        instead: the declared indexes that do its work; `_id_` is the one that every collection has.
        because: what those are better at.
    """

    collection: str
    keys: str
    wrong: str
    instead: tuple[str, ...]
    because: str


_BEGINS_WITH_ID = "begins with _id, which is unique: after it there is nothing left to narrow down, and _id_ is there"

PLANNED: tuple[Planned, ...] = (
    Planned(
        "contracts", "{_id, …}", _BEGINS_WITH_ID, ("_id_", "nw_payments_contract_status", "nw_projects_contract"),
        "a contract is found by _id_; what belongs to it is found from the other side, by contractId and by contract",
    ),
    Planned(
        "projects", "{_id, designs, steps, notes}",
        "spans two arrays (designs, steps), which MongoDB refuses: with it no project with both could be written",
        ("_id_", "nw_notes_on"),
        "designs and steps are found by their own _id_; notes are the documents that were scanned, by onModel and onId",
    ),
    Planned(
        "projectearnings", "{_id, …}", _BEGINS_WITH_ID, ("nw_projectearnings_project", "nw_orgzearnings_orgz"),
        "totals are asked for by project or organisation, and answered from the index alone",
    ),
    Planned(
        "users", "{_id, …}, for the permissions of a user", _BEGINS_WITH_ID, ("nw_permissions_for_status",),
        "the permissions are what was scanned, by whom they are for",
    ),
    Planned(
        "users", "{_id, …}, for the projects of a user", _BEGINS_WITH_ID, ("nw_projects_employee",),
        "the projects are what was scanned, by who works on them",
    ),
    Planned(
        "payments", "{client.id, …}", "client.id does not exist: client is the reference itself",
        ("nw_payments_client_status", "nw_payments_transr"),
        "a client's payments are found by client, a notice's payment by transR",
    ),
)  # fmt: skip
