"""Certification paths: found among what a peer sent, and validated as RFC 5280 6.1 says.

The path builder of ``cryptography`` compares names byte by byte and refuses critical policy
extensions, so it cannot accept chains that real CAs issue (facts pki A7). This one is the
standard's algorithm, no more: name comparison of 7.1, pathLen, keyUsage, name constraints,
policies, no critical extension that nothing processes. What is stricter stands in ``trust.chain``;
OpenSSL must agree on every path (``trust.second_opinion``).

Pure, and bounded: in depth, in signatures checked, in whole paths tried.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from importlib import resources
from itertools import islice

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from trust.der import SEQUENCE, VERSION_TAG, elements, only
from trust.distinguished_names import ComparableName, comparable, same_name
from trust.name_constraints import NameSpace
from trust.policy_graph import PolicyInputs, PolicyState
from trust.undecodable import UNDECODABLE

MAX_DEPTH = 6
"""Intermediates between the leaf and its anchor."""

MAX_SIGNATURES = 64
"""Signatures checked while looking for a path."""

MAX_PATHS = 8
"""Complete paths of which validation is tried."""

Path = tuple[x509.Certificate, ...]


def candidate_paths(
    leaf: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
) -> Iterator[Path]:
    """Paths whose names and signatures chain, leaf first, anchor last; 8 at most, not validated.

    Raises:
        ValueError and the rest of ``trust.undecodable``: when a certificate is malformed.
    """
    return islice(
        _paths((leaf,), _by_name(intermediates), _by_name(anchors), _Budget(MAX_SIGNATURES)),
        MAX_PATHS,
    )


def signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the issuer's name and key stand behind a certificate; not whether it may issue."""
    try:
        named = same_name(certificate.issuer, issuer.subject)
    except ValueError:
        return False
    return named and _signature_holds(certificate, issuer)


def is_self_issued(certificate: x509.Certificate) -> bool:
    """Whether a certificate names its own subject as issuer."""
    return same_name(certificate.subject, certificate.issuer)


def path_refusal(
    path: Sequence[x509.Certificate], *, now: datetime, policies: PolicyInputs | None = None
) -> str | None:
    """Validates a path of at least two certificates, leaf first, anchor last (RFC 5280 6.1).

    The anchor gives its name, key and, as OpenSSL has it, its validity, path length and name
    constraints; its own signature proves nothing.

    Raises:
        ValueError and the rest of ``trust.undecodable``: when a certificate is malformed.
    """
    anchor, *rest = reversed(path)
    if not _in_time(anchor, now):
        return "The anchor of the chain is not valid at this time."
    if _too_long(path):
        return "The chain is longer than a CA in it allows."
    state = PolicyState(policies or PolicyInputs(), len(rest))
    names = _below(NameSpace(), anchor)
    issuer = anchor
    for index, certificate in enumerate(rest):
        last = index == len(rest) - 1
        self_issued = is_self_issued(certificate)
        refusal = (
            _own_refusal(certificate, issuer, now=now)
            or (names.refusal(certificate) if last or not self_issued else None)
            or state.step(certificate, self_issued=self_issued, last=last)
            or (None if last else _issuer_refusal(certificate))
        )
        if refusal is not None:
            return refusal
        names = _below(names, certificate)
        issuer = certificate
    return None


