"""Messages that no worker should have to bear, each as it is pushed into a queue, and what is wrong with it."""

import base64
import json
from typing import Any
from uuid import uuid4

from tests.support.raw_message import raw_message

Json = dict[str, Any]

#: A card number and a server key: neither may be found in anything that is kept.
CARD, KEY = "4111 1111 1111 1111", "SABCDEF012-ABCDEFGHIJ-KLMNOPQRST"


def base(**arguments: Any) -> Json:
    """Build a message that is as it should be."""
    given: Json = {"payment_id": "65f0c0ffee65f0c0ffee65f0", **arguments}
    return raw_message("payments.get", given, queue="payments", correlation_id=f"hostile-{uuid4()}")


def encoded(body: Any) -> str:
    """Encode a body as messages carry it."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return base64.b64encode(text).decode()


def with_header(name: str, value: Any) -> bytes:
    """Build a message with one header that is wrong."""
    message = base()
    message["headers"][name] = value
    return json.dumps(message).encode()


def without(*names: str) -> bytes:
    """Build a message that lacks headers."""
    message = base()
    for name in names:
        del message["headers"][name]
    return json.dumps(message).encode()


def with_body(body: Any) -> bytes:
    """Build a message with another body."""
    return json.dumps(base() | {"body": encoded(body)}).encode()


def with_member(name: str, value: Any) -> bytes:
    """Build a message with one member of the envelope that is wrong."""
    return json.dumps(base() | {name: value}).encode()


def with_property(name: str, value: Any) -> bytes:
    """Build a message with one property that is wrong."""
    message = base()
    message["properties"][name] = value
    return json.dumps(message).encode()


def nested(depth: int) -> bytes:
    """Write JSON that nests so deep."""
    return b"[" * depth + b"]" * depth


def messages() -> list[tuple[str, bytes, str]]:
    """List a name, the raw message, and a part of the reason for each."""
    follow: Json = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    return [
        ("body: two parts", with_body([[], {}]), "body: expected [positional"),
        ("body: four parts", with_body([[], {}, follow, None]), "body: expected [positional"),
        ("body: object", with_body({"task": "payments.get", "id": "1", "args": [], "kwargs": {}}), "body: expected ["),
        ("body: number", with_body(7), "body: expected ["),
        ("body: text", with_body("args"), "body: expected ["),
        ("body: args in words", with_body(["args", {}, follow]), "body: expected ["),
        ("body: kwargs a list", with_body([[], [], follow]), "body: expected ["),
        ("body: follow a text", with_body([[], {}, "chord"]), "body: expected ["),
        ("body: callbacks a number", with_body([[], {}, follow | {"callbacks": 5}]), "callbacks"),
        ("body: errbacks of numbers", with_body([[], {}, follow | {"errbacks": [1, 2]}]), "errbacks"),
        ("body: chord a list", with_body([[], {}, follow | {"chord": []}]), "chord"),
        ("body: not JSON", with_body(b"{not json"), "body: expected JSON"),
        ("body: NaN", with_body(b"[[NaN], {}, null]"), "body: expected JSON"),
        ("body: infinite", with_body(b"[[1e999], {}, null]"), "body: expected JSON"),
        ("body: not UTF-8", with_body(b"\xff\xfe\xff"), "body: expected UTF-8"),
        ("body: not base64", with_member("body", "%%%"), "body: expected base64"),
        ("body: null bytes", with_body(b"\0\0\0\0"), "body: expected JSON"),
        ("body: escaped null byte", with_body([[], {"payment_id": "a\0b"}, follow]), "without null"),
        ("body: half a character", with_body(b'[[], {"payment_id": "\\ud800"}, null]'), "half characters"),
        ("body: deep", with_body(nested(100_000)), "body: expected at most 64 levels"),
        ("body: less deep", with_body(b"[[" + nested(500) + b"], {}, null]"), "body: expected at most 64 levels"),
        ("body: missing", with_member("body", None), "body: expected a text"),
        ("body: object in the envelope", with_member("body", {"a": 1}), "body: expected a text"),
        ("10 MB", with_body([["x" * 10_000_000], {}, follow]), "at most 1048576 bytes"),
        ("10 MB of opening brackets", b"[" * 10_000_000, "at most 1048576 bytes"),
        ("pickle", with_member("content-type", "application/x-python-serialize"), "content-type"),
        ("content type an object", with_member("content-type", {}), "content-type"),
        ("content encoding that unpacks", with_member("content-encoding", "bz2"), "content-encoding"),
        ("compression", with_header("compression", "application/x-gzip"), "compression"),
        ("id an object", with_header("id", {"a": 1}), "id: expected a text"),
        ("id a list", with_header("id", []), "id: expected a text"),
        ("id null", with_header("id", None), "id: expected a text"),
        ("id with a line break", with_header("id", "a\nb"), "id: expected a text"),
        ("task a number", with_header("task", 5), "task: expected a text"),
        ("time limit a number", with_header("timelimit", 5), "timelimit: expected a pair"),
        ("time limit of words", with_header("timelimit", ["a", "b"]), "timelimit: expected a pair"),
        ("time limit of three", with_header("timelimit", [1, 2, 3]), "timelimit: expected a pair"),
        ("time limit below zero", with_header("timelimit", [-1, None]), "timelimit: expected a pair"),
        ("retries a word", with_header("retries", "many"), "retries: expected a number"),
        ("retries below zero", with_header("retries", -1), "retries: expected a number"),
        ("eta a number", with_header("eta", 5), "eta: expected a time"),
        ("eta no time", with_header("eta", "tomorrow"), "eta: expected a time"),
        ("expires an object", with_header("expires", {}), "expires: expected a time"),
        ("shadow an object", with_header("shadow", {}), "shadow: expected"),
        ("group an object", with_header("group", {}), "group: expected"),
        ("parent a list", with_header("parent_id", [1]), "parent_id: expected"),
        ("stamps a list", with_header("stamped_headers", 5), "stamped_headers: expected"),
        ("no task header", without("task"), "task: expected a text"),
        ("no id header", without("id"), "id: expected a text"),
        ("no headers", with_member("headers", None), "task: expected a text"),
        ("headers a list", with_member("headers", [1]), "headers: expected an object"),
        ("properties a text", with_member("properties", "none"), "properties: expected an object"),
        ("no delivery info", with_property("delivery_info", None), "delivery_info: expected an object"),
        ("body encoding unknown", with_property("body_encoding", "rot13"), "body_encoding"),
        ("reply to an object", with_property("reply_to", {}), "reply_to"),
        ("priority infinite", with_property("priority", 10**400), "priority"),
        ("envelope: not JSON", b"not json " + uuid4().bytes.hex().encode(), "envelope: expected JSON"),
        ("envelope: not UTF-8", b"\x80\x04\x95" + uuid4().bytes, "envelope: expected"),
        ("envelope: empty", b"", "envelope: expected JSON"),
        ("envelope: null bytes", b"\0" * 64, "envelope: expected JSON"),
        ("envelope: a list", b"[1, 2, 3]", "envelope: expected an object"),
        ("envelope: null", b"null", "envelope: expected an object"),
        ("envelope: deep", b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "envelope: expected at most 64 levels"),
        ("envelope: half", json.dumps(base()).encode()[:200], "envelope: expected JSON"),
        ("unknown task", with_header("task", "payments.rob"), "no task of this version"),
    ]
