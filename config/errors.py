"""How wrong settings are reported: every mistake at once, by the name an operator types."""

from collections.abc import Sequence


class SettingsError(Exception):
    """Raised when settings are missing, malformed or contradict each other.

    Attributes:
        mistakes: One line per mistake, ``VARIABLE: what was expected``; never the value that was given, which may be
            a secret.
    """

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("settings are wrong:\n" + "\n".join(f"  {mistake}" for mistake in self.mistakes))
