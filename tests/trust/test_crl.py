"""Named after the revocation lines of the negative-test checklist (facts pki A6, A11)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import trust.crl
from trust.crl import Freshness, check_crl, newest, parse_crl
from trust.der import SEQUENCE, elements, only
from trust.errors import TrustError, error_table

UTC_TIME = 0x17
CRITICAL = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.7"), b"\x05\x00")


@pytest.fixture
def check(now):
    """The code that ``check_crl`` has against a CRL, or ``None``."""

    def check(der, signer, *, at=now, stored=None):
        before = None if stored is None else parse_crl(stored)
        finding = check_crl(parse_crl(der), signer.certificate, now=at, stored=before)
        if finding is None:
            return None
        assert finding.code in error_table("trust")
        return finding.code

    return check


def refusal(der):
    with pytest.raises(TrustError) as caught:
        parse_crl(der)
    return caught.value.code


def point(**given):
    usual = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**{**usual, **given})


def test_a_good_crl_is_read_and_accepted(sign_crl, check, root, now):
    reason = (x509.CRLReason(x509.ReasonFlags.key_compromise), False)
    der = sign_crl(root, revoked=[7, (2**150, [reason])], number=2**70)
    assert check(der, root) is None
    crl = parse_crl(der)
    assert dict(crl.revoked) == {7: "unspecified", 2**150: "keyCompromise"}
    assert crl.number == 2**70
    assert not crl.is_delta
    assert crl.der() == der


def test_freshness_states(sign_crl, root, now):
    crl = parse_crl(sign_crl(root, starts=now, ends=now + timedelta(hours=2)))
    grace = timedelta(hours=24)
    moments = {
        now: Freshness.FRESH,
        now + timedelta(hours=2): Freshness.FRESH,
        now + timedelta(hours=2, seconds=1): Freshness.STALE,
        now + timedelta(hours=26): Freshness.STALE,
        now + timedelta(hours=26, seconds=1): Freshness.EXPIRED,
    }
    assert {moment: crl.freshness(moment, grace) for moment in moments} == moments


def test_future_this_update(sign_crl, check, root, now):
    seconds = {60: None, 61: "crl-future"}
    for ahead, code in seconds.items():
        assert check(sign_crl(root, starts=now + timedelta(seconds=ahead)), root) == code


def test_wrong_issuer(sign_crl, check, root, intermediate):
    assert check(sign_crl(root), intermediate) == "crl-issuer-mismatch"


def test_authority_key_identifier_of_another_key(sign_crl, check, forge, root, make_key):
    renewed = forge("Forged Root", ca=True, key=make_key("p-256", "renewed-root"))
    assert check(sign_crl(root), renewed) == "crl-issuer-mismatch"
    # Without the identifier only the signature tells.
    assert check(sign_crl(root, key_id=False), renewed) == "crl-signature-invalid"
    assert check(sign_crl(root, key_id=False), root) is None


def test_issuer_names_are_compared_as_names(sign_crl, check, root):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, " forged  ROOT ")])
    assert check(sign_crl(root, name=name), root) is None


def test_bad_signature(sign_crl, check, root):
    der = bytearray(sign_crl(root, revoked=[7]))
    der[-1] ^= 1
    assert check(bytes(der), root) == "crl-signature-invalid"


def test_no_crl_sign(sign_crl, check, forge):
    usage = x509.KeyUsage(True, False, False, False, False, True, False, False, False)
    mute = forge("Mute CA", ca=True, extensions=((usage, True),))
    assert check(sign_crl(mute), mute) == "crl-signer-refused"


def test_a_leaf_may_not_sign_crls(sign_crl, check, forge, root):
    leaf = forge("leaf.example", issuer=root)
    assert check(sign_crl(leaf), leaf) == "crl-signer-refused"


def test_weak_digest_and_key(sign_crl, check, forge):
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    weak = forge("Weak CA", ca=True, key=key)
    assert check(sign_crl(weak), weak) == "certificate-key-weak"
    fine = forge("RSA Root", ca=True, kind="rsa-2048")
    assert check(sign_crl(fine, digest=hashes.SHA224()), fine) == "certificate-hash-refused"


@pytest.mark.parametrize(("critical", "code"), [(True, "crl-extension-unknown"), (False, None)])
def test_unknown_critical_crl_extension(sign_crl, check, root, critical, code):
    der = sign_crl(root, extensions=((CRITICAL, critical),))
    assert (refusal(der) if code else check(der, root)) == code


@pytest.mark.parametrize(("critical", "code"), [(True, "crl-extension-unknown"), (False, None)])
def test_unknown_critical_entry_extension(sign_crl, check, root, critical, code):
    der = sign_crl(root, revoked=[(7, [(CRITICAL, critical)])])
    assert (refusal(der) if code else check(der, root)) == code


def test_indirect_crl(sign_crl, root):
    assert refusal(sign_crl(root, extensions=((point(indirect_crl=True), True),))) == "crl-indirect"
    other = x509.CertificateIssuer([x509.DirectoryName(root.certificate.subject)])
    assert refusal(sign_crl(root, revoked=[(7, [(other, True)])])) == "crl-indirect"


def test_scope_of_the_issuing_distribution_point(sign_crl, root):
    uri = x509.UniformResourceIdentifier("http://ca.example/one.crl")
    some = frozenset({x509.ReasonFlags.key_compromise})
    value = point(full_name=[uri], only_contains_ca_certs=True, only_some_reasons=some)
    scope = parse_crl(sign_crl(root, extensions=((value, True),))).scope
    assert scope.only_ca
    assert not scope.only_user
    assert scope.reasons == some
    assert scope.points == {"UniformResourceIdentifier:http://ca.example/one.crl"}


def test_crl_number_rollback(sign_crl, check, root, now):
    earlier = now - timedelta(minutes=50)
    stored = sign_crl(root, number=256)
    # A number is an integer, not bytes: 0x0100 is more than 0xff. A later thisUpdate does not help.
    assert check(sign_crl(root, number=255, starts=earlier), root, stored=stored) == "crl-rollback"
    assert check(sign_crl(root, number=None, starts=earlier), root, stored=stored) == "crl-rollback"
    assert check(sign_crl(root, number=257), root, stored=stored) is None
    assert check(stored, root, stored=stored) is None
    older = sign_crl(root, number=256, starts=now - timedelta(hours=2))
    assert check(older, root, stored=stored) == "crl-rollback"


def test_crls_without_number_go_by_their_date(sign_crl, check, root, now):
    stored = sign_crl(root, number=None)
    older = sign_crl(root, number=None, starts=now - timedelta(hours=2))
    assert check(older, root, stored=stored) == "crl-rollback"
    assert (
        check(sign_crl(root, number=1, starts=now - timedelta(hours=2)), root, stored=stored)
        is None
    )


def test_an_expired_crl_is_accepted_for_what_it_lists(sign_crl, check, root, now):
    der = sign_crl(root, starts=now - timedelta(days=9), ends=now - timedelta(days=8))
    assert check(der, root) is None


def test_a_window_must_have_an_end(sign_crl, root, sequence):
    whole = list(elements(only(sign_crl(root), SEQUENCE)))
    signed = [part for _, _, part in elements(only(whole[0][2], SEQUENCE))]
    assert signed[4][0] == UTC_TIME  # version, algorithm, issuer, thisUpdate, nextUpdate
    del signed[4]
    assert refusal(sequence(sequence(*signed), whole[1][2], whole[2][2])) == "crl-window-missing"


def test_huge_crl(sign_crl, root, monkeypatch):
    der = sign_crl(root, revoked=range(1, 5001))
    crl = parse_crl(der)
    assert len(crl.revoked) == 5000
    assert 5000 in crl.revoked
    assert 5001 not in crl.revoked
    monkeypatch.setattr(trust.crl, "MAX_CRL_BYTES", len(der) - 1)
    assert refusal(der) == "crl-too-large"


@pytest.mark.parametrize("tail", [b"\0", b"\x30\x00"])
def test_trailing_bytes(sign_crl, root, tail):
    assert refusal(sign_crl(root) + tail) == "crl-malformed"


def test_newest_of_a_series(sign_crl, root, now):
    crls = [parse_crl(sign_crl(root, number=n)) for n in (3, 10, 9)]
    assert newest(crls).number == 10


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(place=st.integers(0, 2000), value=st.integers(0, 255))
def test_one_changed_byte_is_refused_or_changes_nothing(sign_crl, root, now, place, value):
    der = sign_crl(root, revoked=[7, 8])
    place %= len(der)
    odd = der[:place] + bytes([value]) + der[place + 1 :]
    try:
        crl = parse_crl(odd)
    except TrustError:
        return
    if check_crl(crl, root.certificate, now=now) is None:
        assert crl.source.tbs_certlist_bytes == x509.load_der_x509_crl(der).tbs_certlist_bytes
