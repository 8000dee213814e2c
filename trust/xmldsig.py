"""XML signatures: a strict verifier for exactly one profile, and the signer of the same profile.

The profile (facts: ihe-wire 8.1): exclusive canonical XML without comments; RSA (PKCS#1 v1.5) or
ECDSA with SHA-2; exactly one Reference, to an element of the same document by its id; the
transforms "enveloped signature" and "exclusive c14n", nothing else. XSLT, XPath, XPointer, external
references, ds:Object, HMAC and DSA are refused by not being in the list.

Why not libxmlsec or signxml: used the ordinary way, both accept wrapped assertions. They verify *a*
signed element; the caller then reads *another*. Here the caller names the element it is going to
read, the reference must lead to that very element and no other may carry its id, and what comes
back is a tree parsed anew from the canonical octets whose digest was checked (DESIGN, law 2: proof
before parse-and-use). Nothing outside :class:`VerifiedBytes` is proved.

The key comes from KeyInfo or from the caller. Either way the result only says "whoever holds this
key signed these octets"; whose key it is, the binding step decides.
"""

from __future__ import annotations

import copy
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from lxml import etree

from trust.errors import TrustError
from trust.key_floor import is_guessable
from trust.key_info import (
    KeyHint,
    read_base64,
    read_key_info,
    signature_table,
)
from trust.keys import PublicKey
from trust.xml import canonical, parse, parse_canonical, serialize
from trust.xml_names import DS, ENVELOPED, EXC_C14N
from trust.xml_signing import NCNAME, sign_detached, sign_enveloped

__all__ = [
    "DEFAULT_POLICY",
    "SignaturePolicy",
    "VerifiedBytes",
    "sign_detached",
    "sign_enveloped",
    "verify",
]

_SIGNATURE = f"{{{DS}}}Signature"
_SIGNED_INFO = f"{{{DS}}}SignedInfo"
_SIGNATURE_VALUE = f"{{{DS}}}SignatureValue"
_KEY_INFO = f"{{{DS}}}KeyInfo"
_C14N_METHOD = f"{{{DS}}}CanonicalizationMethod"
_SIGNATURE_METHOD = f"{{{DS}}}SignatureMethod"
_REFERENCE = f"{{{DS}}}Reference"
_TRANSFORMS = f"{{{DS}}}Transforms"
_TRANSFORM = f"{{{DS}}}Transform"
_DIGEST_METHOD = f"{{{DS}}}DigestMethod"
_DIGEST_VALUE = f"{{{DS}}}DigestValue"
_INCLUSIVE = f"{{{EXC_C14N}}}InclusiveNamespaces"

_MAX_RSA_BITS = 8192
_MIN_RSA_EXPONENT = 65537
_MAX_RSA_EXPONENT = 2**32
_MAX_PREFIXES = 32

_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha1": hashes.SHA1(),  # noqa: S303 -- only for peers whose policy allows it
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignaturePolicy:
    """What is accepted beyond or below the default; a per-peer setting (facts: ihe-wire 12).

    Attributes:
        allow_sha1: accept SHA-1 in signature and digest (QTF-501 bans it).
        min_rsa_bits: smallest RSA modulus, in bits.
    """

    allow_sha1: bool = False
    min_rsa_bits: int = 2048


DEFAULT_POLICY = SignaturePolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedBytes:
    """What a signature proved, and nothing more.

    Attributes:
        octets: the canonical bytes whose digest was signed.
        element: the tree parsed from ``octets``; the only one to read from.
        key: the key that verified it.
        certificate: the certificate with that key, where the KeyInfo had one.
        certificates: all certificates of the KeyInfo, for building a chain.
        algorithm: URI of the signature algorithm.
        weak: whether SHA-1 was involved (only possible where the policy allows it).
        key_from_message: whether the key came from the KeyInfo rather than from the caller.
        enveloped_transform: whether the transforms named "enveloped signature".
        value: the signature itself.
    """

    octets: bytes
    element: etree._Element
    key: PublicKey
    certificate: x509.Certificate | None
    certificates: tuple[x509.Certificate, ...]
    algorithm: str
    weak: bool
    key_from_message: bool
    enveloped_transform: bool
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _SignedInfo:
    octets: bytes
    algorithm: str
    family: str
    hash: str
    weak: bool
    digest_hash: str
    digest: bytes
    enveloped: bool
    prefixes: tuple[str, ...]


