"""Certificates, requests, CRLs, OCSP answers and key files as they are imported.

What a CA of the originals signed is accepted only when its signed part is an original's, byte for
byte; a request is accepted only when its own key signed it.
"""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from random import Random

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp

from tests.fuzz.der_mutation import mutate_der
from tests.fuzz.target import NOW, Check, MutateBytes, Seeds, Target, hold, original, originals
from trust.certificate_import import ImportContext, check_import
from trust.certificates import arrange, describe, parse_certificates, parse_der
from trust.chain import verify_chain
from trust.crl import check_crl, parse_crl
from trust.csr import describe_csr, parse_csr
from trust.errors import TrustError, error_table
from trust.inspection import Surroundings, inspect_bytes
from trust.keys import KeyKind, generate_key, load_key, plain_pem, public_key_of
from trust.ocsp import OcspStatus, evaluate_ocsp
from trust.pkcs8 import encrypted_pem
from trust.usages import Usage

_PASSPHRASE = b"fuzz"


@cache
def _root() -> x509.Certificate:
    return x509.load_pem_x509_certificate(original("root.pem"))


@cache
def _leaf() -> x509.Certificate:
    return x509.load_der_x509_certificate(original("leaf.der"))


def check_certificate(data: bytes) -> str:
    """A bundle in PEM form or one certificate in DER form, imported and verified."""
    try:
        given = parse_certificates(data) if b"-----BEGIN" in data else (parse_der(data),)
    except TrustError as error:
        return error.code
    outcome = [_judge(certificate) for certificate in given]
    try:
        bundle = arrange(given)
        context = ImportContext(
            key=public_key_of(_leaf()),
            usages=(Usage.TLS_SERVER, Usage.TLS_CLIENT),
            hosts=("leaf.example",),
            anchors=(_root(),),
        )
        verdict = check_import(bundle, context, now=NOW)
    except TrustError as error:
        return error.code
    if verdict.ok:
        hold(_is_original(bundle.leaf), "a changed certificate may be imported")
        return "accepted"
    return min(map(str, outcome), default="empty")


def _judge(certificate: x509.Certificate) -> str:
    try:
        describe(certificate)
    except TrustError as error:
        return error.code
    verdict = verify_chain(certificate, (), (_root(),), usage=Usage.TLS_CLIENT, now=NOW)
    if verdict.ok:
        hold(_is_original(certificate), "a changed certificate chains to the anchor")
    return verdict.reason_code or "accepted"


def _is_original(certificate: x509.Certificate) -> bool:
    return certificate.tbs_certificate_bytes == _leaf().tbs_certificate_bytes


def check_request(data: bytes) -> str:
    """A signing request, described when it is accepted."""
    try:
        request = parse_csr(data)
        describe_csr(request)
    except TrustError as error:
        return error.code
    hold(request.is_signature_valid, "a request was accepted that its key did not sign")
    own = request.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if own in _requests():
        hold(request.tbs_certrequest_bytes == _requests()[own], "a changed request was accepted")
    return "accepted"


@cache
def _requests() -> dict[bytes, bytes]:
    given = map(x509.load_pem_x509_csr, originals("request-*.pem"))
    spki = PublicFormat.SubjectPublicKeyInfo
    return {r.public_key().public_bytes(Encoding.DER, spki): r.tbs_certrequest_bytes for r in given}


def check_revocation_list(data: bytes) -> str:
    """A CRL, read and judged for its signer."""
    try:
        crl = parse_crl(data)
    except TrustError as error:
        return error.code
    finding = check_crl(crl, _root(), now=NOW)
    if finding is not None:
        return finding.code
    hold(crl.source.tbs_certlist_bytes in _lists(), "a changed CRL is believed")
    return "accepted"


@cache
def _lists() -> frozenset[bytes]:
    return frozenset(x509.load_der_x509_crl(d).tbs_certlist_bytes for d in originals("crl-*.der"))


def check_answer(data: bytes) -> str:
    """An OCSP response for the original leaf."""
    answer = evaluate_ocsp(data, certificate=_leaf(), issuer=_root(), now=NOW)
    if answer.reason_code is None or answer.status is OcspStatus.REVOKED:
        signed = ocsp.load_der_ocsp_response(data).tbs_response_bytes
        hold(signed in _answers(), "a changed OCSP response is believed")
    return answer.reason_code or answer.status.value


@cache
def _answers() -> frozenset[bytes]:
    given = originals("ocsp-*.der")
    return frozenset(ocsp.load_der_ocsp_response(d).tbs_response_bytes for d in given)


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="fuzz-keys-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def check_key_file(data: bytes) -> str:
    """A private key file, opened with and without a passphrase."""
    path = _folder() / "key.pem"
    path.unlink(missing_ok=True)
    path.touch(0o600)
    path.write_bytes(data)
    outcome = []
    for passphrase in (None, _PASSPHRASE):
        try:
            load_key(path, passphrase=passphrase)
            outcome.append("accepted")
        except TrustError as error:
            outcome.append(error.code)
    return "+".join(dict.fromkeys(outcome))


@cache
def _keys() -> tuple[bytes, ...]:
    """Made anew in each run: no private key stands in the corpus."""
    made = [generate_key(kind) for kind in (KeyKind.P_256, KeyKind.P_384, KeyKind.RSA_2048)]
    return (*map(plain_pem, made), *(encrypted_pem(key, _PASSPHRASE) for key in made[:2]))


def _mutate(data: bytes, random: Random, byte_mutate: MutateBytes) -> bytes:
    return mutate_der(data, random, byte_mutate)


def _target(name: str, check: Check, seeds: Seeds, weight: int = 1) -> Target:
    return Target(
        name=name,
        check=check,
        seeds=seeds,
        mutate=_mutate,
        max_bytes=8 * 1024,
        weight=weight,
    )


def _certificate_seeds() -> Iterable[bytes]:
    return [*originals("bundle.pem"), *originals("root.pem"), *originals("leaf.der")]


def check_any_file(data: bytes) -> str:
    """Any file at all, explained."""
    around = Surroundings(now=NOW, anchors=dict.fromkeys(Usage, (_root(),)), passphrase=_PASSPHRASE)
    try:
        parts = inspect_bytes(data, around)
    except TrustError as error:
        return error.code
    for part in parts:
        hold(all(finding.code in error_table("trust") for finding in part.findings), "no row")
        json.dumps(dict(part.facts), default=str)
    kinds = {f"{part.part}:{part.findings[0].code if part.findings else ''}" for part in parts}
    return min(kinds, default="nothing")


def _any_seeds() -> Iterable[bytes]:
    yield from originals("*.pem")
    yield from originals("*.der")
    yield b"".join(originals("*.pem"))


CERTIFICATE = _target("certificate", check_certificate, _certificate_seeds, 3)
REQUEST = _target("request", check_request, lambda: originals("request-*.pem"))
CRL = _target("crl", check_revocation_list, lambda: originals("crl-*.der"))
OCSP = _target("ocsp", check_answer, lambda: originals("ocsp-*.der"))
KEY = _target("key", check_key_file, _keys)
INSPECT = _target("inspect", check_any_file, _any_seeds, 2)