def _in_time(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def _too_long(path: Sequence[x509.Certificate]) -> bool:
    """Whether a pathLenConstraint is broken; self-issued certificates do not count."""
    room: int | None = None
    for depth, certificate in enumerate(reversed(path[1:])):
        counts = depth > 0 and not is_self_issued(certificate)
        if counts and room is not None:
            if room == 0:
                return True
            room -= 1
        own = _path_length(certificate)
        if own is not None:
            room = own if room is None else min(room, own)
    return False


def _own_refusal(
    certificate: x509.Certificate, issuer: x509.Certificate, *, now: datetime
) -> str | None:
    if not signed_by(certificate, issuer):
        return "A signature in the chain is wrong, or names do not chain."
    if not certificate.issuer.rdns:
        return "A certificate does not name its issuer."
    if not _in_time(certificate, now):
        return "A certificate of the chain is not valid at this time."
    for extension in certificate.extensions:
        if extension.critical and extension.oid.dotted_string not in _processed():
            return "A certificate has a critical extension that we do not know."
    return None


def _issuer_refusal(certificate: x509.Certificate) -> str | None:
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        basic = None
    if basic is None or not basic.ca or certificate.version is not x509.Version.v3:
        return "A certificate was issued by one that is no CA's."
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None
    return None if usage.key_cert_sign else "A CA's key may not sign certificates."


def _path_length(certificate: x509.Certificate) -> int | None:
    try:
        return certificate.extensions.get_extension_for_class(
            x509.BasicConstraints
        ).value.path_length
    except x509.ExtensionNotFound:
        return None


def _below(names: NameSpace, certificate: x509.Certificate) -> NameSpace:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return names
    return names.narrowed(constraints)


# --- looking for paths --------------------------------------------------------------------------


_ByName = dict[ComparableName, list[x509.Certificate]]


class _Budget:
    def __init__(self, left: int) -> None:
        self._left = left

    def spend(self) -> bool:
        self._left -= 1
        return self._left >= 0


def _paths(path: Path, intermediates: _ByName, anchors: _ByName, budget: _Budget) -> Iterator[Path]:
    current = path[-1]
    for anchor in _issuers(current, anchors):
        if budget.spend() and _signature_holds(current, anchor):
            yield (*path, anchor)
    if len(path) > MAX_DEPTH:
        return
    seen = {(comparable(c.subject), _key_bytes(c)) for c in path}
    for issuer in _issuers(current, intermediates):
        if (comparable(issuer.subject), _key_bytes(issuer)) in seen:
            continue
        if budget.spend() and _signature_holds(current, issuer):
            yield from _paths((*path, issuer), intermediates, anchors, budget)


def _by_name(certificates: Sequence[x509.Certificate]) -> _ByName:
    named: _ByName = {}
    for certificate in certificates:
        named.setdefault(comparable(certificate.subject), []).append(certificate)
    return named


def _issuers(certificate: x509.Certificate, candidates: _ByName) -> list[x509.Certificate]:
    """Those of the issuer's name, the one of the right key identifier first."""
    named = candidates.get(comparable(certificate.issuer), [])
    wanted = authority_key_id(certificate)
    return sorted(named, key=lambda c: wanted is not None and subject_key_id(c) != wanted)


def authority_key_id(certificate: x509.Certificate) -> bytes | None:
    """The key identifier of the issuer, as the certificate has it."""
    try:
        return certificate.extensions.get_extension_for_class(
            x509.AuthorityKeyIdentifier
        ).value.key_identifier
    except x509.ExtensionNotFound:
        return None


def subject_key_id(certificate: x509.Certificate) -> bytes | None:
    """The key identifier that a certificate gives its own key."""
    try:
        return certificate.extensions.get_extension_for_class(
            x509.SubjectKeyIdentifier
        ).value.digest
    except x509.ExtensionNotFound:
        return None


# --- signatures ---------------------------------------------------------------------------------


def _signature_holds(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        key = issuer.public_key()
        algorithm = certificate.signature_hash_algorithm
        parameters = certificate.signature_algorithm_parameters
        if algorithm is None or not _one_algorithm(certificate):
            return False
        signature, signed = certificate.signature, certificate.tbs_certificate_bytes
        if isinstance(key, rsa.RSAPublicKey) and isinstance(
            parameters, padding.PKCS1v15 | padding.PSS
        ):
            key.verify(signature, signed, parameters, algorithm)
            return True
        if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(parameters, ec.ECDSA):
            key.verify(signature, signed, parameters)
            return True
    except (*UNDECODABLE, InvalidSignature):
        return False
    return False  # DSA, Ed25519 and the like: no CA of the network signs so


def _one_algorithm(certificate: x509.Certificate) -> bool:
    """Whether the signed and the unsigned statement of the signature's algorithm are the same."""
    outer = list(elements(only(certificate.public_bytes(Encoding.DER), SEQUENCE)))
    inner = list(elements(only(certificate.tbs_certificate_bytes, SEQUENCE)))
    position = 2 if inner[0][0] == VERSION_TAG else 1
    return inner[position][2] == outer[1][2]


def _key_bytes(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@lru_cache
def _processed() -> frozenset[str]:
    text = resources.files("trust").joinpath("data/extensions.toml").read_text(encoding="utf-8")
    return frozenset(tomllib.loads(text)["processed"].values())
