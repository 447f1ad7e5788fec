"""Which errors of MongoDB last until an operator acts: a closed table by the server's own codes.

Such an error says nothing about what was asked, so it is nobody's end: one alert names it, and the work goes on when it
is mended. What is not listed is either one that passes by itself (an election, a time limit, a full queue: the driver
and the retries see to those), or a fault of ours. Source: MongoDB's `error_codes.yml`; 8000 is documented by Atlas.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from pymongo.errors import BulkWriteError, OperationFailure, ServerSelectionTimeoutError

#: The alert; its key is the refusal's.
ALERT: Final = "database_refuses"


@dataclass(frozen=True)
class DatabaseRefusal:
    """One reason for which the database refuses us until somebody acts.

    Attributes:
        key: What it is called; alerts and results have it.
        codes: The server's codes for it.
        reason: What it means, in words that follow "the database refuses us".
        to_do: What an operator does.
        shuts_out: Whether it lets us do nothing at all: then it takes no alert, and no row can be read.
    """

    key: str
    codes: frozenset[int]
    reason: str
    to_do: str
    shuts_out: bool = False


_ROWS: Final = (
    # UserNotFound, AuthenticationFailed, AuthenticationRestrictionUnmet, MechanismUnavailable,
    # ReauthenticationRequired, LDAPRoleAcquisitionError
    DatabaseRefusal(
        "credentials", frozenset({11, 18, 214, 334, 391, 404}), "user or password is wrong, or was changed",
        "set the right user and password in MONGO_URI, and restart", shuts_out=True,
    ),
    # Unauthorized
    DatabaseRefusal(
        "rights", frozenset({13}), "a right is missing",
        "give the user of MONGO_URI the role readWrite on the database; nothing has to be restarted",
    ),
    # DocumentValidationFailure
    DatabaseRefusal(
        "validation", frozenset({121}), "a collection's validator does not take what we write",
        "have the validator allow our fields, or set its validationAction to warn",
    ),
    # TooManyFilesOpen, OutOfDiskSpace
    DatabaseRefusal(
        "room", frozenset({264, 14031}), "its server has no room left",
        "give its server disk space, or open files",
    ),
    # UserWritesBlocked
    DatabaseRefusal(
        "writes_blocked", frozenset({371}), "writing is blocked",
        "end what has blocked it: setUserWriteBlockMode, a migration, or a hosted service whose disk is full",
    ),
    # CannotCreateIndex, IndexAlreadyExists, IndexOptionsConflict, IndexKeySpecsConflict
    DatabaseRefusal(
        "indexes", frozenset({67, 68, 85, 86}), "an index of ours cannot be made, since another one is in its place",
        "drop the index that the sentence names; ours is made by the next worker",
    ),
    # CommandNotSupportedOnView, OptionNotSupportedOnView
    DatabaseRefusal(
        "view", frozenset({166, 167}), "a view stands where a collection should",
        "put the collection back under its name",
    ),
    # IllegalOperation, NoReplicationEnabled, NotAReplicaSet, OperationNotSupportedInTransaction
    DatabaseRefusal(
        "no_replica_set", frozenset({20, 76, 123, 263}), "its server is no replica set, which transactions need",
        "correct MONGO_URI, or start the server as a replica set",
    ),
    # AtlasError
    DatabaseRefusal(
        "service", frozenset({8000}), "the service that hosts it does not let us",
        "read why in the service's console: its user, its list of addresses, or a quota", shuts_out=True,
    ),
)  # fmt: skip

#: Every refusal, by its key.
REFUSALS: Final[Mapping[str, DatabaseRefusal]] = MappingProxyType({row.key: row for row in _ROWS})

#: What the server says to whom a right is missing: database, command and collection.
_NOT_AUTHORISED = re.compile(r'not authorized on ([\w-]+) to execute command \{ (\w+): "?([\w.$-]+)')

#: What it says of an index that is in the way of ours: its name.
_INDEX = re.compile(r"\bname: \\?\"?([\w.$-]+)")


#: How the driver quotes a code of the server's.
_QUOTED_CODE = re.compile(r"'code': (\d+)")


def refusal_in(error: BaseException | None) -> DatabaseRefusal | None:
    """Return for which reason the database refuses us, where that is what an error comes of; None where it is not."""
    codes = {code for one in _causes(error) for code in _codes(one)}
    return next((row for row in _ROWS if codes & row.codes), None)


def codes_of(error: OperationFailure) -> frozenset[int]:
    """Return the server's codes in an error; of several writes, those of each."""
    written = (error.details or {}).get("writeErrors", ()) if isinstance(error, BulkWriteError) else ()
    return frozenset({*(one["code"] for one in written if isinstance(one.get("code"), int)), error.code or 0})


def told_of(error: BaseException, refusal: DatabaseRefusal) -> str:
    """Say what the database refuses, in one sentence that has names of fields and collections and no value."""
    found = next((one for one in _causes(error) if _codes(one) & refusal.codes), None)
    codes = sorted(_codes(found) & refusal.codes) if found else []
    about = _about(found, refusal) if isinstance(found, OperationFailure) else ""
    return f"the database refuses us (code {', '.join(map(str, codes))}): {refusal.reason}{about}; {refusal.to_do}"


def _codes(error: OperationFailure | ServerSelectionTimeoutError) -> frozenset[int]:
    if isinstance(error, OperationFailure):
        return codes_of(error)
    # Whom a server does not let in, to that the driver says for some seconds that there is none, and quotes why.
    return frozenset(int(code) for code in _QUOTED_CODE.findall(str(error)))


def _causes(error: BaseException | None) -> Iterator[OperationFailure | ServerSelectionTimeoutError]:
    """Give an error and those that it was raised from, as far as they are the server's."""
    for _ in range(10):
        if error is None:
            return
        if isinstance(error, OperationFailure | ServerSelectionTimeoutError):
            yield error
        error = error.__cause__


def _about(error: OperationFailure, refusal: DatabaseRefusal) -> str:
    text = str((error.details or {}).get("errmsg", ""))
    if named := _NOT_AUTHORISED.search(text):
        return f" ({named[2]} on {named[1]}.{named[3]})"
    if fields := sorted(set(_fields(error.details))):
        return f" ({', '.join(fields[:10])})"
    index = _INDEX.search(text) if refusal.key == "indexes" else None
    return f" ({index[1]})" if index else ""


def _fields(found: Any) -> Iterator[str]:  # noqa: ANN401 - whatever the server says of a validation
    """Give the names of fields that a validator did not take."""
    if isinstance(found, Mapping):
        name = found.get("propertyName")
        yield from (name,) if isinstance(name, str) else ()
        for member in ("missingProperties", "additionalProperties"):
            yield from (one for one in found.get(member) or () if isinstance(one, str))
        for member, value in found.items():
            # These quote the document, and the validator, which may quote one.
            yield from () if member in ("consideredValue", "consideredValues", "specifiedAs") else _fields(value)
    elif isinstance(found, list | tuple):
        for value in found:
            yield from _fields(value)
