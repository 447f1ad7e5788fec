"""The declared indexes on a database that nobody else fills: the desk's own, where nobody has to be asked."""

from rich.console import Console

from config.settings import Settings
from workers.cli_indexes_server import build, plan_of
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
    quiet = Console(quiet=True)
    report = build(settings, plan_of(settings), quiet, create_collections=True, drop_undeclared=False)
    if report.refused:
        raise IndexesRefused(" ".join(report.refused.values()))
    return list(report.built)
