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
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from lxml import etree

from trust.errors import TrustError
from trust.keys import PublicKey
from trust.xml_names import DS, DSIG11

MAX_CERTIFICATES = 8
MAX_VALUE_CHARS = 32 * 1024
"""Characters of one base64 value in a signature or KeyInfo."""

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
    value = element.text or ""
    if len(element) or len(value) > MAX_VALUE_CHARS:
        raise _malformed("A base64 value of the signature is too long or holds markup.")
    return _decode(value)


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
    keys: list[PublicKey] = []
    certificates: list[x509.Certificate] = []
    for child in key_info:
        if child.tag == f"{{{DS}}}KeyValue":
            keys.append(_key_value(child))
        elif child.tag == f"{{{DS}}}X509Data":
            found = child.findall(f"{{{DS}}}X509Certificate")
            if len(found) + len(certificates) > MAX_CERTIFICATES:
                raise _malformed("The KeyInfo holds too many certificates.")
            certificates.extend(_certificate_of(each) for each in found)
    if len(keys) > 1:
        raise _malformed("The KeyInfo holds more than one key value.")
    if not keys and not certificates:
        return None
    key = keys[0] if keys else certificate_key(certificates[0])
    match = next((each for each in certificates if certificate_key(each) == key), None)
    if certificates and match is None:
        raise TrustError(
            "key-info-mismatch", "The key value and the certificate of a KeyInfo are not one key."
        )
    return KeyHint(key=key, certificate=match, certificates=tuple(certificates))


def certificate_key(certificate: x509.Certificate) -> PublicKey:
    """The public key of a certificate, from a small cache.

    Raises:
        TrustError: ``signature-key`` when it is neither RSA nor elliptic curve.
    """
    return _cached_key(certificate)


@lru_cache(maxsize=512)
def _cached_key(certificate: x509.Certificate) -> PublicKey:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise TrustError(
            "signature-key", "A certificate holds a key that cannot be read."
        ) from None
    if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        return key
    raise TrustError("signature-key", "A certificate holds a key of a kind that is not accepted.")


def _certificate_of(element: etree._Element) -> x509.Certificate:
    value = element.text or ""
    if len(element) or len(value) > MAX_VALUE_CHARS:
        raise _malformed("A certificate in the message is too long or holds markup.")
    return _cached_certificate(value)


@lru_cache(maxsize=512)
def _cached_certificate(value: str) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(_decode(value))
    except ValueError:
        raise _malformed("A certificate in the message cannot be read.") from None


def _key_value(element: etree._Element) -> PublicKey:
    children = list(element)
    if len(children) == 1 and children[0].tag == f"{{{DS}}}RSAKeyValue":
        parts = [part.tag for part in children[0]]
        if parts == [f"{{{DS}}}Modulus", f"{{{DS}}}Exponent"]:
            modulus, exponent = (read_base64(part) for part in children[0])
            return _rsa_key(modulus, exponent)
    if len(children) == 1 and children[0].tag == f"{{{DSIG11}}}ECKeyValue":
        parts = [part.tag for part in children[0]]
        if parts == [f"{{{DSIG11}}}NamedCurve", f"{{{DSIG11}}}PublicKey"]:
            uri = str(children[0][0].get("URI", ""))
            return _ec_key(uri, read_base64(children[0][1]))
    raise TrustError("signature-key", "A key value is of a kind that is not accepted.")


@lru_cache(maxsize=512)
def _rsa_key(modulus: bytes, exponent: bytes) -> PublicKey:
    n, e = int.from_bytes(modulus, "big"), int.from_bytes(exponent, "big")
    try:
        return rsa.RSAPublicNumbers(e, n).public_key()
    except ValueError:
        raise TrustError("signature-key", "An RSA key value is not a key.") from None


@lru_cache(maxsize=512)
def _ec_key(curve_uri: str, point: bytes) -> PublicKey:
    row = signature_table()["curve"].get(curve_uri)
    if row is None:
        raise TrustError("signature-key", "A key is on a curve that is not accepted.")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[row["name"]](), point)
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
