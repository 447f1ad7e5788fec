"""A payer with a browser, as far as paying needs one: reads a page, fills its form in, presses a button, is led on.

Only what stands in the HTML counts, so that the demo pays as a person does and not through some other door.
"""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from http import HTTPStatus
from typing import Self
from urllib.parse import urljoin, urlsplit

import requests

#: How long one page may take, in seconds.
PAGE_SECONDS = 15.0

#: The form that a script of the page sends off by itself.
RETURN_FORM = "return-form"

#: The form that a payer fills in.
CARD_FORM = "card-form"

#: How many pages a payer is led over before something is wrong.
MOST_PAGES = 6


class PageSurprise(Exception):
    """Raised when a page is not what a payer can go on with."""


@dataclass
class Form:
    """A form of a page: where it goes, what it carries, and its buttons by id."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: dict[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """A page as the payer sees it.

    Attributes:
        url: Where it is.
        status: Its HTTP status.
        forms: Its forms by id.
        texts: The text of every element that has an id.
    """

    url: str
    status: int
    forms: dict[str, Form]
    texts: dict[str, str]

    @property
    def heading(self) -> str:
        """What the page says first."""
        return self.texts.get("h1", "")


class Payer:
    """One browser session.

    Args:
        card: The number on the payer's card.
    """

    def __init__(self, card: str) -> None:
        self._card = card
        self._session = requests.Session()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def open(self, url: str) -> Page:
        """Open the hosted page.

        Raises:
            PageSurprise: it cannot be paid on.
        """
        page = self._read(self._session.get(url, timeout=PAGE_SECONDS))
        if page.status != HTTPStatus.OK or CARD_FORM not in page.forms:
            raise PageSurprise(f"{url} gave {page.status} and no form for a card")
        return page

    def finds_dead(self, url: str) -> bool:
        """Follow a link, and tell whether no card can be typed in there any more."""
        return CARD_FORM not in self._read(self._session.get(url, timeout=PAGE_SECONDS)).forms

    def pay(self, page: Page) -> Page:
        """Fill the card in, press Pay, and come to the page after the way back."""
        typed = {"card-number": self._card, "expiry": "12/39", "cvv": "123"}
        return self._lead_on(self._submit(page, CARD_FORM, "pay", typed))

    def cancel(self, page: Page) -> Page:
        """Press Cancel, and come to the page after the way back."""
        return self._lead_on(self._submit(page, CARD_FORM, "cancel", {}))

    def _lead_on(self, page: Page) -> Page:
        """Let the page's script send its form off, as a browser does."""
        for _ in range(MOST_PAGES):
            if page.status != HTTPStatus.OK:
                raise PageSurprise(f"{_bare(page.url)} gave {page.status}: {page.heading}")
            if RETURN_FORM not in page.forms:
                return page
            page = self._submit(page, RETURN_FORM, None, {})
        raise PageSurprise(f"{_bare(page.url)} leads on for ever")

    def _submit(self, page: Page, name: str, button: str | None, typed: dict[str, str]) -> Page:
        form = page.forms[name]
        pressed = dict([form.buttons[button]]) if button else {}
        values = {**form.fields, **typed, **pressed}
        target = urljoin(page.url, form.action)
        if form.method == "post":
            return self._read(self._session.post(target, data=values, timeout=PAGE_SECONDS))
        return self._read(self._session.get(target, params=values, timeout=PAGE_SECONDS))

    def _read(self, answer: requests.Response) -> Page:
        parser = _PageParser()
        parser.feed(answer.text)
        return Page(answer.url, answer.status_code, parser.forms, parser.texts)


class _PageParser(HTMLParser):
    """Collects forms, and the texts of what has an id or is the heading."""

    #: Elements without an end tag.
    _VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})

    def __init__(self) -> None:
        super().__init__()
        self.forms: dict[str, Form] = {}
        self.texts: dict[str, str] = {}
        self._form: Form | None = None
        self._open: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag not in self._VOID:
            self._open.append("h1" if tag == "h1" else given.get("id"))
        if tag == "form":
            self._form = Form(given.get("action", ""), given.get("method", "get").lower())
            self.forms[given.get("id", str(len(self.forms)))] = self._form
        elif self._form is not None and tag == "input" and "name" in given:
            self._form.fields[given["name"]] = given.get("value", "")
        elif self._form is not None and tag == "button" and "name" in given:
            self._form.buttons[given.get("id", given["name"])] = (given["name"], given.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        if self._open and tag not in self._VOID:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        for name in {name for name in self._open if name}:
            self.texts[name] = " ".join(f"{self.texts.get(name, '')} {data}".split())


def _bare(url: str) -> str:
    """Give an address without its query, which may hold a payer's e-mail address."""
    return urlsplit(url)._replace(query="").geturl()
