"""How addresses in settings are taken apart; never by a parser that asks the network or repeats a password."""

from urllib.parse import urlsplit, urlunsplit


def scheme(url: str) -> str:
    """Return what stands before ``://``, or nothing."""
    return url.partition("://")[0] if "://" in url else ""


def hosts(url: str) -> str:
    """Return the host part, without user and password."""
    return url.partition("://")[2].partition("/")[0].rpartition("@")[2].partition("?")[0]


def database_name(url: str) -> str:
    """Return the path without its slashes: a database's name or number, or nothing."""
    return url.partition("://")[2].partition("?")[0].partition("/")[2].strip("/")


def other_database(url: str | None, number: int | None) -> str | None:
    """Return the address of another numbered database on the same Redis server, or None."""
    if url is None or number is None:
        return None
    return urlunsplit(urlsplit(url)._replace(path=f"/{number}"))


def is_web_address(url: str) -> bool:
    """Say whether ``url`` is an http(s) address that may be shown: with a host, without a user or a fragment."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # a malformed port raises here
    except ValueError:
        return False
    has_host = bool(parts.hostname) and not any(character.isspace() or ord(character) < ord(" ") for character in url)
    return parts.scheme in {"http", "https"} and has_host and not parts.fragment and parts.username is None
