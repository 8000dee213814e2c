"""The Security header: written exactly, proved before it is used, wrapping refused."""

from __future__ import annotations

import base64
import copy
import csv
import dataclasses
import tarfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from trust.errors import TrustError, error_table
from trust.saml_check import AssertionPolicy
from trust.saml_claims import CodedClaim, XuaClaims, saml_table
from trust.saml_issue import write_time
from trust.saml_read import read_assertion
from trust.wssecurity import (
    SecurityPolicy,
    build_response_security,
    build_security,
    claimed_home_community_id,
    fault_subcode,
    read_signature_confirmation,
    verify_security,
)
from trust.xml import parse, serialize
from trust.xml_names import (
    DS,
    SAML,
    SAML_ID_TYPE,
    SAML_TOKEN_TYPE,
    SOAP12,
    WSSE,
    WSSE11,
    WSU,
    WSU_ID,
)
from trust.xmldsig import SignaturePolicy, sign_detached, verify

S, D, E = f"{{{SAML}}}", f"{{{DS}}}", f"{{{SOAP12}}}"
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
AUDIENCE = "https://node.example/xca"
EMAIL = saml_table()["name_id_format"]["email"]
HOME = "urn:oid:2.16.840.1.113883.3.99999.21"
CLAIMS = XuaClaims(
    subject_id="Dr Ada Jones",
    organization="Example Hospital",
    organization_id="Organization/abc",
    home_community_id=HOME,
    roles=(CodedClaim(code="1", system="2.16.840.1.113883.6.96", system_name="SNOMED_CT"),),
    purposes=(CodedClaim(code="P-ONE", system="1.2.3"),),
    issuer="saml@node.example",
    issuer_format=EMAIL,
    name_id="ada@node.example",
    name_id_format=EMAIL,
)
POLICY = SecurityPolicy(assertion=AssertionPolicy(audiences=frozenset({AUDIENCE})))


@pytest.fixture(scope="module", params=["p-256", "rsa-2048"])
def signer(request, issue):
    return issue(f"ws-{request.param}.example", kind=request.param).signer


@pytest.fixture(scope="module")
def ec(issue):
    return issue("ws-p-256.example", kind="p-256").signer


@pytest.fixture(scope="module")
def other(issue):
    return issue("ws-other.example", kind="p-256").signer


def message(signer, **options) -> etree._Element:
    options = {
        "now": NOW,
        "audience": AUDIENCE,
        "assertion_id": "_a1",
        "timestamp_id": "_t1",
    } | options
    envelope = parse(
        f'<s:Envelope xmlns:s="{SOAP12}"><s:Header/><s:Body><q xmlns="u:q"/></s:Body>'
        "</s:Envelope>".encode()
    )
    envelope[0].append(build_security(CLAIMS, signer=signer, **options))
    return parse(serialize(envelope))


def prove(envelope, policy=POLICY, now=NOW, **options):
    return verify_security(parse(serialize(envelope)), policy=policy, now=now, **options)


def refused(envelope, policy=POLICY, now=NOW, **options) -> str:
    with pytest.raises(TrustError) as error:
        prove(envelope, policy, now, **options)
    assert fault_subcode(error.value).startswith(("wsse:", "wsu:"))
    return error.value.code


def parts(envelope):
    security = envelope[0][0]
    return security, security[0], security[1], security[2]


# --- the good case ------------------------------------------------------------------------------


def test_what_we_build_is_proved(signer):
    proof = prove(message(signer))
    assert dataclasses.replace(proof.claims, authn=()) == CLAIMS
    assert proof.assertion_id == "_a1"
    assert proof.signer_key == proof.holder_key == signer.public_key
    assert proof.signer_certificate == proof.holder_certificate == signer.certificate
    assert (proof.created, proof.expires) == (NOW, NOW + timedelta(minutes=5))
    assert proof.not_on_or_after == NOW + timedelta(minutes=5)
    assert proof.deviations == ()


def test_signer_and_holder_may_be_two_keys(ec, other):
    proof = prove(message(ec, holder=other))
    assert proof.signer_key == ec.public_key
    assert proof.holder_key == other.public_key


