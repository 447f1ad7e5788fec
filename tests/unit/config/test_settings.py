import re
import traceback
from pathlib import Path

import pytest

from config.settings import REGIONS, Settings, SettingsError, load_settings
from config.timechain import LINKS, Link
from tests.support.stored_cards import CARD_KEY, OLD_CARD_KEY
from tests.unit.config.conftest import REQUIRED, Load, Mistakes

EXAMPLE = Path(__file__).parents[3] / ".env.example"


class TestReading:
    """The environment and `.env` become typed settings."""

    def test_defaults(self, load: Load) -> None:
        """With only what is required everything has a value that fits together."""
        settings = load()
        assert settings.paytabs_profile == 987654
        assert settings.mongo_uri is settings.redis_url is settings.result_url is settings.cache_url is None
        assert settings.mongo_database == "nestcms"
        assert settings.return_allowed_urls == ()

    def test_empty_is_unset(self, load: Load) -> None:
        """An empty variable is one that is not there."""
        settings = load(MONGO_URI="", LEASE_SECONDS="", PAYTABS_SERVERK_PREVIOUS="", RETURN_ALLOWED_URLS="")
        assert settings.mongo_uri is None
        assert settings.lease_seconds == 30
        assert settings.paytabs_serverk_previous is None

    def test_dotenv(self, load: Load, tmp_path: Path) -> None:
        """`.env` is read, the environment wins, and what is not ours in it is ignored."""
        (tmp_path / ".env").write_text("LEASE_SECONDS=31\nFLOWER_PORT=1\nJWT_SECRET=theirs\nMONGO_URI=\n")
        settings = load(FLOWER_PORT="2")
        assert (settings.lease_seconds, settings.flower_port, settings.mongo_uri) == (31, 2, None)

    @pytest.mark.parametrize(
        ("variables", "name"),
        [
            ({"MONGO_URI": "mongodb://a:1,b:2/cms?replicaSet=rs0"}, "cms"),
            ({"MONGO_URI": "mongodb+srv://user:p%40ss@cluster.example/cms"}, "cms"),
            ({"MONGO_URI": "mongodb://a:1/?replicaSet=rs0"}, "nestcms"),
            ({"MONGO_URI": "mongodb://a:1/cms", "MONGO_DATABASE": "other"}, "other"),
        ],
    )
    def test_database_name(self, load: Load, variables: dict[str, str], name: str) -> None:
        """The database is the one named, else the address's, else nestcms."""
        assert load(**variables).mongo_database == name

    def test_other_redis_databases(self, load: Load) -> None:
        """Results and cache are databases 1 and 2 of the broker's server, unless set."""
        settings = load(REDIS_URL="rediss://:pw@h:6380/0?ssl_cert_reqs=none", CACHE_URL="redis://c:1/5")
        assert settings.result_url == "rediss://:pw@h:6380/1?ssl_cert_reqs=none"
        assert settings.cache_url == "redis://c:1/5"

    def test_with_servers(self, load: Load) -> None:
        """Pointed at embedded servers, all three Redis addresses move."""
        moved = load(CACHE_URL="redis://c:1/5").with_servers(mongo_uri="mongodb://m:1/", redis_url="redis://r:1/0")
        assert (moved.redis_url, moved.result_url, moved.cache_url) == (
            "redis://r:1/0",
            "redis://r:1/1",
            "redis://r:1/2",
        )

    @pytest.mark.parametrize("region", [*REGIONS, "sau"])
    def test_regions(self, load: Load, region: str) -> None:
        """Each of the twelve codes is taken, in any case."""
        assert load(PAYTABS_REGION=region).paytabs_region == region.upper()

    def test_allowed_urls(self, load: Load) -> None:
        """A comma-separated list keeps its order; spaces and empty parts go."""
        settings = load(RETURN_ALLOWED_URLS=" https://b.example/x?y=1 ,, https://a.example")
        assert settings.return_allowed_urls == ("https://b.example/x?y=1", "https://a.example")

    @pytest.mark.parametrize(
        ("host", "required"),
        [
            ("127.0.0.1", False),
            ("127.8.9.1", False),
            ("::1", False),
            ("[::1]", False),
            ("localhost", False),
            ("0.0.0.0", True),  # noqa: S104 - a setting, nobody listens
            ("::", True),
            ("192.0.2.1", True),
            ("receiver", True),
        ],
    )
    def test_tls_by_default(self, load: Load, host: str, required: bool) -> None:
        """TLS is required wherever another machine could reach the receiver."""
        assert load(RECEIVER_HOST=host, TRUSTED_PROXIES="10.0.0.5").require_tls is required

    def test_tls_as_set(self, load: Load) -> None:
        """What is set wins over the default, either way."""
        proxies = "10.0.0.5, 2001:db8::/32"
        settings = load(REQUIRE_TLS="true", TRUSTED_PROXIES=proxies)
        assert (settings.require_tls, settings.trusted_proxies) == (True, ("10.0.0.5", "2001:db8::/32"))
        assert not load(REQUIRE_TLS="false", RECEIVER_HOST="::", TRUSTED_PROXIES="").require_tls

    def test_secrets_are_not_shown(self, load: Load) -> None:
        """Neither a key nor an address with a password is in the settings' text."""
        text = repr(load(MONGO_URI="mongodb://u:hush@h/cms", REDIS_URL="redis://:hush@h/0"))
        assert "hush" not in text
        assert "AAAA2222BB" not in text


