from datetime import UTC

import pytest
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from config.connections import database, mongo_client, redis_client
from config.settings import SettingsError
from tests.unit.config.conftest import Load

#: What a deployment's address may ask for; the factory's own choices are to win.
CARELESS = "mongodb://127.0.0.1:1/cms?replicaSet=rs0&w=1&journal=false&retryWrites=false&timeoutMS=0&tz_aware=false"


class TestMongo:
    """No caller can forget what a write waits for, nor when an operation ends."""

    @pytest.mark.parametrize("uri", ["mongodb://127.0.0.1:1/cms?replicaSet=rs0", CARELESS], ids=["plain", "careless"])
    def test_durable(self, load: Load, uri: str) -> None:
        """Writes wait for a majority's journal, also in what is derived from the client, and are tried once more."""
        settings = load(MONGO_URI=uri, MONGO_TIMEOUT_MS="15000")
        with mongo_client(settings) as client:
            durable = WriteConcern("majority", j=True, wtimeout=12_000)
            assert client.write_concern == durable
            assert database(client, settings)["payment_events"].write_concern == durable
            assert client.options.retry_writes is True
            assert client.options.retry_reads is True
            assert client.read_preference == ReadPreference.PRIMARY

    @pytest.mark.parametrize("uri", ["mongodb://127.0.0.1:1/cms?replicaSet=rs0", CARELESS], ids=["plain", "careless"])
    def test_times_have_a_zone(self, load: Load, uri: str) -> None:
        """What is read back is aware and in UTC."""
        with mongo_client(load(MONGO_URI=uri)) as client:
            assert client.codec_options.tz_aware is True
            assert client.codec_options.tzinfo is UTC

    def test_ends(self, load: Load) -> None:
        """A whole operation has the tasks' time, and the server gives up on a majority before the driver does."""
        settings = load(
            MONGO_URI=CARELESS, MONGO_TIMEOUT_MS="9000", SERVER_SELECTION_TIMEOUT_MS="5000",
            MONGO_ELECTION_TIMEOUT_MS="2000",
        )  # fmt: skip
        with mongo_client(settings) as client:
            assert client.options.timeout == 9.0
            assert client.options.server_selection_timeout == 5.0
            assert client.options.pool_options.connect_timeout == 5.0
            assert client.write_concern.document["wtimeout"] == 7200

    def test_own_end(self, load: Load) -> None:
        """A caller with less time, as the receiver is, gets a client that keeps to it when connecting as well."""
        with mongo_client(load(MONGO_URI="mongodb://127.0.0.1:1/cms"), timeout_seconds=2.5) as client:
            assert client.options.timeout == 2.5
            assert client.options.pool_options.connect_timeout == 2.5
            assert client.write_concern.document["wtimeout"] == 2000

    def test_named(self, load: Load) -> None:
        """The server's own logs and failures can tell our connections from the CMS's."""
        with mongo_client(load(MONGO_URI="mongodb://127.0.0.1:1/cms")) as client:
            assert client.options.pool_options.appname == "nestcms-workers"

    def test_address_needed(self, load: Load) -> None:
        """Without an address the variable is named."""
        with pytest.raises(SettingsError, match="MONGO_URI"):
            mongo_client(load())


class TestDatabase:
    """The CMS's database is ours as well."""

    @pytest.mark.parametrize(
        ("variables", "name"),
        [
            ({"MONGO_URI": "mongodb://127.0.0.1:1/cms"}, "cms"),
            ({"MONGO_URI": "mongodb://127.0.0.1:1/"}, "nestcms"),
            ({"MONGO_URI": "mongodb://127.0.0.1:1/cms", "MONGO_DATABASE": "other"}, "other"),
        ],
    )
    def test_name(self, load: Load, variables: dict[str, str], name: str) -> None:
        """It is the one that the settings name."""
        settings = load(**variables)
        with mongo_client(settings) as client:
            assert database(client, settings).name == name


class TestRedis:
    """No caller waits for Redis for longer than it said."""

    @pytest.mark.parametrize(("given", "seconds"), [({}, 1.0), ({"timeout_seconds": 0.25}, 0.25)])
    def test_ends(self, given: dict[str, float], seconds: float) -> None:
        """Connecting and every answer have the same limit: a second, or what the caller says."""
        with redis_client("redis://127.0.0.1:1/3", **given) as client:
            kwargs = client.connection_pool.connection_kwargs
            assert kwargs["socket_timeout"] == kwargs["socket_connect_timeout"] == seconds
            assert kwargs["db"] == 3
            assert kwargs["decode_responses"] is True

    def test_tries(self) -> None:
        """A closed connection is tried once more and at once; an answer that does not come is not waited for twice."""
        with redis_client("redis://127.0.0.1:1/0") as client:
            retry = client.connection_pool.connection_kwargs["retry"]
        seen: list[type[Exception]] = []
        for error in (RedisConnectionError, RedisTimeoutError):

            def fails(error: type[Exception] = error) -> None:
                seen.append(error)
                raise error

            with pytest.raises(error):
                retry.call_with_retry(fails, lambda _: None)
        assert seen == [RedisConnectionError, RedisConnectionError, RedisTimeoutError]
        assert isinstance(retry._backoff, NoBackoff)
