"""Keys that live in a PKCS#11 token (an HSM, a smart card, SoftHSM) and never leave it.

A ``Token`` is logged in once and keeps its session with the keys it found: a signature costs one
call, no login and no search. A session that was lost is opened again once. A refused PIN is never
tried twice by one process, for tokens lock themselves. Calls take turns: python-pkcs11 starts the
token's library in the way that promises one thread at a time (PKCS#11 2.40, C_Initialize), and
SoftHSM does fail when that is not kept.

In a node home a reference stands where a key file would (RFC 7512), without the PIN::

    pkcs11:token=tefca;object=tefca-node-saml-v0002;type=private

The library is python-pkcs11, which the extra ``hsm`` of the package brings.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from typing import Any, TypeVar
from urllib.parse import quote, unquote

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from trust.errors import TrustError
from trust.keys import KeyKind, PublicKey

T = TypeVar("T")

MAX_LABEL = 64
WAIT_SECONDS = 10.0
"""How long a signature waits for its turn."""

_URI = re.compile(r"pkcs11:token=([^;?]{1,200});object=([^;?]{1,200});type=private\s*")
_LOST = (
    "SessionHandleInvalid", "SessionClosed", "DeviceError", "DeviceRemoved", "TokenNotPresent",
    "UserNotLoggedIn", "ObjectHandleInvalid", "KeyHandleInvalid", "CryptokiNotInitialized",
)  # fmt: skip
_PIN_REFUSED = ("PinIncorrect", "PinInvalid", "PinLenRange", "PinLocked", "PinExpired")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyReference:
    """Which key of which token."""

    token: str
    label: str

    @property
    def uri(self) -> str:
        """As RFC 7512 writes it."""
        token, label = (quote(text, safe="") for text in (self.token, self.label))
        return f"pkcs11:token={token};object={label};type=private"


def parse_reference(data: bytes) -> KeyReference | None:
    """The reference that a file holds; ``None`` when it holds something else."""
    found = _URI.fullmatch(data.decode("ascii", "replace"))
    if found is None:
        return None
    token, label = (unquote(each) for each in found.groups())
    return KeyReference(token=token, label=label)


@dataclass(slots=True, kw_only=True)
class _Slot:
    """One session with the keys it has found."""

    session: Any
    keys: dict[str, Any] = field(default_factory=dict)


class Token:
    """A token by its label; usable from several threads."""

    def __init__(self, module: str, label: str, pin: Callable[[], str | None]) -> None:
        """Opens nothing yet.

        Args:
            module: path of the vendor's PKCS#11 library.
            label: of the token.
            pin: gives the user PIN when a session is opened.
        """
        self.label = label
        self._module = module
        self._pin = pin
        self._turn = _turn(module)
        self._kept: _Slot | None = None
        self._refused: TrustError | None = None

    def public_key(self, label: str) -> PublicKey:
        """The public half of a key. Raises ``TrustError`` ``token-key-missing`` and others."""

        def read(slot: _Slot) -> PublicKey:
            found = slot.session.get_key(object_class=_pkcs11().ObjectClass.PUBLIC_KEY, label=label)
            return _public(found)

        return self._do(label, read)

    def generate(self, label: str, kind: KeyKind) -> None:
        """Make a key pair in the token, whose private half cannot be taken out.

        Raises:
            TrustError: ``token-key-exists``, and others.
        """
        if not 0 < len(label) <= MAX_LABEL:
            raise TrustError("token-key-label", f"A key's label has 1 to {MAX_LABEL} characters.")

        def make(slot: _Slot) -> None:
            library = _pkcs11()
            there = {library.Attribute.LABEL: label}
            if any(True for _ in slot.session.get_objects(there)):
                raise TrustError("token-key-exists", f"The token has a key {label!r} already.")
            secret = {
                library.Attribute.EXTRACTABLE: False,
                library.Attribute.SENSITIVE: True,
            }
            if kind in (KeyKind.RSA_2048, KeyKind.RSA_3072):
                slot.session.generate_keypair(
                    library.KeyType.RSA,
                    int(kind.rpartition("-")[2]),
                    store=True,
                    label=label,
                    private_template=secret,
                )
                return
            curve = {KeyKind.P_256: "secp256r1", KeyKind.P_384: "secp384r1"}[kind]
            encode = import_module("pkcs11.util.ec").encode_named_curve_parameters
            parameters = slot.session.create_domain_parameters(
                library.KeyType.EC, {library.Attribute.EC_PARAMS: encode(curve)}, local=True
            )
            parameters.generate_keypair(store=True, label=label, private_template=secret)

        self._do(label, make, writing=True)

    def sign(self, label: str, data: bytes, *, with_rsa: bool) -> bytes:
        """RSASSA-PKCS1-v1_5 with SHA-256 of data, or ECDSA with SHA-256 as r || s."""

        def sign(slot: _Slot) -> bytes:
            library = _pkcs11()
            key = slot.keys.get(label)
            if key is None:
                key = slot.session.get_key(
                    object_class=library.ObjectClass.PRIVATE_KEY, label=label
                )
                slot.keys[label] = key
            if with_rsa:
                return bytes(key.sign(data, mechanism=library.Mechanism.SHA256_RSA_PKCS))
            digest = hashlib.sha256(data).digest()  # tokens need not know ECDSA with a digest
            return bytes(key.sign(digest, mechanism=library.Mechanism.ECDSA))

        return self._do(label, sign)

    def close(self) -> None:
        """Close the session, which logs out where no other token is open."""
        with self._turn:
            self._forget()

    def _forget(self) -> None:
        kept, self._kept = self._kept, None
        _close(kept)

    def _do(self, label: str, work: Callable[[_Slot], T], *, writing: bool = False) -> T:
        """Work in a session; where it was lost, once more in a new one."""
        errors = _errors()
        for again in (False, True):
            try:
                with self._session(writing=writing) as slot:
                    return work(slot)
            except errors.NoSuchKey as error:
                raise TrustError(
                    "token-key-missing",
                    f"The token has no key {label!r}, or lets us see none.",
                    where=self.label,
                ) from error
            except errors.MultipleObjectsReturned as error:
                raise TrustError(
                    "token-key-ambiguous",
                    f"The token has several keys {label!r}.",
                    where=self.label,
                ) from error
            except errors.PKCS11Error as error:
                if again or type(error).__name__ not in _LOST:
                    raise self._failed(error) from error
        raise AssertionError  # pragma: no cover  # the second round returns or raises

    @contextmanager
    def _session(self, *, writing: bool) -> Iterator[_Slot]:
        """The kept session, or one of its own for making keys, which is rare."""
        if not self._turn.acquire(timeout=WAIT_SECONDS):
            raise TrustError("token-busy", "The token is busy for too long.", where=self.label)
        try:
            if writing:
                slot = self._opened(writing=True)
                try:
                    yield slot
                finally:
                    _close(slot)
                return
            if self._kept is None:
                self._kept = self._opened(writing=False)
            try:
                yield self._kept
            except _errors().PKCS11Error:
                self._forget()
                raise
        finally:
            self._turn.release()

    def _opened(self, *, writing: bool) -> _Slot:
        """A new session, logged in."""
        errors = _errors()
        if self._refused is not None:
            raise self._refused
        try:
            token = _library(self._module).get_token(token_label=self.label)
            return _Slot(session=self._logged_in(token, writing=writing))
        except errors.NoSuchToken as error:
            raise TrustError(
                "token-missing", "There is no token of this label.", where=self.label
            ) from error
        except errors.PKCS11Error as error:
            if type(error).__name__ not in _PIN_REFUSED:
                raise
            self._refused = TrustError(
                "token-pin-refused",
                "The token refuses the PIN; it is not tried again.",
                detail=type(error).__name__,
                where=self.label,
            )
            raise self._refused from error

    def _logged_in(self, token: Any, *, writing: bool) -> Any:
        pin = self._pin()
        if not pin:
            raise TrustError("token-pin-missing", "The token's PIN is not given.", where=self.label)
        try:
            return token.open(rw=writing, user_pin=pin)
        except _errors().UserAlreadyLoggedIn:
            return token.open(rw=writing)  # one login holds for all sessions of a process

    def _failed(self, error: Exception) -> TrustError:
        return TrustError(
            "token-failed",
            "The token did not do what it was asked.",
            detail=type(error).__name__,
            where=self.label,
        )


def _close(slot: _Slot | None) -> None:
    if slot is not None:
        try:
            slot.session.close()
        except _errors().PKCS11Error:
            return  # it was lost


def _public(key: Any) -> PublicKey:
    if key.key_type is _pkcs11().KeyType.RSA:
        der = import_module("pkcs11.util.rsa").encode_rsa_public_key(key)
    else:
        der = import_module("pkcs11.util.ec").encode_ec_public_key(key)
    found = load_der_public_key(der)
    if not isinstance(found, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise TrustError("key-kind-refused", "A token's key is neither RSA nor ECDSA.")
    return found


def _pkcs11() -> Any:
    try:
        return import_module("pkcs11")
    except ImportError as error:
        raise TrustError(
            "token-library-missing", "Keys in a token need the package python-pkcs11."
        ) from error


def _errors() -> Any:
    _pkcs11()
    return import_module("pkcs11.exceptions")


@lru_cache
def _turn(module: str) -> threading.RLock:  # noqa: ARG001  one for each library
    return threading.RLock()


@lru_cache
def _library(module: str) -> Any:
    try:
        return _pkcs11().lib(module)
    except _errors().PKCS11Error as error:
        raise TrustError(
            "token-module-unusable",
            "The PKCS#11 library of the token cannot be loaded.",
            detail=str(error),
            where=module,
        ) from error
