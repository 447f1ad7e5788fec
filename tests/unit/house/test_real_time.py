from pathlib import Path

from tests.support.real_time import LOOKS_AT_TTL, MOVES_REAL_CLOCK, SLEEPS, TAKES_TIME, dependencies, of_source

TESTS = Path(__file__).parents[2]

#: Why a test, or what it is made of, may go by real time: no verdict follows from how busy the machine is.
PATIENT = "waits for something to come true, for far longer than it takes; the verdict is that it did"
REPORTED = "only reports how long it took"
PACE = "the pace of a load, of a server, or of somebody who takes long; no verdict follows from it"
AT_LEAST = "only has to be long enough, which a busy machine makes it all the more"
IN_VAIN = "waits for what must not come: too short a wait could miss a fault, and make none"
HANGS = "what is ruled out takes for ever, or several times the bound, which is several times what it takes at rest"
FULL = "the full form, run by itself on a machine at rest"
PAST = "a moment that is over already, whatever the machine does"
AGO = "a clock that is as far off as the test says; hours, days and half a minute that no test lasts"

NAMED = {
    "chaos/brokers.py::Ordeal.run": PACE,
    "chaos/brokers.py::Ordeal.wait": PACE,
    "chaos/brokers.py::suffer": PACE,
    "chaos/brokers.py::what_stays": PATIENT,
    "chaos/failover.py::kill_primary": REPORTED,
    "chaos/failover.py::_until_shown": PATIENT,
    "chaos/fire/driver.py::Driver.live": PACE,
    "chaos/fire/hours.py::Hours.pass_for": PACE,
    "chaos/fire/kills.py::Killers.worker_every": PACE,
    "chaos/fire/kills.py::Killers.valkey_after": PACE,
    "chaos/fire/kills.py::Killers.primary_after": PACE,
    "chaos/fire/plants.py::tell": PACE,
    "chaos/fire/plants.py::profile": PACE,
    "chaos/fire/stories.py::Story.until": PATIENT,
    "chaos/full_breaker.py::killed_inside": FULL,
    "chaos/full_cache.py::killed_builder": FULL,
    "chaos/full_cache.py::server_killed": FULL,
    "chaos/full_events.py::many_writers": FULL,
    "chaos/full_events.py::contracts_at_once": FULL,
    "chaos/full_events.py::_killed": FULL,
    "chaos/full_replicas.py::Clocked.read": FULL,
    "chaos/full_replicas.py::Clocked.until": FULL,
    "chaos/full_replicas.py::delayed": FULL,
    "chaos/test_beats.py::Seen.quiet": IN_VAIN,
    "chaos/test_clocks.py::unread_for": AT_LEAST,
    "chaos/test_database.py::TestMongoStopped.test_redelivered": REPORTED,
    "chaos/test_database.py::TestNoMajority.test_both_secondaries_frozen": HANGS,
    "chaos/test_money_majority.py::TestNothingSent.test_accepted_before": REPORTED,
    "chaos/test_replica_reads.py::db": AT_LEAST,
    "chaos/test_replica_reads.py::TestNobodyWaits.test_longest": HANGS,
    "chaos/test_replicas.py::clock": REPORTED,
    "chaos/test_replicas.py::watch": PACE,
    "chaos/test_replicas.py::employed": AT_LEAST,
    "chaos/test_replicas.py::TestReplicas.test_frozen": HANGS,
    "chaos/test_valkey_stopped.py::TestValkeyStopped.test_taken_then_applied": REPORTED,
    "chaos/test_worker_killed.py::TestBetweenRecordedAndApplied.test_paid_after_restart": REPORTED,
    "chaos/test_worker_killed.py::TestDuringCreatePage.test_found": REPORTED,
    "contract/paytabs/conftest.py::RawGateway.settle": PATIENT,
    "contract/paytabs/conftest.py::drip": PACE,
    "contract/paytabs/conftest.py::Bench.at_most": HANGS,
    "contract/paytabs/shop.py::until": PATIENT,
    "contract/paytabs/test_open_questions.py::Receiver.bodies": IN_VAIN,
    "contract/paytabs/test_sandbox.py::TestPage.test_faults": HANGS,
    "contract/paytabs/test_wire.py::TestDeadline.test_query": AT_LEAST,
    "contract/paytabs/test_wire.py::TestBeforeTheFirstByte.test_slow_name": PACE,
    "contract/paytabs/test_wire.py::TestBeforeTheFirstByte.test_fence_expired": PAST,
    "contract/paytabs/test_wire.py::TestBeforeTheFirstByte.test_fence_expires_while_connecting": AT_LEAST,
    "contract/paytabs/test_wire.py::TestRequest.test_pooled_connection": PACE,
    "contract/paytabs/test_wire_operations.py::TestSends.test_fence": PAST,
    "contract/sandbox/conftest.py::until": PATIENT,
    "contract/sandbox/test_sandbox_faults.py::TestTime.test_slow": AT_LEAST,
    "contract/sandbox/test_sandbox_gateway.py::TestQuery.test_lag": AT_LEAST,
    "contract/sandbox/test_sandbox_notices.py::TestDelivery.test_channels_off": IN_VAIN,
    "contract/sandbox/test_sandbox_notices.py::TestRetry.test_until_accepted": IN_VAIN,
    "contract/sandbox/test_sandbox_notices.py::TestRetry.test_gives_up": IN_VAIN,
    "contract/sandbox/test_sandbox_notices.py::TestFaults.test_none": IN_VAIN,
    "contract/sandbox/test_sandbox_process.py::TestProcess.test_start_and_stop": PATIENT,
    "integration/aggregations/crowd.py::main": PACE,
    "integration/aggregations/crowd.py::build": PACE,
    "integration/aggregations/crowd.py::timed": HANGS,
    "integration/aggregations/load.py::changes": PACE,
    "integration/aggregations/shelf.py::together": REPORTED,
    "integration/aggregations/test_behind.py::TestLaggingSecondary.test_really_behind": AT_LEAST,
    "integration/aggregations/test_behind.py::TestLaggingSecondary.test_too_old": AT_LEAST,
    "integration/aggregations/test_cache_away.py::TestUnderLoad.test_mishap": PACE,
    "integration/aggregations/test_remembered.py::TestOneBuild.test_wait_for_it": PACE,
    "integration/aggregations/test_remembered.py::TestOneBuild.test_wait_for_a_place": PACE,
    "integration/aggregations/test_stampede.py::TestKilled.test_killed": HANGS,
    "integration/aggregations/test_tasks.py::TestRun.test_stale": AGO,
    "integration/breaker/crowd.py::Member.turns": PACE,
    "integration/breaker/crowd.py::Member.visits": PACE,
    "integration/breaker/crowd.py::Member.occupy": REPORTED,
    "integration/breaker/crowd.py::main": PACE,
    "integration/breaker/scenes.py::lose_probe_owner": REPORTED,
    "integration/cli/conftest.py::worker": AT_LEAST,
    "integration/cli/test_audit.py::world": AGO,
    "integration/dead_letters/test_rebuild.py::TestBrokerLost.test_sweeps": REPORTED,
    "integration/payments/test_create_page.py::_patiently": PATIENT,
    "integration/payments/test_mail_server.py::converse": PACE,
    "integration/payments/test_mail_server.py::TestServer.test_dribbling": HANGS,
    "integration/payments/test_page_ends.py::TestSent.test_database_clock": AGO,
    "integration/payments/test_parked.py::TestSend.test_too_many": AT_LEAST,
    "integration/payments/test_replay_under_way.py::TestUnderWay.test_no_difference": AT_LEAST,
    "integration/tasks/test_messages.py::TestWholeFlow.test_enqueue_to_paid": HANGS,
    "integration/views/test_lost_token.py::overflow": PATIENT,
    "integration/views/test_rebuild.py::TestSlices.test_kept": "a lease is kept in time four times over",
    "integration/views/test_runner.py::TestFromView.test_silent_primary": HANGS,
    "integration/webhooks/test_budget.py::TestCounterGone.test_counted_in_the_process": HANGS,
    "integration/webhooks/test_budget.py::TestCounterGone.test_many_at_once": HANGS,
    "integration/webhooks/test_budget.py::TestCounterGone.test_genuine_do_not_wait_for_it": AT_LEAST,
    "integration/webhooks/test_database_outage.py::deliver": HANGS,
    "integration/webhooks/test_notices.py::TestBrokerGone.test_stopped": HANGS,
    "integration/webhooks/test_notices.py::TestBrokerGone.test_frozen": HANGS,
    "integration/webhooks/test_notices.py::TestBrokerGone.test_comes_back": AT_LEAST,
    "integration/webhooks/test_returns.py::TestKnownPage.test_database_silent": HANGS,
    "integration/workers/test_supervisor.py::TestSupervisor.test_stubborn_process": HANGS,
    "support/freshness.py::Shop.pay": PATIENT,
    "support/sandbox.py::Sandbox.start": PATIENT,
    "support/ticking.py::note": PACE,
    "support/waiting.py::eventually": PATIENT,
    "unit/config/test_celeryconfig.py::TestBrokerGone.test_refused": HANGS,
}


