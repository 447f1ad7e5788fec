"""The declared indexes on a database that nobody else fills: the desk's own, where nobody has to be asked."""

from aggregations.index_sync import IndexBuilder
from config.connections import database, mongo_client
from config.settings import Settings
from tasks.indexing import BUILD_SECONDS
from workers.cli_indexes_server import plan_of
from workers.errors import StackError


class IndexesRefused(StackError):
    """Raised when the desk's own database does not take the declared indexes."""

    def __init__(self, reasons: str) -> None:
        super().__init__(f"the declared indexes cannot be built: {reasons}")


def build_declared(settings: Settings) -> list[str]:
    """Build what is missing, with the collections that do not exist yet, and name what was built.

    Args:
        settings: With the address of the desk's own database; a CMS's is left to its operator.

    Raises:
        IndexesRefused: one could not be built.
    """
    with mongo_client(settings, timeout_seconds=BUILD_SECONDS) as patient:
        report = IndexBuilder(database(patient, settings)).sync(plan_of(settings), create_collections=True)
    if report.refused:
        raise IndexesRefused(" ".join(report.refused.values()))
    return list(report.built)
