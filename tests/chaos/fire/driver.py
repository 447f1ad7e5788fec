"""Many stories at once: all look at the same board, and each goes a step on in every round."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from tests.chaos.fire.people import PASSING, People, Surprise
from tests.chaos.fire.stories import Steps, Story
from tests.support.sandbox import SandboxError

#: The pause between two rounds, in seconds.
ROUND_SECONDS = 0.1

#: How a story is begun: all of it, or the part that a run is about.
Part = Callable[[Story], Steps]


class Driver:
    """Lives stories and keeps what went wrong with them.

    Args:
        people: Callers and operator.
        window: How many stories are lived at once.
        deadline: When whatever is unfinished has failed, by `time.monotonic`.
    """

    def __init__(self, people: People, *, window: int, deadline: float) -> None:
        self._people, self._window = people, window
        #: When whatever is unfinished has failed, by `time.monotonic`.
        self.deadline = deadline
        #: What was done that nobody asked for, in words.
        self.surprises: list[str] = []
        #: The stories that did not come to their end in time.
        self.unfinished: list[Story] = []
        #: How long the stories have been lived, in seconds.
        self.lived_seconds = 0.0

    def live(self, stories: Iterable[Story], part: Part, *, per_second: float = 1000.0) -> None:
        """Live a part of every story, beginning at most so many a second."""
        waiting, active = deque(stories), list[tuple[Story, Steps]]()
        began, begun = time.monotonic(), 0
        while (waiting or active) and time.monotonic() < self.deadline:
            allowed = int((time.monotonic() - began) * per_second) + 1
            while waiting and len(active) < self._window and begun < allowed:
                story, begun = waiting.popleft(), begun + 1
                active.append((story, part(story)))
            if self._looked([story for story, _ in active]):
                active = [one for one in active if self._goes_on(*one)]
            time.sleep(ROUND_SECONDS)
        self.lived_seconds += time.monotonic() - began
        self.unfinished += [*(story for story, _ in active), *waiting]

    def _looked(self, stories: Iterable[Story]) -> bool:
        """Look at the board; False while the database cannot be read."""
        with suppress(*PASSING):
            self._people.board.look([story.payment for story in stories])
            return True
        return False

    def _goes_on(self, story: Story, steps: Steps) -> bool:
        """Take a step; tell whether there are more."""
        try:
            return next(steps, self) is None
        except (Surprise, SandboxError, *PASSING) as surprise:
            self.surprises.append(f"{story.plan.shape.name} {story.seeded.payment_id}: {surprise}")
            return False


class Parts:
    """Stories that are lived in several parts, each going on where the last one stopped."""

    def __init__(self, driver: Driver, stories: Sequence[Story], per_second: float) -> None:
        self._driver, self._per_second = driver, per_second
        self._lives = {id(story): story.whole() for story in stories}
        #: Those that have not come to their end.
        self.left = list(stories)

    def live(self, seconds: float) -> None:
        """Go on for so long, or until all have ended."""
        self._driver.unfinished = []
        whole, self._driver.deadline = self._driver.deadline, min(self._driver.deadline, time.monotonic() + seconds)
        try:
            self._driver.live(self.left, lambda story: self._lives[id(story)], per_second=self._per_second)
        finally:
            self._driver.deadline = whole
        self.left = self._driver.unfinished
