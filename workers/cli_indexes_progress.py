"""How far index builds are, as a bar for each that takes long enough to be seen."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from aggregations import index_sync


class BuildProgress:
    """Shows what the builder tells; a build that ends before it is looked at shows nothing."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(), TimeRemainingColumn(),
        )  # fmt: skip
        self._bars = Progress(*columns, console=console)
        self._tasks: dict[tuple[str, str], TaskID] = {}

    def show(self, told: index_sync.Progress) -> None:
        """Move the bar of one build's phase."""
        key = (told.collection, told.phase)
        if key not in self._tasks:
            self._bars.start()
            self._tasks[key] = self._bars.add_task(f"{told.collection}: {told.phase}", total=told.total)
        self._bars.update(self._tasks[key], completed=told.done, total=told.total)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            for task in self._tasks.values():
                self._bars.update(task, completed=self._bars.tasks[task].total)
        self._bars.stop()
