"""How tokens of stored cards are locked away: encrypted under the first of some keys, opened with any of them.

A key is put in front of the others to rotate, what is kept is encrypted anew, and the old key is taken out. Without any
key nothing can be locked away: whoever would make a token says so before it is asked for.
"""

from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from payments.errors import InvalidArgument, Refusal

#: What is said wherever a key would be needed and none is set.
NO_KEY = "CARD_KEYS is not set, so that no card can be kept"


class CardVault:
    """Encrypts and decrypts tokens."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Use Fernet keys, the newest first; without any nothing can be encrypted or read.

        Raises:
            ValueError: one of them is no key.
        """
        self._box = MultiFernet([Fernet(key) for key in keys]) if keys else None

    @property
    def is_open(self) -> bool:
        """Return whether there is a key."""
        return self._box is not None

    def lock(self, token: str) -> bytes:
        """Encrypt a token under the newest key.

        Raises:
            InvalidArgument: there is no key.
        """
        return self._opened().encrypt(token.encode())

    def unlock(self, locked: bytes) -> str | None:
        """Decrypt a token; None when none of the keys opens it.

        Raises:
            InvalidArgument: there is no key.
        """
        try:
            return self._opened().decrypt(locked).decode()
        except InvalidToken:
            return None

    def relock(self, locked: bytes) -> bytes | None:
        """Encrypt what is kept anew under the newest key; None when none of the keys opens it.

        Raises:
            InvalidArgument: there is no key.
        """
        try:
            return self._opened().rotate(locked)
        except InvalidToken:
            return None

    def require(self, field: str) -> None:
        """Refuse what would make a token that could not be kept.

        Raises:
            InvalidArgument: there is no key; names the argument that asks for a token.
        """
        if self._box is None:
            raise InvalidArgument(field, f"a request that needs no stored card: {NO_KEY}", Refusal.CARD_KEY_MISSING)

    def _opened(self) -> MultiFernet:
        if self._box is None:
            raise InvalidArgument("card_id", f"a key for stored cards: {NO_KEY}", Refusal.CARD_KEY_MISSING)
        return self._box


def new_key() -> str:
    """Return a fresh key."""
    return Fernet.generate_key().decode()
