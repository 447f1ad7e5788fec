"""Lists within an answer: never without a bound, and what is left out is said."""

from typing import Any

from aggregations.aggregation import Document, Stage
from aggregations.errors import NotFound
from aggregations.parameters import Page


def part(page: Page, *, newest_first: bool = False) -> list[Stage]:
    """Return the stages that give a page and one more, by which `cut` knows whether there are more."""
    skipped: list[Stage] = [{"$skip": page.skip}] if page.skip else []
    return [{"$sort": {"_id": -1 if newest_first else 1}}, *skipped, {"$limit": page.limit + 1}]


def cut(name: str, page: Page) -> Document:
    """Return the members that cut the list `name` to its page and say whether there is `more`."""
    return {name: {"$slice": [f"${name}", page.limit]}, "more": {"$gt": [{"$size": f"${name}"}, page.limit]}}


def by_ids(source: str, field: str, pipeline: list[Stage], name: str | None = None) -> Stage:
    """Look up the documents whose ids stand in a field, a list or a single one."""
    lookup = {"from": source, "localField": field, "foreignField": "_id", "pipeline": pipeline}
    return {"$lookup": {**lookup, "as": name or field}}


def the_one(found: list[Document], field: str, what: str) -> Any:  # noqa: ANN401 - the pipeline's document
    """Return the one document of a pipeline about one subject.

    Raises:
        NotFound: there is none, so the subject does not exist.
    """
    if not found:
        raise NotFound(field, f"the id of {what} of the CMS")
    return found[0]
