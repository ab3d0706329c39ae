"""Who may ask: the keys of the environment variable `API_KEYS`."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping

KEYS_VARIABLE = "API_KEYS"
KEY_HEADER = "X-API-Key"


class KeyRing:
    """The accepted keys, kept as hashes; without any, every key is refused."""

    def __init__(self, keys: list[str]) -> None:
        self._digests = [_digest(key.encode()) for key in keys]

    def accepts(self, key: bytes | None) -> bool:
        """Whether `key` is one of the keys; takes the same time whichever it is."""
        given = _digest(key or b"")
        matches = [hmac.compare_digest(given, digest) for digest in self._digests]
        return any(matches)


def read_keys(environment: Mapping[str, str]) -> list[str]:
    """The keys of `API_KEYS`: separated by commas, spaces around them dropped."""
    keys = (key.strip() for key in environment.get(KEYS_VARIABLE, "").split(","))
    return [key for key in keys if key]


def make_key() -> str:
    """A new key, 43 characters that need no quoting."""
    return secrets.token_urlsafe(32)


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
