"""ds:KeyInfo: which key a message says it was signed with, and how we say it.

What stands in a KeyInfo is a hint, never a proof: whoever made the message chose it. The key read
here goes to the binding step, which decides whether it belongs to the peer. A certificate and a
key value that stand side by side must be the same key.
"""

from __future__ import annotations

import base64
import binascii
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from lxml import etree

from trust.errors import TrustError
from trust.keys import PublicKey
from trust.undecodable import UNDECODABLE
from trust.xml import named
from trust.xml_names import DS, DSIG11

MAX_CERTIFICATES = 8
MAX_VALUE_CHARS = 32 * 1024
"""Characters of one base64 value in a signature or KeyInfo."""

_CACHED_CHARS = 16 * 1024
"""Certificates beyond this are parsed anew each time, so that the cache stays below 10 MB."""

_SPACE = re.compile(r"[ \t\r\n]+")
_CURVES: dict[str, type[ec.EllipticCurve]] = {
    "secp256r1": ec.SECP256R1,
    "secp384r1": ec.SECP384R1,
    "secp521r1": ec.SECP521R1,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHint:
    """The key that a KeyInfo names.

    ``certificate`` is the one with that key, ``certificates`` all that came along, in their order.
    """

    key: PublicKey
    certificate: x509.Certificate | None = None
    certificates: tuple[x509.Certificate, ...] = ()


@lru_cache
def signature_table() -> Mapping[str, Any]:
    """The rows of ``data/xmldsig.toml``."""
    source = resources.files("trust").joinpath("data/xmldsig.toml")
    return tomllib.loads(source.read_text(encoding="utf-8"))


def read_base64(element: etree._Element) -> bytes:
    """The element's base64 content; white space may stand in it, nothing else.

    Stray pad bits are refused: they would let one signature have many texts (DESIGN, section 4).

    Raises:
        TrustError: ``signature-malformed``.
    """
    return _decode(_base64_text(element))


def _base64_text(element: etree._Element) -> str:
    value = element.text or ""
    if len(element) or len(value) > MAX_VALUE_CHARS:
        raise _malformed("A base64 value of the signature is too long or holds markup.")
    return value


def _decode(value: str) -> bytes:
    packed = _SPACE.sub("", value)
    try:
        data = base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError):
        raise _malformed("A base64 value of the signature is wrong.") from None
    if not data or base64.b64encode(data).decode("ascii") != packed:
        raise _malformed("A base64 value of the signature is empty or not in its one form.")
    return data


def read_key_info(key_info: etree._Element) -> KeyHint | None:
    """The key named by a KeyInfo, or ``None`` when it holds neither key value nor certificate.

    Raises:
        TrustError: ``signature-malformed`` for a value that is no key or certificate,
            ``key-info-mismatch`` when key value and certificate differ,
            ``signature-key`` for a kind of key that is not accepted.
    """
    key_values: list[tuple[str, ...]] = []
    certificates: list[str] = []
    for child in key_info:
        if child.tag == f"{{{DS}}}KeyValue":
            key_values.append(_key_value(child))
        elif child.tag == f"{{{DS}}}X509Data":
            found = named(child, f"{{{DS}}}X509Certificate")
            certificates.extend(_base64_text(each) for each in found[: MAX_CERTIFICATES + 1])
    if len(key_values) > 1 or len(certificates) > MAX_CERTIFICATES:
        raise _malformed("The KeyInfo holds too many keys or certificates.")
    if not key_values and not certificates:
        return None
    read = _cached_hint if sum(map(len, certificates)) <= _CACHED_CHARS else _hint
    return read(key_values[0] if key_values else None, tuple(certificates))


def _hint(key_value: tuple[str, ...] | None, texts: tuple[str, ...]) -> KeyHint:
    certificates = tuple(_certificate(each) for each in texts)
    key = certificate_key(certificates[0]) if key_value is None else _key(key_value)
    match = next((each for each in certificates if certificate_key(each) == key), None)
    if certificates and match is None:
        raise TrustError(
            "key-info-mismatch", "The key value and the certificate of a KeyInfo are not one key."
        )
    return KeyHint(key=key, certificate=match, certificates=certificates)