class TestMistakes:
    """Whatever is wrong is said at once, by the variable's name, and without the value."""

    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("PAYTABS_PROFILE", "x"),
            ("PAYTABS_PROFILE", "0"),
            ("PAYTABS_SERVERK", "CSANDBOX01-AAAA2222BB-CCCC3333DD"),
            ("PAYTABS_SERVERK", "SSANDBOX01-AAAA2222BB"),
            ("PAYTABS_SERVERK", "SSANDBOX01-AAAA2222BB-CCCC3333DD\n"),
            ("PAYTABS_SERVERK_PREVIOUS", "hunter2"),
            ("PAYTABS_REGION", "PSE"),
            ("PAYTABS_BASE_URL", "secure.paytabs.sa"),
            ("PAYTABS_CALLBACK_URL", "ftp://pay.example/x"),
            ("PAYTABS_CALLBACK_URL", "https://pay.example/" + "x" * 255),
            ("PAYTABS_RETURN_URL", "https://user:hush@pay.example"),
            ("RETURN_ALLOWED_URLS", "https://ok.example,javascript:alert(1)"),
            ("RETURN_ALLOWED_URLS", "//evil.example"),
            ("MONGO_URI", "localhost:27017"),
            ("MONGO_URI", "mongodb://u:hush@/cms"),
            ("MONGO_DATABASE", "a b"),
            ("REDIS_URL", "redis://h:1/cache"),
            ("REDIS_URL", "http://h:1"),
            ("LEASE_SECONDS", "nan"),
            ("LEASE_SECONDS", "-1"),
            ("RECEIVER_PORT", "70000"),
            ("TRUSTED_PROXIES", "10.0.0.5,proxy.example"),
            ("TRUSTED_PROXIES", "10.0.0.5/8"),
            ("TRUSTED_PROXIES", "0.0.0.0/0"),
            ("TRUSTED_PROXIES", "10.0.0.5,::/0"),
            ("TRUSTED_PROXIES", "*"),
            ("REQUIRE_TLS", "perhaps"),
            ("REQUIRE_TLS", "true"),
            ("RECEIVER_FAILURE_BUDGET", "0"),
            ("RECEIVER_FAILURE_WINDOW_SECONDS", "0.5"),
            ("LOG_FORMAT", "xml"),
            ("SERVER_SELECTION_TIMEOUT_MS", "11000"),
            ("MONGO_TIMEOUT_MS", "20000"),
            ("MONGO_TIMEOUT_MS", "11000"),
            ("REPLICA_LAG_SECONDS", "2.9"),
            ("REPLICA_LAG_SECONDS", "inf"),
            ("REPLICA_FALLBACK_AT_ONCE", "0"),
        ],
    )
    def test_one(self, mistakes: Mistakes, variable: str, value: str) -> None:
        """The one mistake starts with its variable and says what was expected."""
        (mistake,) = mistakes(**{variable: value})
        assert mistake.startswith(f"{variable}: expected ")
        if len(value) > 7:
            assert value.strip() not in mistake

    def test_all_at_once(self, mistakes: Mistakes) -> None:
        """Missing, malformed and contradicting settings are in one report."""
        said = mistakes(
            PAYTABS_PROFILE="",
            PAYTABS_SERVERK="hunter2-hunter2",
            PAYTABS_REGION="nowhere",
            MONGO_URI="mysql://u:hush@h/cms",
            CALL_TIMEOUT_SECONDS="2",
            LEASE_SECONDS="70",
            MONGO_ELECTION_TIMEOUT_MS="11000",
        )
        assert {line.partition(":")[0] for line in said} == {
            "PAYTABS_PROFILE",
            "PAYTABS_SERVERK",
            "PAYTABS_REGION",
            "MONGO_URI",
            "CALL_TIMEOUT_SECONDS",
            "VISIBILITY_TIMEOUT_SECONDS",
            "SERVER_SELECTION_TIMEOUT_MS",
        }
        assert "PAYTABS_PROFILE: missing" in "\n".join(said)
        assert not [line for line in said if "hunter2" in line or "hush" in line]

    @pytest.mark.parametrize(
        ("variables", "names"),
        [
            ({"RECEIVER_HOST": "::"}, "TRUSTED_PROXIES"),
            ({"RECEIVER_HOST": "::", "PAYTABS_CALLBACK_URL": "http://pay.example/x"}, "PAYTABS_CALLBACK_URL"),
            ({"REQUIRE_TLS": "1", "PAYTABS_RETURN_URL": "http://pay.example/x"}, "PAYTABS_RETURN_URL"),
        ],
    )
    def test_tls_that_nobody_could_pass(self, mistakes: Mistakes, variables: dict[str, str], names: str) -> None:
        """To require TLS without a proxy that ends it, or behind an address without it, would refuse every notice."""
        proxies = {} if names == "TRUSTED_PROXIES" else {"TRUSTED_PROXIES": "10.0.0.5"}
        (mistake,) = mistakes(**variables, **proxies)
        assert mistake.startswith("REQUIRE_TLS: expected false, or ")
        assert names in mistake

    def test_no_value_in_the_traceback(self, load: Load) -> None:
        """A process that dies of its settings does not print them."""
        with pytest.raises(SettingsError) as caught:
            load(PAYTABS_SERVERK="-".join(["hunter2"] * 2), LEASE_SECONDS="-".join(["hush"] * 2))
        text = "".join(traceback.format_exception(caught.value))
        assert "hunter2-hunter2" not in text
        assert "hush-hush" not in text

    def test_unknown_override(self) -> None:
        """A misspelt override is not ignored."""
        with pytest.raises(SettingsError, match="LEASE_SECOND: no such setting"):
            load_settings(lease_second=1)


