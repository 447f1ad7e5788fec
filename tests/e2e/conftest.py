"""The whole system as processes, a shop and a payer with a browser, for the tests that go from end to end."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.e2e.cms_side import Cms, running_cms
from tests.e2e.payer import CHROMIUM_NAMES, Payer, chromium, find_chromium
from tests.e2e.shop import Shop
from tests.support.sandbox import Sandbox
from tests.support.system import system_settings
from workers.stack import EmbeddedMongo, EmbeddedValkey


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium; without one on the machine, the tests that ask for it are skipped."""
    path = find_chromium()
    if path is None:
        pytest.skip(f"no browser on this machine: install Debian's chromium ({', '.join(CHROMIUM_NAMES)} in PATH)")
    with chromium(path) as running:
        yield running


@pytest.fixture(scope="module")
def shop(browser: Browser) -> Iterator[Shop]:
    """Where payers land."""
    del browser  # without one nothing else needs to start
    with Shop() as open_shop:
        yield open_shop


@pytest.fixture(scope="module")
def cms(
    shop: Shop,
    valkey: EmbeddedValkey,
    mongo: EmbeddedMongo,
    running_sandbox: Sandbox,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cms]:
    """The CMS, with worker, beat and receiver running beside it for the tests of one module."""
    valkey.resume()
    valkey.start()
    valkey.flush()
    if not mongo.servers[0].running:
        mongo.start()
    mongo.thaw(0)
    running_sandbox.reset()
    settings = system_settings(
        mongo_uri=mongo.uri,
        redis_url=valkey.url,
        sandbox_url=running_sandbox.url,
        directory=tmp_path_factory.mktemp("system"),
        return_allowed_urls=(shop.thanks_url,),
        soft_shutdown_seconds=1,
    )
    with running_cms(settings) as beside:
        yield beside


@pytest.fixture
def payer(browser: Browser) -> Iterator[Payer]:
    """A payer, in whose browser nothing may go wrong unseen and nothing may leave this machine."""
    with browser.new_context() as context:
        yield from _watched(Payer(context))


@pytest.fixture
def plain_payer(browser: Browser) -> Iterator[Payer]:
    """A payer whose browser runs no scripts, watched in the same way."""
    with browser.new_context(java_script_enabled=False) as context:
        yield from _watched(Payer(context))


def _watched(someone: Payer) -> Iterator[Payer]:
    yield someone
    assert someone.complaints == []
    assert someone.requests_outside() == []