_cached_hint = lru_cache(maxsize=512)(_hint)


def certificate_key(certificate: x509.Certificate) -> PublicKey:
    """The public key of a certificate.

    Raises:
        TrustError: ``signature-key`` when it is neither RSA nor elliptic curve.
    """
    try:
        key = certificate.public_key()
    except UNDECODABLE:
        raise TrustError(
            "signature-key", "A certificate holds a key that cannot be read."
        ) from None
    if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        return key
    raise TrustError("signature-key", "A certificate holds a key of a kind that is not accepted.")


def _certificate(value: str) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(_decode(value))
    except UNDECODABLE:
        raise _malformed("A certificate in the message cannot be read.") from None


def _key_value(element: etree._Element) -> tuple[str, ...]:
    """The kind and the texts of a KeyValue."""
    child = element[0] if len(element) == 1 else None
    if child is not None and child.tag == f"{{{DS}}}RSAKeyValue":
        if [part.tag for part in child] == [f"{{{DS}}}Modulus", f"{{{DS}}}Exponent"]:
            return ("rsa", _base64_text(child[0]), _base64_text(child[1]))
    elif child is not None and child.tag == f"{{{DSIG11}}}ECKeyValue":
        parts = [part.tag for part in child]
        if parts == [f"{{{DSIG11}}}NamedCurve", f"{{{DSIG11}}}PublicKey"]:
            return ("ec", str(child[0].get("URI", ""))[:100], _base64_text(child[1]))
    raise TrustError("signature-key", "A key value is of a kind that is not accepted.")


def _key(value: tuple[str, ...]) -> PublicKey:
    kind, first, second = value
    if kind == "rsa":
        modulus, exponent = (int.from_bytes(_decode(each), "big") for each in (first, second))
        try:
            return rsa.RSAPublicNumbers(exponent, modulus).public_key()
        except ValueError:
            raise TrustError("signature-key", "An RSA key value is not a key.") from None
    row = signature_table()["curve"].get(first)
    if row is None:
        raise TrustError("signature-key", "A key is on a curve that is not accepted.")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[row["name"]](), _decode(second))
    except ValueError:
        raise TrustError("signature-key", "An elliptic curve key value is not a key.") from None


def _malformed(sentence: str) -> TrustError:
    return TrustError("signature-malformed", sentence)


# --- what we write ----------------------------------------------------------------------------


def key_info_xml(certificate: x509.Certificate) -> str:
    """A ``ds:KeyInfo`` with the certificate's key value and the certificate itself.

    The ``ds`` prefix is not declared here: the text is for a place where it is.
    """
    der = base64.b64encode(certificate.public_bytes(Encoding.DER)).decode("ascii")
    return (
        f"<ds:KeyInfo><ds:KeyValue>{_key_value_xml(certificate_key(certificate))}</ds:KeyValue>"
        f"<ds:X509Data><ds:X509Certificate>{der}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"
    )


def _key_value_xml(key: PublicKey) -> str:
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        modulus, exponent = (_int_base64(value) for value in (numbers.n, numbers.e))
        return (
            f"<ds:RSAKeyValue><ds:Modulus>{modulus}</ds:Modulus>"
            f"<ds:Exponent>{exponent}</ds:Exponent></ds:RSAKeyValue>"
        )
    uri = next(
        (uri for uri, row in signature_table()["curve"].items() if row["name"] == key.curve.name),
        None,
    )
    if uri is None:
        raise TrustError("signature-key", "A key is on a curve that is not accepted.")
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return (
        f'<dsig11:ECKeyValue xmlns:dsig11="{DSIG11}"><dsig11:NamedCurve URI="{uri}"/>'
        f"<dsig11:PublicKey>{base64.b64encode(point).decode('ascii')}</dsig11:PublicKey>"
        f"</dsig11:ECKeyValue>"
    )


def _int_base64(value: int) -> str:
    data = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return base64.b64encode(data).decode("ascii")
