"""Who may turn the switches while the server runs, and what happens on a wrong turn: nothing, and it is named."""

import threading
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from sandbox.errors import DeskRefusal
from sandbox.switches import Switches


class SwitchBoard:
    """Holds the present setting; replaced as a whole, so that a reader never sees half a change."""

    def __init__(self, initial: Switches | None = None) -> None:
        self._initial = initial or Switches()
        self._current = self._initial
        self._lock = threading.Lock()

    @property
    def now(self) -> Switches:
        """The present setting."""
        return self._current

    def change(self, changes: Mapping[str, Any]) -> Switches:
        """Set some switches and leave the others.

        Args:
            changes: Values by name.

        Returns:
            The new setting.

        Raises:
            DeskRefusal: Naming every unknown switch and every unsuitable value; nothing was set.
        """
        with self._lock:
            try:
                self._current = Switches.model_validate({**self._current.model_dump(), **changes})
            except ValidationError as error:
                raise DeskRefusal("; ".join(_sentence(fault) for fault in error.errors())) from None
            return self._current

    def reset(self) -> None:
        """Go back to the setting the server started with."""
        with self._lock:
            self._current = self._initial


def describe() -> dict[str, dict[str, Any]]:
    """List every switch with its meaning and default.

    Returns:
        By name: `description` and `default`.
    """
    return {
        name: {"default": field.default, "description": field.description}
        for name, field in Switches.model_fields.items()
    }


def _sentence(fault: Mapping[str, Any]) -> str:
    name = ".".join(str(part) for part in fault["loc"]) or "switches"
    return f"{name}: no such switch" if fault["type"] == "extra_forbidden" else f"{name}: {fault['msg']}"
