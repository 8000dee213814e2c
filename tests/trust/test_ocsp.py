"""Named after the OCSP lines of the negative-test checklist (facts pki A6 rule 5, A11)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trust.errors import error_table
from trust.ocsp import MAX_OCSP_BYTES, OcspStatus, evaluate_ocsp

OCSP_SIGNING = "1.3.6.1.5.5.7.3.9"
GOOD = ocsp.OCSPCertStatus.GOOD
REVOKED = ocsp.OCSPCertStatus.REVOKED
UNKNOWN = ocsp.OCSPCertStatus.UNKNOWN


@pytest.fixture
def leaf(forge, intermediate):
    return forge("leaf.example", issuer=intermediate)


@pytest.fixture
def respond(leaf, intermediate, now):
    """``respond(status, signer=...)`` gives an OCSP response in DER form."""

    def respond(
        status=GOOD,
        *,
        about=None,
        issuer=intermediate,
        signer=intermediate,
        starts=now - timedelta(hours=1),
        ends=now + timedelta(hours=1),
        digest=None,
        id_hash=None,
        nonce=None,
        by_name=False,
        attach=True,
    ):
        encoding = ocsp.OCSPResponderEncoding
        builder = (
            ocsp.OCSPResponseBuilder()
            .add_response(
                cert=(about or leaf).certificate,
                issuer=issuer.certificate,
                algorithm=id_hash or hashes.SHA1(),
                cert_status=status,
                this_update=starts,
                next_update=ends,
                revocation_time=now - timedelta(days=1) if status is REVOKED else None,
                revocation_reason=None,
            )
            .responder_id(encoding.NAME if by_name else encoding.HASH, signer.certificate)
        )
        if attach and signer is not intermediate:
            builder = builder.certificates([signer.certificate])
        if nonce is not None:
            builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
        return builder.sign(signer.key, digest or hashes.SHA256()).public_bytes(Encoding.DER)

    return respond


@pytest.fixture
def judge(leaf, intermediate, now):
    def judge(der, *, at=now, nonce=None):
        answer = evaluate_ocsp(
            der,
            certificate=leaf.certificate,
            issuer=intermediate.certificate,
            now=at,
            nonce=nonce,
        )
        assert (answer.reason_code is None) == (answer.status is OcspStatus.GOOD)
        assert answer.reason_code is None or answer.reason_code in error_table("trust")
        return answer.reason_code

    return judge


@pytest.fixture
def responder(forge, intermediate):
    return forge("ocsp.example", issuer=intermediate, purposes=(OCSP_SIGNING,), names=())


def test_the_status_of_the_answer(judge, respond):
    assert judge(respond(GOOD)) is None
    assert judge(respond(REVOKED)) == "certificate-revoked"
    assert judge(respond(UNKNOWN)) == "revocation-unknown"


@pytest.mark.parametrize("id_hash", [hashes.SHA1(), hashes.SHA256(), hashes.SHA384()])
@pytest.mark.parametrize("by_name", [False, True])
def test_certid_hashes_and_responder_ids(judge, respond, responder, id_hash, by_name):
    assert judge(respond(id_hash=id_hash, by_name=by_name)) is None
    assert judge(respond(id_hash=id_hash, by_name=by_name, signer=responder)) is None


def test_try_later(judge):
    for status in ocsp.OCSPResponseStatus:
        if status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            der = ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)
            assert judge(der) == "ocsp-unsuccessful"


def test_an_answer_about_another_certificate(judge, respond, forge, intermediate):
    other = forge("other.example", issuer=intermediate)
    assert judge(respond(about=other)) == "ocsp-mismatch"


def test_certid_of_another_issuer(judge, respond, forge, make_key, root):
    namesake = forge("Forged Intermediate", ca=True, issuer=root, key=make_key("p-256", "namesake"))
    assert judge(respond(issuer=namesake)) == "ocsp-mismatch"


def test_expired_and_early(judge, respond, now):
    hour, skew = timedelta(hours=1), timedelta(seconds=60)
    der = respond()
    assert judge(der, at=now + hour + skew) is None
    assert judge(der, at=now + hour + skew + timedelta(seconds=1)) == "ocsp-not-current"
    assert judge(der, at=now - hour - skew) is None
    assert judge(der, at=now - hour - skew - timedelta(seconds=1)) == "ocsp-not-current"


def test_without_next_update_an_answer_lasts_a_day(judge, respond, now):
    der = respond(ends=None)
    assert judge(der, at=now + timedelta(hours=22)) is None
    assert judge(der, at=now + timedelta(hours=24)) == "ocsp-not-current"


def test_wrong_responder(judge, respond, forge, root):
    stranger = forge("Other Root", ca=True)
    delegate = forge("ocsp.example", issuer=stranger, purposes=(OCSP_SIGNING,))
    assert judge(respond(signer=stranger)) == "ocsp-responder-refused"
    assert judge(respond(signer=delegate)) == "ocsp-responder-refused"


def test_a_delegate_of_the_ca_above_does_not_speak_for_this_ca(judge, respond, forge, root):
    delegate = forge("ocsp.example", issuer=root, purposes=(OCSP_SIGNING,))
    assert judge(respond(signer=delegate)) == "ocsp-responder-refused"


@pytest.mark.parametrize("purposes", [(), ("1.3.6.1.5.5.7.3.1",), ("2.5.29.37.0",)])
def test_a_delegate_without_ocsp_signing(judge, respond, forge, intermediate, purposes):
    delegate = forge("ocsp.example", issuer=intermediate, purposes=purposes)
    assert judge(respond(signer=delegate)) == "ocsp-responder-refused"


def test_an_expired_delegate(judge, respond, forge, intermediate, now):
    delegate = forge(
        "ocsp.example",
        issuer=intermediate,
        purposes=(OCSP_SIGNING,),
        starts=now - timedelta(days=9),
        ends=now - timedelta(days=1),
    )
    assert judge(respond(signer=delegate)) == "ocsp-responder-refused"


def test_a_delegate_that_sends_no_certificate(judge, respond, responder):
    assert judge(respond(signer=responder, attach=False)) == "ocsp-responder-refused"


def test_bad_signature(judge, respond, responder):
    for der in (bytearray(respond()), bytearray(respond(nonce=b"x" * 16))):
        der[-1] ^= 1
        assert judge(bytes(der)) == "ocsp-signature-invalid"


def test_weak_digest(judge, respond):
    assert judge(respond(digest=hashes.SHA224())) == "ocsp-signature-invalid"


def test_nonce_is_optional_but_never_another(judge, respond):
    mine, other = b"a" * 16, b"b" * 16
    assert judge(respond(nonce=mine), nonce=mine) is None
    assert judge(respond(), nonce=mine) is None
    assert judge(respond(nonce=other), nonce=mine) == "ocsp-mismatch"


@pytest.mark.parametrize("der", [b"", b"\x30\x00", b"no", b"\0" * (MAX_OCSP_BYTES + 1)])
def test_no_response_at_all(judge, der):
    assert judge(der) == "ocsp-malformed"


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(place=st.integers(0, 2000), value=st.integers(0, 255))
def test_no_changed_byte_makes_a_revoked_certificate_good(judge, respond, place, value):
    der = respond(REVOKED)
    place %= len(der)
    assert judge(der[:place] + bytes([value]) + der[place + 1 :]) is not None
