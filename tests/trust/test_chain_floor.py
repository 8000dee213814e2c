"""What our validation refuses or accepts unlike the libraries, named after facts pki A7 and A11."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address, ip_network

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

import trust.chain
import trust.path
from trust.certificates import parse_der
from trust.chain import verify_chain
from trust.der import SEQUENCE, elements, only
from trust.errors import TrustError, error_table
from trust.path import MAX_PATHS, MAX_SIGNATURES, candidate_paths
from trust.policy_graph import MAX_POLICIES, PolicyInputs
from trust.usages import PARTNER_USES, Usage

CLIENT, SERVER, OCSP = "1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.9"
ANY = "2.5.29.37.0"
POLICY = x509.ObjectIdentifier("1.3.6.1.4.1.99999.1")


@pytest.fixture
def judge(root, intermediate, now):
    def judge(
        identity,
        *,
        chain=(intermediate.certificate,),
        anchors=(root.certificate,),
        usage=Usage.TLS_CLIENT,
        **more,
    ):
        verdict = verify_chain(identity.certificate, chain, anchors, usage=usage, now=now, **more)
        assert verdict.reason_code is None or verdict.reason_code in error_table("trust")
        return verdict.reason_code

    return judge


@pytest.fixture
def leaf(forge, intermediate):
    return forge("leaf.example", issuer=intermediate)


def purposes(*oids):
    return x509.ExtendedKeyUsage([x509.ObjectIdentifier(oid) for oid in oids])


# --- both must accept ---------------------------------------------------------------------------


def test_openssl_refuses_what_our_own_validation_would_let_pass(
    judge, forge, intermediate, monkeypatch
):
    deeper = forge("Too Deep", ca=True, issuer=intermediate)
    below = forge("below.example", issuer=deeper)
    chain = (deeper.certificate, intermediate.certificate)
    assert judge(below, chain=chain) == "chain-refused"
    monkeypatch.setattr(trust.chain, "path_refusal", lambda *_, **__: None)
    assert judge(below, chain=chain) == "chain-disputed"


def test_our_own_validation_refuses_what_openssl_would_let_pass(
    judge, forge, intermediate, monkeypatch
):
    deeper = forge("Too Deep", ca=True, issuer=intermediate)
    below = forge("below.example", issuer=deeper)
    monkeypatch.setattr(trust.chain, "openssl_refusal", lambda *_, **__: None)
    chain = (deeper.certificate, intermediate.certificate)
    assert judge(below, chain=chain) == "chain-refused"


# --- refused although legal: accepted by us -------------------------------------------------------


def test_names_chain_although_written_differently(judge, forge, root, now):
    written = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Clinic  CA")])
    ca = forge("Clinic  CA", ca=True, issuer=root)
    assert ca.certificate.subject == written
    teller = replace(ca, certificate=forge("CLINIC ca", ca=True, key=ca.key).certificate)
    below = forge("below.example", issuer=teller)
    assert below.certificate.issuer != ca.certificate.subject
    assert judge(below, chain=(ca.certificate,)) is None
    # The library's own builder compares bytes.
    verifier = PolicyBuilder().store(Store([root.certificate])).time(now).build_client_verifier()
    with pytest.raises(VerificationError):
        verifier.verify(below.certificate, [ca.certificate])


@pytest.mark.parametrize(
    "extension",
    [
        x509.CertificatePolicies([x509.PolicyInformation(POLICY, None)]),
        x509.InhibitAnyPolicy(1),
        x509.PolicyConstraints(None, 1),
        x509.UnrecognizedExtension(
            x509.ObjectIdentifier("2.5.29.33"),
            bytes.fromhex("3018301606092b06010401868d1f0106092b06010401868d1f02"),
        ),
    ],
    ids=["policies", "inhibit-any", "constraints", "mappings"],
)
def test_critical_policy_extensions(judge, forge, root, extension):
    ca = forge("Policy CA", ca=True, issuer=root, extensions=((extension, True),))
    assert judge(forge("below.example", issuer=ca), chain=(ca.certificate,)) is None


def test_a_leaf_without_authority_key_identifier(judge, forge, intermediate):
    leaf = forge("leaf.example", issuer=intermediate, without=(x509.AuthorityKeyIdentifier,))
    assert judge(leaf) is None


# --- accepted although we must refuse -------------------------------------------------------------


@pytest.mark.parametrize("missing", [x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier])
def test_an_intermediate_without_key_identifiers(judge, forge, root, missing):
    ca = forge("Odd CA", ca=True, issuer=root, without=(missing,))
    below = forge("below.example", issuer=ca)
    assert judge(below, chain=(ca.certificate,)) == "issuer-without-key-id"


def test_a_root_without_subject_key_identifier(judge, forge):
    root = forge("Odd Root", ca=True, without=(x509.SubjectKeyIdentifier,))
    below = forge("below.example", issuer=root)
    anchors = (root.certificate,)
    assert judge(below, chain=(), anchors=anchors) == "issuer-without-key-id"
    fine = forge("Odd Root", ca=True, without=(x509.AuthorityKeyIdentifier,))
    assert judge(below, chain=(), anchors=(fine.certificate,)) is None


def test_a_common_name_that_its_san_does_not_have(judge, forge, intermediate):
    other = (x509.DNSName("other.example"),)
    leaf = forge("leaf.example", issuer=intermediate, names=other)
    assert judge(leaf, usage=Usage.TLS_SERVER) == "certificate-common-name-differs"
    assert judge(leaf, usage=Usage.TLS_CLIENT) is None
    person = forge("Test Clinic", issuer=intermediate, names=other)
    assert judge(person, usage=Usage.TLS_SERVER) is None


@pytest.mark.parametrize(
    ("allowed", "usage", "code"),
    [
        ((CLIENT,), Usage.TLS_CLIENT, None),
        ((CLIENT,), Usage.TLS_SERVER, "certificate-purpose-wrong"),
        ((ANY,), Usage.TLS_SERVER, None),
        ((OCSP,), Usage.SAML_SIGNER, "certificate-purpose-wrong"),
    ],
)
def test_the_purposes_of_a_ca_bound_those_below(judge, forge, root, allowed, usage, code):
    ca = forge("Bound CA", ca=True, issuer=root, extensions=((purposes(*allowed), False),))
    below = forge("below.example", issuer=ca)
    assert judge(below, chain=(ca.certificate,), usage=usage) == code


def test_policy_constraints_that_are_not_critical(judge, forge, root):
    lax = x509.PolicyConstraints(None, 3)
    ca = forge("Lax CA", ca=True, issuer=root, extensions=((lax, False),))
    below = forge("below.example", issuer=ca)
    assert judge(below, chain=(ca.certificate,)) == "chain-constraint-not-critical"


def test_ed25519_ca(judge, forge):
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Ed Root")])
    alone = forge("self.example").certificate

    def certificate(subject, public, *, ca):
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(alone.not_valid_before_utc)
            .not_valid_after(alone.not_valid_after_utc)
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
            .add_extension(purposes(CLIENT), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(key, None)
        )

    ed_root = certificate(name, key.public_key(), ca=True)
    below = forge("self.example")
    below = replace(below, certificate=certificate(alone.subject, alone.public_key(), ca=False))
    code = judge(below, chain=(), anchors=(ed_root,))
    assert code == "certificate-hash-refused"


# --- profiles -----------------------------------------------------------------------------------


def test_ocsp_signer_profile(judge, forge, intermediate):
    signer = forge("ocsp.example", issuer=intermediate, purposes=(OCSP,), names=())
    assert judge(signer, usage=Usage.OCSP_SIGNER) is None
    assert {judge(signer, usage=usage) for usage in PARTNER_USES} == {"certificate-purpose-wrong"}
    nothing = forge("ocsp.example", issuer=intermediate, purposes=(), names=())
    assert judge(nothing, usage=Usage.OCSP_SIGNER) == "certificate-purpose-missing"


def test_crl_signer_profile(judge, forge, intermediate, leaf):
    usage = x509.KeyUsage(False, False, False, False, False, False, True, False, False)
    signer = forge(
        "CRL Key", issuer=intermediate, purposes=(), names=(), extensions=((usage, True),)
    )
    assert judge(signer, usage=Usage.CRL_SIGNER) is None
    assert judge(signer, usage=Usage.SAML_SIGNER) == "certificate-usage-wrong"
    assert judge(leaf, usage=Usage.CRL_SIGNER) == "crl-signer-refused"
    assert judge(intermediate, chain=(), usage=Usage.CRL_SIGNER) is None


# --- names --------------------------------------------------------------------------------------

INSIDE = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Inside")])
OUTSIDE = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Outside")])


@pytest.mark.parametrize(
    ("base", "inside", "outside"),
    [
        (
            x509.DNSName("clinic.example"),
            x509.DNSName("a.clinic.example"),
            x509.DNSName("b.example"),
        ),
        (
            x509.DNSName("clinic.example"),
            x509.DNSName("CLINIC.example"),
            x509.DNSName("xclinic.example"),
        ),
        (
            x509.IPAddress(ip_network("192.0.2.0/25")),
            x509.IPAddress(ip_address("192.0.2.127")),
            x509.IPAddress(ip_address("192.0.2.128")),
        ),
        (
            x509.IPAddress(ip_network("2001:db8::/32")),
            x509.IPAddress(ip_address("2001:db8::1")),
            x509.IPAddress(ip_address("192.0.2.1")),
        ),
        (
            x509.UniformResourceIdentifier("clinic.example"),
            x509.UniformResourceIdentifier("https://CLINIC.example:8443/fhir"),
            x509.UniformResourceIdentifier("https://a.clinic.example/"),
        ),
        (
            x509.UniformResourceIdentifier(".clinic.example"),
            x509.UniformResourceIdentifier("https://a.clinic.example/"),
            x509.UniformResourceIdentifier("https://clinic.example/"),
        ),
        (
            x509.RFC822Name("clinic.example"),
            x509.RFC822Name("a@clinic.example"),
            x509.RFC822Name("a@b.clinic.example"),
        ),
        (x509.DirectoryName(INSIDE), x509.DirectoryName(INSIDE), x509.DirectoryName(OUTSIDE)),
    ],
    ids=["dns", "dns-case", "ip", "ip6", "uri", "uri-sub", "mail", "directory"],
)
def test_name_constraints_permit_and_exclude(judge, forge, root, base, inside, outside):
    results = {}
    for kind in ("permit", "exclude"):
        names = ([base], None) if kind == "permit" else (None, [base])
        # A permitted directory tree would bind the subject too, which here is a common name only.
        if isinstance(base, x509.DirectoryName) and kind == "permit":
            continue
        rule = x509.NameConstraints(*names)
        ca = forge("Narrow", ca=True, issuer=root, extensions=((rule, True),))
        for place, name in (("inside", inside), ("outside", outside)):
            below = forge("below", issuer=ca, names=(name,))
            results[kind, place] = judge(below, chain=(ca.certificate,)) is None
    expected = {
        ("permit", "inside"): True,
        ("permit", "outside"): False,
        ("exclude", "inside"): False,
        ("exclude", "outside"): True,
    }
    assert results == {key: expected[key] for key in results}


def test_a_permitted_directory_tree_binds_the_subject(judge, forge, root):
    for base, code in (("below.example", None), ("other.example", "chain-refused")):
        tree = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, base.upper())])
        rule = x509.NameConstraints([x509.DirectoryName(tree)], None)
        ca = forge("Narrow", ca=True, issuer=root, extensions=((rule, True),))
        assert judge(forge("below.example", issuer=ca), chain=(ca.certificate,)) == code


def test_a_wildcard_that_may_stand_for_an_excluded_host(judge, forge, root):
    rule = x509.NameConstraints(None, [x509.DNSName("secret.clinic.example")])
    ca = forge("Narrow", ca=True, issuer=root, extensions=((rule, True),))
    below = forge("below", issuer=ca, names=(x509.DNSName("*.clinic.example"),))
    assert judge(below, chain=(ca.certificate,)) == "chain-refused"


def test_a_constraint_on_names_that_nobody_understands(judge, forge, root):
    odd = x509.RegisteredID(POLICY)
    rule = x509.NameConstraints(None, [odd])
    ca = forge("Narrow", ca=True, issuer=root, extensions=((rule, True),))
    assert judge(forge("a.example", issuer=ca), chain=(ca.certificate,)) is None
    below = forge("b.example", issuer=ca, names=(odd,))
    assert judge(below, chain=(ca.certificate,)) == "chain-refused"


# --- path ---------------------------------------------------------------------------------------


def test_self_issued_certificates_do_not_count_for_path_len(judge, forge, intermediate, make_key):
    again = forge(
        "Forged Intermediate", ca=True, issuer=intermediate, key=make_key("p-256", "rolled")
    )
    below = forge("below.example", issuer=again)
    assert judge(below, chain=(again.certificate, intermediate.certificate)) is None


def test_thousand_same_name_intermediates_cost_a_bounded_number_of_signatures(
    forge, leaf, root, make_key, monkeypatch
):
    twins = [
        forge("Forged Intermediate", ca=True, issuer=root, key=make_key("p-256", f"t{i}"))
        for i in range(40)
    ]
    many = [each.certificate for each in twins] * 25
    checked = []
    real = trust.path._signature_holds

    def counted(certificate, issuer):
        checked.append(issuer)
        return real(certificate, issuer)

    monkeypatch.setattr(trust.path, "_signature_holds", counted)
    assert list(candidate_paths(leaf.certificate, many, [root.certificate])) == []
    assert len(checked) == MAX_SIGNATURES


def test_cross_signed_copies_are_tried_up_to_a_bound(forge, leaf, intermediate, root):
    copies = [
        forge("Forged Intermediate", ca=True, issuer=root, key=intermediate.key).certificate
        for _ in range(30)
    ]
    paths = list(candidate_paths(leaf.certificate, copies, [root.certificate]))
    assert len(paths) == MAX_PATHS


def test_policies_that_the_caller_demands(judge, forge, root):
    policies = x509.CertificatePolicies([x509.PolicyInformation(POLICY, None)])
    ca = forge("Policy CA", ca=True, issuer=root, extensions=((policies, False),))
    below = forge("below.example", issuer=ca, extensions=((policies, False),))
    plain = forge("plain.example", issuer=ca)
    mine = PolicyInputs(acceptable=frozenset({POLICY.dotted_string}), explicit=True)
    other = PolicyInputs(acceptable=frozenset({"1.3.6.1.4.1.99999.2"}), explicit=True)
    chain = (ca.certificate,)
    assert judge(below, chain=chain, policies=mine) is None
    assert judge(below, chain=chain, policies=other) == "chain-refused"
    assert judge(plain, chain=chain, policies=mine) == "chain-refused"


@pytest.mark.parametrize(
    ("count", "code"), [(MAX_POLICIES, None), (MAX_POLICIES + 1, "chain-refused")]
)
def test_the_number_of_policies_is_bounded(judge, forge, root, count, code):
    policies = x509.CertificatePolicies(
        [
            x509.PolicyInformation(x509.ObjectIdentifier(f"1.3.6.1.4.1.99999.{i}"), None)
            for i in range(count)
        ]
    )
    ca = forge("Policy CA", ca=True, issuer=root, extensions=((policies, False),))
    assert judge(forge("below.example", issuer=ca), chain=(ca.certificate,)) == code


# --- encoding -----------------------------------------------------------------------------------


def rebuilt(identity, sequence, *, serial):
    """The certificate with another serial number in DER; its signature no longer fits."""
    der = identity.certificate.public_bytes(Encoding.DER)
    whole = [part for _, _, part in elements(only(der, SEQUENCE))]
    signed = [part for _, _, part in elements(only(whole[0], SEQUENCE))]
    signed[1] = sequence(serial, tag=2)
    return parse_der(sequence(sequence(*signed), *whole[1:]))


@pytest.mark.filterwarnings("ignore:.*serial number")
@pytest.mark.parametrize(
    ("serial", "code"),
    [
        (b"\x00", "certificate-malformed"),
        (b"\xff", "certificate-malformed"),
        (b"\x7f" + bytes(19), "chain-incomplete"),
        (b"\x00\x80" + bytes(19), "certificate-malformed"),
        (b"\x01" + bytes(20), "certificate-malformed"),
    ],
    ids=["zero", "negative", "20-bytes", "20-bytes-and-sign", "21-bytes"],
)
def test_serial_numbers(judge, leaf, sequence, serial, code):
    odd = replace(leaf, certificate=rebuilt(leaf, sequence, serial=serial))
    assert judge(odd) == code


def test_empty_issuer(judge, forge, root):
    nobody = x509.Name([])
    key = forge("nobody.example").key
    name = forge("nobody.example").certificate
    leaf = (
        x509.CertificateBuilder()
        .subject_name(name.subject)
        .issuer_name(nobody)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(name.not_valid_before_utc)
        .not_valid_after(name.not_valid_after_utc)
        .add_extension(purposes(CLIENT), critical=False)
    )
    odd = replace(root, certificate=leaf.sign(root.key, root.certificate.signature_hash_algorithm))
    assert judge(odd) == "certificate-malformed"


def test_trailing_bytes_and_non_der(leaf):
    der = leaf.certificate.public_bytes(Encoding.DER)
    indefinite = b"\x30\x80" + only(der, SEQUENCE) + b"\0\0"
    for odd in (der + b"\0", der[:-1], indefinite):
        with pytest.raises(TrustError) as caught:
            parse_der(odd)
        assert caught.value.code == "certificate-invalid"


def test_explicit_ec_parameters(judge, forge, tmp_path):
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("NEEDS TOOL: the openssl command")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.der"
    make = ["ecparam", "-name", "prime256v1", "-param_enc", "explicit", "-genkey", "-noout"]
    subprocess.run([openssl, *make, "-out", key], check=True, capture_output=True)
    sign = ["req", "-x509", "-key", key, "-subj", "/CN=a.example", "-outform", "DER"]
    purpose = ["-addext", "extendedKeyUsage=clientAuth", "-addext", "basicConstraints=CA:FALSE"]
    subprocess.run([openssl, *sign, *purpose, "-out", certificate], check=True, capture_output=True)
    odd = replace(forge("self.example"), certificate=parse_der(certificate.read_bytes()))
    assert judge(odd) == "certificate-key-refused"


def test_validity_ends_before_it_begins(judge, leaf, intermediate, now):
    der = leaf.certificate.public_bytes(Encoding.DER)
    begins, ends = (
        moment.strftime("%y%m%d%H%M%SZ").encode("ascii")
        for moment in (leaf.certificate.not_valid_before_utc, leaf.certificate.not_valid_after_utc)
    )
    later = (now + timedelta(days=60)).strftime("%y%m%d%H%M%SZ").encode("ascii")
    assert der.count(begins) == der.count(ends) == 1
    odd = replace(leaf, certificate=parse_der(der.replace(begins, later)))
    assert judge(odd) == "certificate-not-yet-valid"


def with_times(identity, issuer, sequence, *times):
    """The certificate with other times in its DER, signed anew by its issuer."""
    der = identity.certificate.public_bytes(Encoding.DER)
    whole = [part for _, _, part in elements(only(der, SEQUENCE))]
    signed = [part for _, _, part in elements(only(whole[0], SEQUENCE))]
    signed[4] = sequence(*(sequence(content, tag=tag) for tag, content in times))
    body = sequence(*signed)
    signature = issuer.key.sign(body, ec.ECDSA(hashes.SHA256()))
    return sequence(body, whole[1], sequence(b"\0" + signature, tag=3))


def test_generalized_time_before_2050(judge, leaf, intermediate, sequence):
    """RFC 5280 4.1.2.5: times to 2049 are UTCTime, later ones GeneralizedTime."""
    utc, general = 0x17, 0x18
    early, late, far = b"260101000000Z", b"490101000000Z", b"20500101000000Z"
    for times, code in (
        (((utc, early), (utc, late)), None),
        (((utc, early), (general, far)), None),
        (((general, b"20" + early), (utc, late)), "certificate-malformed"),
        (((utc, early), (general, b"20" + late)), "certificate-malformed"),
    ):
        odd = parse_der(with_times(leaf, intermediate, sequence, *times))
        assert judge(replace(leaf, certificate=odd)) == code


@pytest.mark.parametrize("end", [b"490101000000", b"4901010000Z", b"490101000000+0000"])
def test_utc_time_without_zone_or_seconds(leaf, intermediate, sequence, end):
    odd = with_times(leaf, intermediate, sequence, (0x17, b"260101000000Z"), (0x17, end))
    with pytest.raises(TrustError) as caught:
        parse_der(odd)
    assert caught.value.code == "certificate-invalid"