def test_the_header_is_laid_out_as_the_profile_says(ec):
    security, timestamp, assertion, endorsement = parts(message(ec))
    assert security.get(f"{E}mustUnderstand") == "true"
    assert timestamp.tag == f"{{{WSU}}}Timestamp"
    assert assertion.tag == f"{S}Assertion"
    reference = endorsement[2][0]
    assert reference.tag == f"{{{WSSE}}}SecurityTokenReference"
    assert reference.get(f"{{{WSSE11}}}TokenType") == SAML_TOKEN_TYPE
    assert reference[0].get("ValueType") == SAML_ID_TYPE
    assert reference[0].text == "_a1"


def test_the_order_of_the_parts_does_not_matter(ec):
    envelope = message(ec)
    security = envelope[0][0]
    security[:] = list(reversed(list(security)))
    assert prove(envelope).assertion_id == "_a1"


def test_the_evidence_is_verifiable_on_its_own(ec):
    """QTF-503 and facts ihe-wire 11: the original assertion is kept."""
    evidence = parse(prove(message(ec)).evidence)
    assert verify(evidence, evidence.find(f"{D}Signature")).key == ec.public_key


def test_libxmlsec_verifies_both_signatures(signer):
    envelope = etree.fromstring(serialize(message(signer)))
    _, timestamp, assertion, endorsement = parts(envelope)
    for element, name, namespace, signature in (
        (assertion, "ID", None, assertion.find(f"{D}Signature")),
        (timestamp, "Id", WSU, endorsement),
    ):
        context = xmlsec.SignatureContext()
        context.key = xmlsec.Key.from_memory(
            signer.certificate.public_bytes(Encoding.PEM), xmlsec.KeyFormat.CERT_PEM
        )
        context.register_id(element, name, namespace)
        context.verify(signature)


# --- time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "code"),
    [
        (NOW + timedelta(minutes=10, seconds=-1), None),
        (NOW + timedelta(minutes=10), "assertion-expired"),
        (NOW - timedelta(minutes=5), None),
        (NOW - timedelta(minutes=5, seconds=1), "assertion-not-yet-valid"),
    ],
)
def test_messages_live_for_minutes(ec, moment, code):
    envelope = message(ec)
    if code is None:
        assert prove(envelope, now=moment)
    else:
        assert refused(envelope, now=moment) == code


def with_timestamp(ec, created: str, expires: str):
    envelope = message(ec)
    security, timestamp, _, endorsement = parts(envelope)
    timestamp[0].text, timestamp[1].text = created, expires
    renewed = sign_detached(timestamp, signer=ec, id_attribute=WSU_ID)
    renewed[2].getparent().replace(renewed[2], endorsement[2])
    security.replace(endorsement, renewed)
    return envelope


@pytest.mark.parametrize(
    ("created", "expires", "code"),
    [
        ("2026-11-23T11:50:00Z", "2026-11-23T11:55:00Z", "message-expired"),
        ("2026-11-23T12:05:01Z", "2026-11-23T12:10:00Z", "message-not-yet-valid"),
        ("2026-11-23T12:00:00Z", "2026-11-23T12:00:00Z", "security-timestamp"),
        ("2026-11-23T12:00:00Z", "2026-11-23T12:20:01Z", "security-timestamp"),
        ("now", "2026-11-23T12:05:00Z", "security-timestamp"),
        ("2026-11-23T12:00:00Z", "", "security-timestamp"),
    ],
)
def test_the_timestamp_is_checked_as_well(ec, created, expires, code):
    assert refused(with_timestamp(ec, created, expires)) == code


# --- forms that are refused ---------------------------------------------------------------------