def verify(
    element: etree._Element,
    signature: etree._Element,
    *,
    id_attribute: str = "ID",
    keys: Sequence[PublicKey] = (),
    policy: SignaturePolicy = DEFAULT_POLICY,
) -> VerifiedBytes:
    """Check that ``signature`` signs ``element`` as a whole, and return what was signed.

    A signature that is a child of the element is verified as enveloped; it may not be any deeper
    inside. Any other place is a detached signature.

    Args:
        element: the element that the caller is going to rely on.
        signature: its ``ds:Signature``.
        id_attribute: the element's id attribute, in Clark notation.
        keys: keys known to the caller, tried when the signature names none by value.
        policy: what is accepted.

    Raises:
        TrustError: ``signature-malformed``, ``signature-algorithm``, ``signature-reference``,
            ``signature-key``, ``signature-no-key``, ``key-info-mismatch``, ``signature-invalid``.
    """
    method, value_element, key_info = _parts(signature)
    info = _signed_info(method, policy)
    _check_reference(element, method, id_attribute)
    inside = signature.getparent() is element
    if inside and not info.enveloped:
        raise TrustError(
            "signature-reference", "The signature lies in what it signs but does not say so."
        )
    if not inside and any(each is element for each in signature.iterancestors()):
        raise TrustError("signature-reference", "The signature is hidden inside what it signs.")
    octets = canonical(
        _without(element, signature, info.prefixes) if inside else element, info.prefixes
    )
    digest = hashlib.new(info.digest_hash, octets).digest()
    if not hmac.compare_digest(digest, info.digest):
        raise TrustError("signature-invalid", "What was signed has been changed since.")
    value = read_base64(value_element)
    hint = None if key_info is None else read_key_info(key_info)
    key = _verifying_key(hint, keys, value, info, policy)
    return VerifiedBytes(
        octets=octets,
        element=parse_canonical(octets),
        key=key,
        certificate=hint.certificate if hint else None,
        certificates=hint.certificates if hint else (),
        algorithm=info.algorithm,
        weak=info.weak,
        key_from_message=hint is not None,
        enveloped_transform=info.enveloped,
        value=value,
    )


def _parts(
    signature: etree._Element,
) -> tuple[etree._Element, etree._Element, etree._Element | None]:
    tags = [child.tag for child in signature]
    if signature.tag != _SIGNATURE or tags not in (
        [_SIGNED_INFO, _SIGNATURE_VALUE],
        [_SIGNED_INFO, _SIGNATURE_VALUE, _KEY_INFO],
    ):
        raise TrustError("signature-malformed", "The signature has parts that are not accepted.")
    return signature[0], signature[1], signature[2] if len(tags) > 2 else None  # noqa: PLR2004


def _signed_info(signed_info: etree._Element, policy: SignaturePolicy) -> _SignedInfo:
    if [child.tag for child in signed_info] != [_C14N_METHOD, _SIGNATURE_METHOD, _REFERENCE]:
        raise TrustError(
            "signature-malformed", "The signature does not have exactly one reference."
        )
    c14n, method, reference = signed_info
    if len(method):
        raise TrustError("signature-algorithm", "The signature algorithm has parameters.")
    parts = [child.tag for child in reference]
    if parts != [_TRANSFORMS, _DIGEST_METHOD, _DIGEST_VALUE] or set(reference.attrib) != {"URI"}:
        raise TrustError("signature-malformed", "The reference of the signature is not accepted.")
    transforms, digest_method, digest_value = reference
    enveloped, prefixes = _transforms(transforms)
    algorithm = _algorithm(method)
    row = _row("signature", algorithm, policy)
    digest_row = _row("digest", _algorithm(digest_method), policy)
    return _SignedInfo(
        octets=canonical(signed_info, _exclusive_prefixes(c14n)),
        algorithm=algorithm,
        family=str(row["family"]),
        hash=str(row["hash"]),
        weak=bool(row.get("weak")) or bool(digest_row.get("weak")),
        digest_hash=str(digest_row["hash"]),
        digest=read_base64(digest_value),
        enveloped=enveloped,
        prefixes=prefixes,
    )


def _row(table: str, algorithm: str, policy: SignaturePolicy) -> dict[str, object]:
    row: dict[str, object] | None = signature_table()[table].get(algorithm)
    if row is None or (row.get("weak") and not policy.allow_sha1):
        raise TrustError(
            "signature-algorithm",
            "The signature uses an algorithm that is not accepted.",
            detail=f"{table} algorithm {algorithm[:100]!r}",
        )
    return row


def _algorithm(element: etree._Element) -> str:
    return str(element.get("Algorithm", ""))


