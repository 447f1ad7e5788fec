"""What travels in HTTP headers: our key and correlation id out, a wish to be left alone in."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote

#: Carries our correlation id to the gateway's side; PayTabs ignores headers it does not know.
CORRELATION_HEADER = "X-Correlation-Id"

#: No correlation id of ours is longer, and PayTabs' limit on headers is unknown.
_CORRELATION_MAX = 200

#: No answer can make us wait longer than a day.
_RETRY_AFTER_MAX_SECONDS = 86_400.0


def request_headers(server_key: str, correlation_id: str | None, *, keep_alive: bool) -> Mapping[str, str]:
    """Give a request's headers.

    Args:
        server_key: Sent as it is, without a scheme in front.
        correlation_id: Ours; escaped, so that no line break or other byte of a foreign id can become a header.
        keep_alive: Whether the connection may serve another request.
    """
    headers = {
        "Authorization": server_key,
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "nestcms-workers",
        "Connection": "keep-alive" if keep_alive else "close",
    }
    if correlation_id:
        headers[CORRELATION_HEADER] = quote(correlation_id, safe=":@", errors="replace")[:_CORRELATION_MAX]
    return headers


def retry_after_seconds(header: str | None, date: str | None = None) -> float | None:
    """Read an answer's `Retry-After`, a number of seconds or a date.

    Args:
        header: its value.
        date: the answer's own `Date`: by whose clock a date is meant; by this machine's when there is none.

    Returns:
        Seconds from now, never more than a day; None when there is none or it cannot be read.
    """
    if header is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", header):
        return min(float(header), _RETRY_AFTER_MAX_SECONDS)
    moment = _moment(header)
    if moment is None:
        return None
    now = _moment(date or "") or datetime.now(UTC)
    return min(max((moment - now).total_seconds(), 0.0), _RETRY_AFTER_MAX_SECONDS)


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
