"""A real PayTabs test profile: these tests are collected only where its credentials are set, and stop at a live one."""

import os
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
import structlog

from paytabs.calling import Caller, CallTimes
from paytabs.client import GatewayProfile, PayTabsClient
from paytabs.operations import PageRequest
from paytabs.regions import base_url

#: What has to be set. PAYTABS_LIVE_BASE_URL replaces the region's address, PAYTABS_LIVE_CURRENCY its currency.
REQUIRED = ("PAYTABS_LIVE_PROFILE", "PAYTABS_LIVE_SERVERK", "PAYTABS_LIVE_REGION")

#: The currency in which a profile of a region certainly takes payments.
CURRENCIES = {
    "ARE": "AED",
    "SAU": "SAR",
    "OMN": "OMR",
    "JOR": "JOD",
    "EGY": "EGP",
    "IRQ": "IQD",
    "KWT": "KWD",
    "QAT": "QAR",
    "MAR": "MAD",
}

#: How references of a test profile begin.
TEST_PREFIX = "TST"

if not all(os.environ.get(name) for name in REQUIRED):
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def profile() -> GatewayProfile:
    """The profile of the environment."""
    number, key, region = (os.environ[name] for name in REQUIRED)
    return GatewayProfile(int(number), key, os.environ.get("PAYTABS_LIVE_BASE_URL") or base_url(region))


@pytest.fixture(scope="session")
def page() -> Callable[..., PageRequest]:
    """Makes requests for pages, each with a cart of its own."""
    usual = os.environ.get("PAYTABS_LIVE_CURRENCY") or CURRENCIES.get(os.environ["PAYTABS_LIVE_REGION"], "USD")

    def make(**members: Any) -> PageRequest:
        cart = {
            "cart_id": f"contract-{uuid4()}",
            "cart_description": "Contract test",
            "cart_currency": usual,
            "cart_amount": "1",
        }
        return PageRequest(**(cart | members))

    return make


@pytest.fixture(scope="session")
def client(profile: GatewayProfile, page: Callable[..., PageRequest]) -> Iterator[PayTabsClient]:
    """A client of a profile that has proved to be a test profile: nobody holds the link of the page that proves it."""
    with PayTabsClient(profile) as connected:
        answer = connected.request_page(page())
        reference = answer.transaction.tran_ref if answer.transaction else None
        if reference is None:
            pytest.exit(f"no page could be made: {answer.detail} {answer.message} (trace {answer.trace})", 2)
        if not reference.startswith(TEST_PREFIX):
            pytest.exit(f"{reference} is no reference of a test profile: these tests do not run against a live one", 2)
        yield connected


@pytest.fixture(scope="session")
def caller(client: PayTabsClient, profile: GatewayProfile) -> Iterator[Caller]:
    """Sends what the request models would refuse, to the profile that has proved to be a test profile."""
    del client
    made = Caller(profile, CallTimes(3.0, 10.0), None)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def silent_logs() -> Iterator[None]:
    """The client's log lines, kept out of the test's output."""
    with structlog.testing.capture_logs():
        yield
