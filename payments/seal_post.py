"""The seals outside the database: each is posted to an address until it is taken."""

from dataclasses import dataclass

import requests

from payments.errors import NotDelivered
from payments.events import canonical_bytes
from payments.seals import Seal

#: Seconds to connect, and for each pause within the answer.
TIMEOUT_SECONDS = (3.0, 10.0)

_OK, _REDIRECTS = 200, 300


@dataclass(frozen=True)
class SealPost:
    """Posts seals as JSON; a seal that comes twice is the same, byte for byte, under the same number."""

    url: str

    def __call__(self, seal: Seal) -> None:
        """Post a seal.

        Raises:
            NotDelivered: it was not taken; later it may.
        """
        body = canonical_bytes(seal.model_dump())
        headers = {"content-type": "application/json"}
        try:
            answer = requests.post(
                self.url, data=body, headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False, stream=True
            )
            answer.close()
        except requests.RequestException as error:
            raise NotDelivered(f"AUDIT_SEAL_URL: {type(error).__name__}") from error
        if not _OK <= answer.status_code < _REDIRECTS:
            raise NotDelivered(f"AUDIT_SEAL_URL answers {answer.status_code}")