class TestRealTime:
    """Whatever in the tests goes by real time is named, with the reason why no verdict depends on the machine."""

    def test_named(self) -> None:
        """Nothing goes by it unnamed, and nothing is named in vain."""
        found = dependencies(TESTS)
        assert {name: sorted(how) for name, how in found.items() if name not in NAMED} == {}
        assert NAMED.keys() - found.keys() == set()

    def test_no_ttl(self) -> None:
        """Nobody looks at how long a key has left, which a busy machine shortens: when it ends says the same."""
        assert [name for name, how in dependencies(TESTS).items() if LOOKS_AT_TTL in how] == []

    def test_the_scan_sees(self) -> None:
        """The scan finds each form in which real time was ever gone by here."""
        for line, how in {
            "time.sleep(0.2)": SLEEPS,
            "sleep(CARRY_SECONDS)": SLEEPS,
            "assert time.monotonic() - began < 0.9": TAKES_TIME,
            "took.append(monotonic() - began)": TAKES_TIME,
            "return (time.perf_counter() - began, got)": TAKES_TIME,
            "assert 4_000 < client.pttl(key) <= 5_000": LOOKS_AT_TTL,
            "x = AggregationRunner(clock=lambda: datetime.now(UTC) + self.late)": MOVES_REAL_CLOCK,
            "x = Slots(clock=lambda: utc_now() - ago)": MOVES_REAL_CLOCK,
        }.items():
            assert [*of_source(f"def test_it():\n    {line}\n")] == [("test_it", frozenset({how}))], line
        for line in ("deadline = time.monotonic() + 5", "clock = lambda: self.now + late", "client.pexpiretime(key)"):
            assert not [*of_source(f"def test_it():\n    {line}\n")], line
