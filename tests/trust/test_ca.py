from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from trust.ca import MIN_SERIAL_BITS, CertificateAuthority, Profile, create_ca
from trust.ca import issue as issue_certificate
from trust.csr import RequestedNames, build_csr
from trust.errors import TrustError
from trust.keys import key_matches
from trust.usages import Usage


def extension(certificate, kind):
    return certificate.extensions.get_extension_for_class(kind)


def test_the_root_says_that_it_is_a_ca(dev_ca):
    root = dev_ca.certificate
    constraints = extension(root, x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value.ca
    assert constraints.value.path_length == 0
    usage = extension(root, x509.KeyUsage)
    assert usage.critical
    assert usage.value.key_cert_sign
    assert usage.value.crl_sign
    assert not usage.value.digital_signature
    ski = extension(root, x509.SubjectKeyIdentifier).value.digest
    assert extension(root, x509.AuthorityKeyIdentifier).value.key_identifier == ski
    root.verify_directly_issued_by(root)


def test_a_leaf_is_no_ca_and_is_chained_by_key_identifier(issue, dev_ca):
    leaf = issue("leaf.example").certificate
    leaf.verify_directly_issued_by(dev_ca.certificate)
    assert not extension(leaf, x509.BasicConstraints).value.ca
    ski = extension(dev_ca.certificate, x509.SubjectKeyIdentifier).value.digest
    assert extension(leaf, x509.AuthorityKeyIdentifier).value.key_identifier == ski
    usage = extension(leaf, x509.KeyUsage).value
    assert usage.digital_signature
    assert not usage.key_encipherment
    assert not usage.key_cert_sign


@pytest.mark.parametrize(
    ("profile", "purposes"),
    [
        ("tls", {"1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"}),
        ("tls-server", {"1.3.6.1.5.5.7.3.1"}),
        ("tls-client", {"1.3.6.1.5.5.7.3.2"}),
    ],
)
def test_the_profile_decides_the_extended_key_usage(issue, profile, purposes):
    leaf = issue("leaf.example", profile=profile).certificate
    assert {o.dotted_string for o in extension(leaf, x509.ExtendedKeyUsage).value} == purposes


def test_a_saml_signing_certificate_has_no_tls_purpose(issue):
    leaf = issue("signer.example", profile="saml-signing").certificate
    with pytest.raises(x509.ExtensionNotFound):
        extension(leaf, x509.ExtendedKeyUsage)


def test_serials_are_random_and_long(issue):
    serials = {issue("leaf.example").certificate.serial_number for _ in range(5)}
    assert len(serials) == 5
    assert all(s.bit_length() > MIN_SERIAL_BITS for s in serials)


def test_a_short_serial_is_refused(dev_ca, make_key, now):
    names = RequestedNames(common_name="x.example", dns_names=("x.example",))
    request = build_csr(make_key(), names, usages=[Usage.TLS_CLIENT])
    with pytest.raises(TrustError) as caught:
        issue_certificate(dev_ca, request, profile=Profile.TLS, now=now, serial=7)
    assert caught.value.code == "ca-request-refused"


def test_names_of_other_kinds_are_not_issued(dev_ca, make_key, now):
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(
            x509.SubjectAlternativeName([x509.RFC822Name("a@b.example")]), critical=False
        )
        .sign(make_key(), hashes.SHA256())
    )
    with pytest.raises(TrustError) as caught:
        issue_certificate(dev_ca, request, profile=Profile.TLS, now=now)
    assert caught.value.code == "ca-request-refused"


def test_a_ca_extension_in_the_request_is_not_copied(dev_ca, make_key, now):
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("a.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(make_key(), hashes.SHA256())
    )
    leaf = issue_certificate(dev_ca, request, profile=Profile.TLS, now=now)
    assert not extension(leaf, x509.BasicConstraints).value.ca


def test_a_leaf_never_outlives_its_ca(issue, dev_ca):
    leaf = issue("leaf.example", lifetime=timedelta(days=99999)).certificate
    assert leaf.not_valid_after_utc == dev_ca.certificate.not_valid_after_utc


def test_an_expired_ca_issues_nothing(dev_ca, make_key, now):
    names = RequestedNames(common_name="x.example", dns_names=("x.example",))
    request = build_csr(make_key(), names, usages=[Usage.TLS_CLIENT])
    with pytest.raises(TrustError) as caught:
        issue_certificate(dev_ca, request, profile=Profile.TLS, now=now + timedelta(days=40 * 365))
    assert caught.value.code == "ca-expired"


def test_a_ca_needs_its_own_key(dev_ca, make_key):
    with pytest.raises(TrustError) as caught:
        CertificateAuthority(certificate=dev_ca.certificate, key=make_key("p-256", "other"))
    assert caught.value.code == "key-mismatch"


def test_a_ca_makes_its_own_key_when_none_is_given(now):
    authority = create_ca("Another Root", now=now)
    assert key_matches(authority.key, authority.certificate)


@pytest.mark.parametrize("name", ["", "x" * 65])
def test_a_ca_needs_a_name_that_fits(now, make_key, name):
    with pytest.raises(TrustError) as caught:
        create_ca(name, now=now, key=make_key())
    assert caught.value.code == "ca-request-refused"