def edit(envelope, change):
    change(*parts(envelope))
    return envelope


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda s, t, a, e: s.remove(t), "security-timestamp"),
        (lambda s, t, a, e: s.remove(a), "security-assertion"),
        (lambda s, t, a, e: s.remove(e), "signature-missing"),
        (lambda s, t, a, e: a.remove(a[1]), "signature-missing"),
        (lambda s, t, a, e: s.getparent().remove(s), "security-missing"),
        (lambda s, t, a, e: s.append(copy.deepcopy(e)), "security-ambiguous"),
        (lambda s, t, a, e: s.append(copy.deepcopy(t)), "security-ambiguous"),
        (lambda s, t, a, e: s.append(copy.deepcopy(a)), "security-ambiguous"),
        (lambda s, t, a, e: s.addnext(copy.deepcopy(s)), "security-ambiguous"),
        (lambda s, t, a, e: t[1].__setattr__("text", "2030-01-01T00:00:00Z"), "signature-invalid"),
        (lambda s, t, a, e: e[2][0][0].__setattr__("text", "_a2"), "holder-of-key"),
        (lambda s, t, a, e: t.attrib.pop(WSU_ID), "signature-reference"),
    ],
)
def test_broken_headers_are_refused(ec, change, code):
    assert refused(edit(message(ec), change)) == code


def test_the_timestamp_must_be_signed_by_the_holder_of_the_key(ec, other):
    envelope = message(ec)
    security, timestamp, _, endorsement = parts(envelope)
    security.replace(endorsement, sign_detached(timestamp, signer=other, id_attribute=WSU_ID))
    assert refused(envelope) == "holder-of-key"
    security.replace(security[2], parts(message(other))[3])
    assert refused(envelope) == "signature-invalid"


def test_an_assertion_moved_to_another_message_is_refused(ec, other):
    """A thief of the assertion cannot sign a Timestamp with the holder's key."""
    envelope, stolen = message(other), parts(message(ec))[2]
    security, _, own, _ = parts(envelope)
    security.replace(own, stolen)
    assert refused(envelope) == "signature-invalid"


def test_an_unsigned_timestamp_needs_a_switch(ec):
    envelope = edit(message(ec), lambda s, t, a, e: s.remove(e))
    policy = dataclasses.replace(POLICY, require_signed_timestamp=False)
    assert prove(envelope, policy).deviations == ("timestamp-unsigned",)


def test_an_assertion_without_key_info_is_proved_by_pin_or_stated_holder(ec, other):
    envelope = edit(message(ec), lambda s, t, a, e: a[1].remove(a[1][2]))
    proof = prove(envelope)
    assert proof.signer_key == ec.public_key
    assert proof.signer_certificate is None
    assert proof.deviations == ("assertion-without-key-info",)
    assert prove(envelope, keys=(ec.public_key,)).deviations == ()
    assert refused(envelope, keys=(other.public_key,)) == "signature-invalid"