def _transforms(transforms: etree._Element) -> tuple[bool, tuple[str, ...]]:
    steps = list(transforms)
    names = [_algorithm(step) if step.tag == _TRANSFORM else "" for step in steps]
    if names not in ([EXC_C14N], [ENVELOPED, EXC_C14N]) or any(len(step) for step in steps[:-1]):
        raise TrustError(
            "signature-algorithm", "The signature uses transforms that are not accepted."
        )
    return len(steps) > 1, _exclusive_prefixes(steps[-1])


def _exclusive_prefixes(method: etree._Element) -> tuple[str, ...]:
    if _algorithm(method) != EXC_C14N:
        raise TrustError(
            "signature-algorithm", "The canonical form of the signature is not accepted."
        )
    if not len(method):
        return ()
    prefixes = tuple(str(method[0].get("PrefixList", "")).split())
    if len(method) > 1 or method[0].tag != _INCLUSIVE or len(prefixes) > _MAX_PREFIXES:
        raise TrustError(
            "signature-algorithm", "The canonical form of the signature is not accepted."
        )
    if "#default" in prefixes:
        raise TrustError(
            "signature-algorithm",
            "The canonical form of the signature is not accepted.",
            detail="#default in PrefixList",
        )
    return prefixes


@lru_cache(maxsize=1)
def _same_id() -> etree.XPath:
    # Any attribute counts: whatever another parser might take for an id could be found instead.
    return etree.XPath("//@*[.=$id]/..")


def _check_reference(
    element: etree._Element, signed_info: etree._Element, id_attribute: str
) -> None:
    own = element.get(id_attribute)
    uri = signed_info[2].get("URI")
    if own is None or not NCNAME.fullmatch(own) or uri != f"#{own}":
        raise TrustError("signature-reference", "The signature refers to something else.")
    found = _same_id()(element.getroottree(), id=own)
    if not isinstance(found, list) or len(found) != 1 or found[0] is not element:
        raise TrustError("signature-reference", "The signed id stands on more than one element.")


def _without(
    element: etree._Element, signature: etree._Element, prefixes: tuple[str, ...]
) -> etree._Element:
    """A copy of the element without its signature; the text that follows the signature stays."""
    # A deep copy loses the namespaces that are in scope but not in use; a prefix list needs them.
    duplicate = parse(serialize(element)) if prefixes else copy.deepcopy(element)
    gone = duplicate[element.index(signature)]
    before = gone.getprevious()
    tail = gone.tail or ""
    if before is None:
        duplicate.text = (duplicate.text or "") + tail
    else:
        before.tail = (before.tail or "") + tail
    gone.tail = None
    duplicate.remove(gone)
    return duplicate


def _verifying_key(
    hint: KeyHint | None,
    keys: Sequence[PublicKey],
    value: bytes,
    info: _SignedInfo,
    policy: SignaturePolicy,
) -> PublicKey:
    candidates = [hint.key] if hint is not None else list(keys)
    if not candidates:
        raise TrustError("signature-no-key", "The signature names no key and none is known.")
    for key in candidates:
        _check_strength(key, policy)
    for key in candidates:
        if _verifies(key, value, info):
            return key
    raise TrustError("signature-invalid", "The signature does not fit its key.")


def _check_strength(key: PublicKey, policy: SignaturePolicy) -> None:
    if isinstance(key, rsa.RSAPublicKey):
        if not policy.min_rsa_bits <= key.key_size <= _MAX_RSA_BITS:
            raise TrustError(
                "signature-key",
                "The signing key is too short or too long.",
                detail=str(key.key_size),
            )
        numbers = key.public_numbers()
        if not _MIN_RSA_EXPONENT <= numbers.e <= _MAX_RSA_EXPONENT or is_guessable(numbers.n):
            raise TrustError("signature-key", "The signing key's exponent or form is not accepted.")
    elif key.curve.name not in _curve_names():
        raise TrustError("signature-key", "The signing key is on a curve that is not accepted.")


@lru_cache(maxsize=1)
def _curve_names() -> frozenset[str]:
    return frozenset(str(row["name"]) for row in signature_table()["curve"].values())


def _verifies(key: PublicKey, value: bytes, info: _SignedInfo) -> bool:
    hash_algorithm = _HASHES[info.hash]
    try:
        if isinstance(key, rsa.RSAPublicKey):
            if info.family != "rsa":
                return False
            key.verify(value, info.octets, padding.PKCS1v15(), hash_algorithm)
            return True
        width = (key.key_size + 7) // 8
        if info.family != "ec" or len(value) != 2 * width:
            return False
        der = encode_dss_signature(
            int.from_bytes(value[:width], "big"), int.from_bytes(value[width:], "big")
        )
        key.verify(der, info.octets, ec.ECDSA(hash_algorithm))
    except InvalidSignature:
        return False
    return True
