"""Published keys: a JSON Web Key Set (RFC 7517), read into the keys that may sign tokens.

A set may hold keys of kinds and for uses that we do not know: those are left out (RFC 7517 5). What
holds a private key is refused as a whole, because whoever wrote it must make another key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from trust.errors import TrustError
from trust.keys import PublicKey
from trust.udap.jwt import ALGORITHMS, check_key_fits
from trust.udap.strict_json import read_object

MAX_JWKS_BYTES = 64 * 1024
MAX_KEYS = 20
MAX_KEY_ID = 256
MIN_RSA_BITS = 2048

_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "k"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedKey:
    """A key that may sign: its ``kid``, the one algorithm that it names, if it does, and itself."""

    key_id: str
    algorithm: str | None
    key: PublicKey


def read_jwks(data: bytes) -> tuple[PublishedKey, ...]:
    """The signing keys of a set.

    Raises:
        TrustError: ``jwks-malformed``, ``jwks-private``, ``jwks-empty`` when no key of it is one
            that we can use: RSA of 2048 bits or more, P-256 or P-384, with a ``kid``.
    """
    if len(data) > MAX_JWKS_BYTES:
        raise TrustError("jwks-malformed", f"A key set is larger than {MAX_JWKS_BYTES} bytes.")
    try:
        given = read_object(data).get("keys")
    except TrustError as error:
        raise TrustError("jwks-malformed", "A key set is not one JSON object.") from error
    if not isinstance(given, list) or len(given) > MAX_KEYS:
        raise TrustError("jwks-malformed", f"A key set has no array of up to {MAX_KEYS} keys.")
    found = tuple(key for each in given if (key := _key(each)) is not None)
    if not found:
        raise TrustError("jwks-empty", "A key set has no key that can sign tokens for us.")
    return found


def key_for(keys: Sequence[PublishedKey], key_id: str, algorithm: str) -> PublicKey:
    """The one key of a set with a ``kid`` that makes signatures of an algorithm.

    Raises:
        TrustError: ``jwks-key-unknown`` when there is none, or more than one.
    """
    fitting = [each.key for each in keys if each.key_id == key_id and _makes(each, algorithm)]
    if len(fitting) != 1:
        raise TrustError(
            "jwks-key-unknown", "There is not exactly one registered key with the token's kid."
        )
    return fitting[0]


def _makes(key: PublishedKey, algorithm: str) -> bool:
    if key.algorithm not in (None, algorithm):
        return False
    try:
        check_key_fits(key.key, algorithm)
    except TrustError:
        return False
    return True


def _key(value: Any) -> PublishedKey | None:
    if not isinstance(value, Mapping):
        raise TrustError("jwks-malformed", "A key of a key set is not an object.")
    if _PRIVATE & value.keys():
        raise TrustError("jwks-private", "A key set holds a private or a secret key.")
    key_id, algorithm = value.get("kid"), value.get("alg")
    if not isinstance(key_id, str) or not 0 < len(key_id) <= MAX_KEY_ID:
        return None
    if value.get("use", "sig") != "sig" or algorithm not in (None, *ALGORITHMS):
        return None
    key = _public(value)
    return None if key is None else PublishedKey(key_id=key_id, algorithm=algorithm, key=key)


def _public(value: Mapping[str, Any]) -> PublicKey | None:
    kinds: dict[object, Any] = {"RSA": RSAKey, "EC": ECKey}
    kind = kinds.get(value.get("kty"))
    if kind is None:
        return None
    try:
        key = kind.import_key(dict(value)).public_key
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise TrustError("jwks-malformed", "A key of a key set cannot be read.") from error
    if isinstance(key, rsa.RSAPublicKey):
        return key if key.key_size >= MIN_RSA_BITS else None
    curves = ("secp256r1", "secp384r1")
    return key if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in curves else None
