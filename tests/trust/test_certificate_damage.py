"""Damaged certificates are refused with a code, whatever the damage (facts pki A11, encoding)."""

from __future__ import annotations

import warnings

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trust.certificate_import import ImportContext, check_import
from trust.certificates import arrange, describe, parse_der
from trust.chain import verify_chain
from trust.errors import TrustError
from trust.usages import Usage

SETTINGS = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def damaged(certificate: x509.Certificate, place: int, value: int) -> x509.Certificate | None:
    der = bytearray(certificate.public_bytes(Encoding.DER))
    place %= len(der)
    if der[place] == value:
        return None
    der[place] = value
    try:
        return parse_der(bytes(der))
    except TrustError:
        return None


def refused_or_only_reencoded(verdict, odd, original) -> bool:
    # Nothing covers the outer encoding of a signature (its count of unused bits, say): the signed
    # part must be the original's, byte for byte, for the verdict to be good.
    return not verdict.ok or odd.tbs_certificate_bytes == original.tbs_certificate_bytes


@SETTINGS
@given(place=st.integers(0, 2000), value=st.integers(0, 255))
def test_one_changed_byte_of_a_leaf(forge, intermediate, root, now, place, value):
    leaf = forge("leaf.example", issuer=intermediate)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        odd = damaged(leaf.certificate, place, value)
        if odd is None:
            return
        verdict = verify_chain(
            odd,
            [intermediate.certificate],
            [root.certificate],
            usage=Usage.TLS_CLIENT,
            now=now,
        )
        assert refused_or_only_reencoded(verdict, odd, leaf.certificate)
        try:
            described = describe(odd)
            bundle = arrange([odd, intermediate.certificate])
        except TrustError:
            return
        assert described.fingerprint
        context = ImportContext(
            key=leaf.key,
            usages=(Usage.TLS_CLIENT,),
            hosts=("leaf.example",),
            anchors=(root.certificate,),
        )
        verdict = check_import(bundle, context, now=now)
        assert refused_or_only_reencoded(verdict, odd, leaf.certificate)


@SETTINGS
@given(place=st.integers(0, 2000), value=st.integers(0, 255))
def test_one_changed_byte_of_an_intermediate(forge, intermediate, root, now, place, value):
    leaf = forge("leaf.example", issuer=intermediate)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        odd = damaged(intermediate.certificate, place, value)
        if odd is None:
            return
        verdict = verify_chain(
            leaf.certificate, [odd], [root.certificate], usage=Usage.TLS_CLIENT, now=now
        )
        assert refused_or_only_reencoded(verdict, odd, intermediate.certificate)
        anchored = verify_chain(
            leaf.certificate,
            [intermediate.certificate],
            [odd, root.certificate],
            usage=Usage.TLS_CLIENT,
            now=now,
        )
        assert anchored.ok
