"""The declared indexes: each with the query it serves. What an aggregation leans on is named here."""

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
        Index(
            "nw_projectearnings_project", "projectearnings", _up("project", "currency", "type", "amount"),
            "a project's earnings, covered",
        ),
        Index(
            "nw_orgzearnings_orgz", "orgzearnings", _up("orgz", "currency", "type", "amount"),
            "an organisation's earnings, covered",
        ),
    )
}  # fmt: skip