class TestTimeChain:
    """Every link of the chain is checked."""

    @pytest.mark.parametrize("link", LINKS, ids=lambda link: f"{'+'.join(link.shorter)} under {link.longer}")
    def test_broken(self, mistakes: Mistakes, link: Link, load: Load) -> None:
        """Stretching the shorter time past the longer one is refused, with both names and the reason."""
        shorter, longer = link.shorter[-1], link.longer
        limit = getattr(load(), longer)
        said = "\n".join(mistakes(**{shorter.upper(): str(limit + 1)}))
        assert f"{longer.upper()}: expected" in said
        assert shorter.upper() in said
        assert link.why in said

    def test_scaled(self, load: Load) -> None:
        """Another chain that keeps the order is taken."""
        names = {name for link in LINKS for name in (*link.shorter, link.longer)}
        shorter = {name.upper(): str(getattr(load(), name) * 0.9) for name in names}
        assert load(**shorter, MONGO_TIMEOUT_MS="13000").lease_seconds == 27


class TestSealFile:
    """Where the seals' copy is."""

    @pytest.mark.parametrize(
        ("variables", "path"),
        [
            ({}, ".local/audit/seals.jsonl"),
            ({"LOCAL_DIR": "/var/x"}, "/var/x/audit/seals.jsonl"),
            ({"AUDIT_SEAL_URL": "https://audit.example/seals"}, None),
            ({"AUDIT_SEAL_URL": "https://audit.example/seals", "AUDIT_SEAL_FILE": "/mnt/seals"}, "/mnt/seals"),
        ],
    )
    def test_path(self, load: Load, variables: dict[str, str], path: str | None) -> None:
        """A file unless it is told otherwise, and none when seals are only posted."""
        assert load(**variables).seal_file == (Path(path) if path else None)


class TestExample:
    """`.env.example` is the settings' list, no more and no less."""

    def test_every_variable(self) -> None:
        """Each field is there once, and nothing else is."""
        named = re.findall(r"^#?([A-Z_]+)=", EXAMPLE.read_text(), re.MULTILINE)
        assert sorted(named) == sorted(field.upper() for field in Settings.model_fields)

    def test_it_works(self, load: Load) -> None:
        """Copied as it is, it is complete: it has a value for each required setting."""
        values = dict(re.findall(r"^([A-Z_]+)=(.+)$", EXAMPLE.read_text(), re.MULTILINE))
        assert values == REQUIRED
        load(**values)

    def test_defaults_are_the_real_ones(self, load: Load) -> None:
        """What is shown in comments as a number is what the field's default is."""
        shown = dict(re.findall(r"^#([A-Z_]+)=([0-9]+)$", EXAMPLE.read_text(), re.MULTILINE))
        settings = load()
        assert {name: float(value) for name, value in shown.items()} == {
            name: float(getattr(settings, name.lower())) for name in shown
        }
        assert len(shown) > 20


class TestCardKeys:
    """The keys of stored cards."""

    def test_newest_first(self, load: Load) -> None:
        """They are given one by one, in their order, and stand in no text of the settings."""
        assert load().card_key_list == ()
        settings = load(CARD_KEYS=f"{CARD_KEY}, {OLD_CARD_KEY}")
        assert settings.card_key_list == (CARD_KEY, OLD_CARD_KEY)
        assert CARD_KEY not in repr(settings)

    @pytest.mark.parametrize("keys", ["secret", CARD_KEY[:-1], f"{CARD_KEY},", f"{CARD_KEY} {OLD_CARD_KEY}"])
    def test_no_key(self, mistakes: Mistakes, keys: str) -> None:
        """What is no key is refused at start, by the setting's name and without its value."""
        (mistake,) = mistakes(CARD_KEYS=keys)
        assert mistake.startswith("CARD_KEYS: expected comma-separated keys")
        assert keys not in mistake