def test_no_body_is_no_matter_but_soap_1_2_is():
    for text in (b"<a/>", b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"/>'):
        assert refused(parse(text)) == "security-missing"


def test_every_code_of_theirs_has_a_fault():
    for code, row in error_table("trust").items():
        prefix = code.partition("-")[0]
        if prefix in ("assertion", "claim", "security", "signature", "message", "xml"):
            assert str(row["fault"]).startswith(("wsse:", "wsu:", "env:")), code


# --- replay -------------------------------------------------------------------------------------


def test_the_replay_key_is_the_same_for_the_twin_of_an_ecdsa_signature(ec):
    """(r, n-s) verifies as well: a replay must not look new because of it."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    envelope = message(ec)
    before = prove(envelope)
    value = parts(envelope)[3][1]
    raw = base64.b64decode(value.text)
    s = order - int.from_bytes(raw[32:], "big")
    value.text = base64.b64encode(raw[:32] + s.to_bytes(32, "big")).decode()
    after = prove(envelope)
    assert after.timestamp_signature != before.timestamp_signature
    assert after.replay_key == before.replay_key


def test_each_message_has_its_own_replay_key(ec):
    keys = {
        prove(message(ec)).replay_key,
        prove(message(ec, assertion_id="_a2")).replay_key,
        prove(message(ec, timestamp_id="_t2")).replay_key,
        prove(message(ec, now=NOW + timedelta(seconds=1))).replay_key,
    }
    assert len(keys) == 4


# --- wrapping -----------------------------------------------------------------------------------


def forged(assertion):
    evil = copy.deepcopy(assertion)
    evil.remove(evil.find(f"{D}Signature"))
    evil.find(f".//{S}NameID").text = "mallory@evil.example"
    return evil


def wrappings(ec):
    """Every way to have the signed assertion somewhere and a forged one where claims are read."""
    hideouts = {
        "security": lambda envelope: envelope[0][0],
        "header": lambda envelope: envelope[0],
        "body": lambda envelope: envelope[1],
        "body-child": lambda envelope: envelope[1][0],
        "timestamp": lambda envelope: envelope[0][0][0],
        "other-header": lambda envelope: etree.SubElement(envelope[0], "{u:x}Other"),
        "second-security": lambda envelope: etree.SubElement(envelope[0], f"{{{WSSE}}}Security"),
    }
    ids = {"same": lambda evil: None, "new": lambda evil: evil.set("ID", "_evil")}
    for place, find in hideouts.items():
        for first in (True, False):
            for id_name, rename in ids.items():
                for signature in ("none", "copied", "moved"):
                    envelope = message(ec)
                    _, _, assertion, _ = parts(envelope)
                    evil = forged(assertion)
                    rename(evil)
                    assertion.getparent().replace(assertion, evil)
                    hideout = find(envelope)
                    hideout.insert(0, assertion) if first else hideout.append(assertion)
                    own = assertion.find(f"{D}Signature")
                    if signature != "none":
                        evil.insert(1, own if signature == "moved" else copy.deepcopy(own))
                    yield f"{place}-{first}-{id_name}-{signature}", envelope
    inside = {
        "object": lambda evil, own: etree.SubElement(own, f"{D}Object"),
        "key-info": lambda evil, own: own.find(f"{D}KeyInfo"),
        "subject": lambda evil, own: evil.find(f"{S}Subject"),
        "attribute": lambda evil, own: evil.find(f".//{S}AttributeValue"),
        "advice": lambda evil, own: etree.SubElement(evil, f"{S}Advice"),
        "evil": lambda evil, own: evil,
    }
    for place, find in inside.items():
        for id_name, rename in ids.items():
            envelope = message(ec)
            _, _, assertion, _ = parts(envelope)
            evil = forged(assertion)
            rename(evil)
            assertion.getparent().replace(assertion, evil)
            own = assertion.find(f"{D}Signature")
            evil.insert(1, own)
            find(evil, own).append(assertion)
            yield f"inside-{place}-{id_name}", envelope


def test_every_wrapped_assertion_is_refused(ec):
    tried = 0
    for name, envelope in wrappings(ec):
        try:
            proof = prove(envelope)
        except TrustError:
            tried += 1
            continue
        pytest.fail(f"{name} was accepted for {proof.claims.name_id}")
    assert tried == 96


def test_wrapped_timestamps_are_refused(ec):
    later = NOW + timedelta(minutes=30)
    for place in ("security", "header", "body", "inside"):
        for id_name in ("same", "new"):
            envelope = message(ec)
            security, timestamp, _, _ = parts(envelope)
            evil = copy.deepcopy(timestamp)
            evil[0].text, evil[1].text = "2026-11-23T12:30:00Z", "2026-11-23T12:35:00Z"
            if id_name == "new":
                evil.set(WSU_ID, "_evil")
            security.replace(timestamp, evil)
            home = {"security": security, "header": envelope[0], "body": envelope[1]}
            home.get(place, evil).append(timestamp)
            policy = dataclasses.replace(
                POLICY,
                assertion=dataclasses.replace(
                    POLICY.assertion, skew=timedelta(minutes=5), max_lifetime=timedelta(hours=2)
                ),
            )
            assert refused(envelope, policy, now=NOW) in {
                "signature-reference",
                "security-ambiguous",
                "signature-invalid",
            }
            assert refused(envelope, policy, now=later)


@given(st.data())
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_flipped_bit_changes_the_claims(ec, data):
    honest = serialize(message(ec))
    start, end = honest.index(b"<wsse:Security"), honest.index(b"</wsse:Security>")
    place = data.draw(st.integers(start, end))
    changed = bytearray(honest)
    changed[place] ^= 1 << data.draw(st.integers(0, 7))
    expected = verify_security(parse(honest), policy=POLICY, now=NOW)
    try:
        proof = verify_security(parse(bytes(changed)), policy=POLICY, now=NOW)
    except TrustError:
        return
    assert proof.claims == expected.claims
    assert proof.replay_key == expected.replay_key
    assert (proof.created, proof.expires) == (expected.created, expected.expires)


# --- responses and refusals ---------------------------------------------------------------------


def test_responses_confirm_the_request(ec):
    request = prove(message(ec))
    value = base64.b64encode(request.timestamp_signature).decode()
    security = build_response_security(now=NOW, timestamp_id="_t2", confirms=value)
    assert read_signature_confirmation(parse(security)) == (value,)
    assert parts(message(ec))[3][1].text != ""
    nothing = build_response_security(now=NOW, timestamp_id="_t2", confirms=None)
    assert read_signature_confirmation(parse(nothing)) == ()
    stamped = parse(nothing).find(f"{{{WSU}}}Timestamp")
    assert stamped.get(f"{{{WSU}}}Id") == "_t2"
    assert [child.text for child in stamped] == [
        write_time(NOW),
        write_time(NOW + timedelta(minutes=5)),
    ]


def test_a_confirmation_in_a_child_element_is_tolerated():
    security = parse(
        f'<w:Security xmlns:w="{WSSE}" xmlns:x="{WSSE11}"><x:SignatureConfirmation>'
        "<x:Value> QUJD\n</x:Value></x:SignatureConfirmation></w:Security>".encode()
    )
    assert read_signature_confirmation(security) == ("QUJD",)


def test_the_claimed_home_is_readable_when_nothing_is_proved(ec):
    envelope = edit(message(ec), lambda s, t, a, e: a.remove(a[1]))
    assert refused(envelope) == "signature-missing"
    assert claimed_home_community_id(envelope) == HOME
    assert claimed_home_community_id(parse(b"<a/>")) is None


def test_refusals_quote_nothing_of_the_message(ec):
    """Law 6: no PHI in the text of exceptions."""
    values = ("Ada", "Example Hospital", "node.example", HOME)
    for change in (
        lambda s, t, a, e: next(a.iter(f"{S}NameID")).__setattr__("text", "Ada"),
        lambda s, t, a, e: a.append(copy.deepcopy(a[2])),
        lambda s, t, a, e: a[1][0][2].set("URI", "#Ada"),
    ):
        with pytest.raises(TrustError) as error:
            prove(edit(message(ec), change))
        shown = f"{error.value} {error.value.detail} {error.value.where}"
        assert not any(value in shown for value in values)
    strict = dataclasses.replace(
        POLICY, assertion=dataclasses.replace(POLICY.assertion, role_systems=frozenset({"1.2"}))
    )
    with pytest.raises(TrustError) as error:
        prove(message(ec), strict)
    assert error.value.detail == "claim-role"


def test_ids_of_a_message_differ(ec):
    with pytest.raises(TrustError) as error:
        message(ec, timestamp_id="_a1")
    assert error.value.code == "claims-incomplete"


# --- shared data --------------------------------------------------------------------------------

XSW_POLICY = SecurityPolicy(
    assertion=AssertionPolicy(
        audiences=frozenset({AUDIENCE}),
        require_audience=True,
        methods=frozenset({"urn:oasis:names:tc:SAML:2.0:cm:bearer"}),
        issuer_formats=None,
        issuers=frozenset({"https://peer.example/saml"}),
        organization_id_forms=frozenset({"oid"}),
        purposes={"2.16.840.1.113883.3.7204.1.5.2.1": frozenset({"T-TRTMNT", "T-IAS"})},
        max_lifetime=timedelta(days=3660),
    ),
    require_signed_timestamp=False,
    max_timestamp_age=timedelta(days=3660),
)

XSW = {
    "duplicated_reference.xml": "signature-malformed",
    "empty_signature_value.xml": "signature-malformed",
    "expired.xml": "assertion-expired",
    "external_reference_uri.xml": "signature-reference",
    # Ours to decide: the default cap of 20 minutes refuses it (as it does the baselines, which last
    # as long); with the cap lifted it is as good as they are.
    "lifetime_ten_years.xml": None,
    # Accepted where its key is pinned, else there is no key to verify with.
    "no_keyinfo.xml": "signature-no-key",
    "not_yet_valid.xml": "assertion-not-yet-valid",
    "sha1_digest.xml": "signature-algorithm",
    "sha1_signature.xml": "signature-algorithm",
    "signed_by_attacker_keyinfo_embedded.xml": "another key",
    "signed_by_expired_cert.xml": "another key",
    "tampered_nameid.xml": "signature-invalid",
    "tampered_purpose.xml": "signature-invalid",
    "two_assertions_both_signed.xml": "security-ambiguous",
    "unknown_purpose_of_use.xml": "claim-purpose",
    "unsigned.xml": "signature-missing",
    "valid_bearer.xml": None,
    "valid_two_purposes_other_ns_prefix.xml": None,
    "wrong_audience.xml": "assertion-audience",
    "xpointer_reference.xml": "signature-reference",
    "xslt_transform.xml": "signature-algorithm",
    "xsw3_evil_before_signed.xml": "security-ambiguous",
    "xsw4_signed_inside_evil.xml": "signature-missing",
    "xsw5_sig_in_evil_original_stripped_sibling.xml": "security-ambiguous",
    "xsw8_original_in_ds_Object.xml": "signature-malformed",
    "xsw_duplicate_id_evil_first.xml": "security-ambiguous",
    "xsw_signed_in_other_header.xml": "signature-missing",
}


def xsw_outcome(folder: Path, name: str, policy=XSW_POLICY, pinned=False) -> str | None:
    """``None`` when accepted and signed by the trusted key: what binding would then see."""
    trusted = x509.load_pem_x509_certificate((folder / "TRUSTED_signer.pem").read_bytes())
    keys = (trusted.public_key(),) if pinned else ()
    try:
        proof = verify_security(
            parse((folder / name).read_bytes()), policy=policy, now=NOW, keys=keys
        )
    except TrustError as error:
        return error.code
    return None if proof.signer_key == trusted.public_key() else "another key"


@pytest.mark.shared
def test_expected_csv_and_our_decisions_agree(shared_data: Path):
    with (shared_data / "saml/xsw-xua-soap/EXPECTED.csv").open(newline="") as file:
        rows = {row["file"]: row["expected"] for row in csv.DictReader(file)}
    assert set(rows) == set(XSW)
    for name, expected in rows.items():
        if expected in ("accept", "reject"):
            assert (XSW[name] is None) == (expected == "accept"), name


@pytest.mark.shared
@pytest.mark.parametrize("name", XSW)
def test_each_row_of_expected_csv(shared_data: Path, name: str):
    assert xsw_outcome(shared_data / "saml/xsw-xua-soap", name) == XSW[name]


@pytest.mark.shared
def test_the_rows_left_to_policy(shared_data: Path):
    folder = shared_data / "saml/xsw-xua-soap"
    capped = dataclasses.replace(
        XSW_POLICY,
        assertion=dataclasses.replace(XSW_POLICY.assertion, max_lifetime=timedelta(minutes=20)),
    )
    assert xsw_outcome(folder, "lifetime_ten_years.xml", capped) == "assertion-lifetime"
    assert xsw_outcome(folder, "no_keyinfo.xml", pinned=True) is None
    assert xsw_outcome(folder, "valid_bearer.xml", POLICY) is not None


METRIPORT = "ihe-soap/gateways/metriport__saml_signed_xcpd_request_rsa-sha1.xml"
METRIPORT_NOW = datetime(2024, 4, 9, 18, 30, tzinfo=UTC)
# As a partner's profile would hold it: SHA-1 and 1024 bits, an hour, NHIN purposes, OID ids.
METRIPORT_POLICY = SecurityPolicy(
    assertion=AssertionPolicy(
        audiences=frozenset(
            {"http://localhost:9091/Gateway/PatientDiscovery/1_0/NhinService/NhinPatientDiscovery"}
        ),
        organization_id_forms=frozenset({"oid"}),
        max_lifetime=timedelta(hours=1),
    ),
    signature=SignaturePolicy(allow_sha1=True, min_rsa_bits=1024),
    max_timestamp_age=timedelta(hours=1),
)


@pytest.mark.shared
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_a_production_style_message_is_proved_when_sha1_is_allowed(shared_data: Path):
    root = parse((shared_data / METRIPORT).read_bytes())
    proof = verify_security(root, policy=METRIPORT_POLICY, now=METRIPORT_NOW)
    assert proof.claims.organization == "Metriport"
    assert proof.claims.home_community_id == "urn:oid:1.16.840.1.113883.3.9621.5.219"
    assert set(proof.deviations) == {
        "assertion-without-key-info",
        "coded-value-without-type",
        "home-community-id-bare",
        "sha1-signature",
        "timestamp-enveloped-transform",
        "timestamp-without-token-reference",
    }


@pytest.mark.shared
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@pytest.mark.parametrize(
    ("signature", "code"),
    [
        (SignaturePolicy(min_rsa_bits=1024), "signature-algorithm"),
        (SignaturePolicy(allow_sha1=True), "signature-key"),
    ],
)
def test_sha1_and_short_keys_are_refused_by_default(shared_data: Path, signature, code):
    root = parse((shared_data / METRIPORT).read_bytes())
    policy = dataclasses.replace(METRIPORT_POLICY, signature=signature)
    with pytest.raises(TrustError) as error:
        verify_security(root, policy=policy, now=METRIPORT_NOW)
    assert error.value.code == code


EDITED = (
    "epr__ITI-18_request_raw.xml",
    "epr__ITI-43_request_raw.xml",
    "epr__assertion_only.xml",
    "ehdsi__openncp_soap_header.xml",
    "ehdsi__openncp_soap_header_bad.xml",
)


@pytest.mark.shared
@pytest.mark.parametrize("name", EDITED)
def test_assertions_edited_after_signing_fail(shared_data: Path, name: str):
    data = (shared_data / "ihe-soap/gateways" / name).read_bytes()
    root = parse(data)
    assertion = next(root.iter(f"{S}Assertion"))
    signature = assertion.find(f"{D}Signature")
    assert signature is not None
    with pytest.raises(TrustError) as error:
        verify(assertion, signature)
    assert error.value.code.startswith("signature-")


@pytest.mark.shared
@pytest.mark.parametrize(
    "name",
    [
        "gateways/connect__authFrameworkAssertion.xml",
        "gateways/ipf__saml2-assertion-for-xua.xml",
        "gateways/epr__assertion_only.xml",
        "gateways/ehdsi__openncp_soap_header.xml",
        "connect__complete_saml.xml",
        "ipf__xua-assertion.xml",
    ],
)
def test_real_assertions_are_understood(shared_data: Path, name: str):
    """Read, though not proved here: what other products write is understood."""
    root = parse((shared_data / "ihe-soap" / name).read_bytes())
    assertion = read_assertion(next(root.iter(f"{S}Assertion")))
    assert assertion.claims.issuer
    assert assertion.claims.purposes[0].code
    assert assertion.claims.roles[0].code


@pytest.mark.shared
def test_python3_saml_and_others_never_crash_the_verifier(shared_data: Path):
    seen = 0
    for archive in sorted((shared_data / "saml").glob("*.tar.gz")):
        with tarfile.open(archive) as tar:
            for member in tar:
                file = tar.extractfile(member) if member.name.endswith(".xml") else None
                if file is None:
                    continue
                try:
                    root = parse(file.read())
                except TrustError:
                    continue
                for signature in list(root.iter(f"{D}Signature")):
                    seen += 1
                    try:
                        verify(signature.getparent(), signature)
                    except TrustError:
                        continue
    assert seen > 10
