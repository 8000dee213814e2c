"""Assertions: what we write is strict, what we read is counted, what we accept is ruled."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from trust.errors import TrustError, error_table
from trust.saml_check import (
    AssertionPolicy,
    Finding,
    check_assertion,
    check_claims,
    is_npi,
)
from trust.saml_claims import (
    AuthnStatement,
    AuthzDecision,
    CodedClaim,
    RawAttribute,
    XuaClaims,
    saml_table,
)
from trust.saml_issue import issue, write_time
from trust.saml_read import read_assertion, read_time
from trust.xml import parse, serialize
from trust.xml_names import DS, HL7, SAML, XSI
from trust.xmldsig import verify

S = f"{{{SAML}}}"
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
AUDIENCE = "https://node.example/xca"
SYSTEM = "1.2.3.4"
FORMATS = saml_table()["name_id_format"]
AUTHN = AuthnStatement(instant=NOW, context_classes=(saml_table()["authn"]["x509"],))
POLICY = AssertionPolicy(
    audiences=frozenset({AUDIENCE}), purposes={SYSTEM: frozenset({"P-ONE", "P-TWO"})}
)
ROLE = CodedClaim(
    code="112247003", system="2.16.840.1.113883.6.96", system_name="SNOMED_CT", display="Doctor"
)
CLAIMS = XuaClaims(
    subject_id="Dr Ada Jones",
    organization="Example Hospital",
    organization_id="Organization/abc-1.2",
    home_community_id="urn:oid:2.16.840.1.113883.3.99999.21",
    roles=(ROLE,),
    purposes=(CodedClaim(code="P-ONE", system=SYSTEM, system_name="XP", display="One"),),
    resource_id="12^^^&1.2.3&ISO",
    npi="1234567893",
    tin="12-3456789",
    access_consent_policies=("urn:oid:1.2.3", "urn:oid:1.2.4"),
    consent_documents=("urn:oid:1.2.5",),
    document_resource_ids=("1.2&1.3&1.4",),
    query_auth_grantor="Organization/1.2.3",
    id_token="eyJ.e30.x",
    issuer="CN=node.example,O=Example",
    issuer_format=FORMATS["x509"],
    name_id="ada@node.example",
    name_id_format=FORMATS["email"],
    authn=(AUTHN,),
    authz=(
        AuthzDecision(
            decision="Permit",
            resource=AUDIENCE,
            access_consent_policies=("urn:oid:1.2.6",),
            instance_access_consent_policies=("urn:oid:1.2.7",),
        ),
    ),
    other=(
        RawAttribute(
            name="urn:example:more",
            friendly_name="More",
            name_format=saml_table()["name_format"]["uri"],
            values=("a", "b"),
        ),
    ),
)


@pytest.fixture(scope="module")
def signer(issue):
    return issue("saml.example", kind="p-256").signer


def issued(signer, claims=CLAIMS, **options):
    options = {
        "audience": AUDIENCE,
        "now": NOW,
        "assertion_id": "_a1",
        "holder_of_key": signer.certificate,
    } | options
    return issue(claims, signer=signer, **options)


def read(element):
    return read_assertion(parse(serialize(element)))


def codes(findings: tuple[Finding, ...]) -> set[str]:
    return {each.code for each in findings}


def test_every_claim_survives_the_wire(signer):
    element = parse(serialize(issued(signer)))
    proof = verify(element, element.find(f"{{{DS}}}Signature"))
    assertion = read_assertion(proof.element)
    assert assertion.claims == CLAIMS
    assert assertion.deviations == ()
    assert assertion.conflicts == ()
    assert check_assertion(assertion, POLICY, now=NOW) == ()
    assert assertion.confirmations[0].key is not None
    assert assertion.confirmations[0].key.certificate == signer.certificate


def test_the_signature_stands_right_after_the_issuer(signer):
    tags = [etree.QName(child).localname for child in issued(signer)]
    assert tags == [
        "Issuer",
        "Signature",
        "Subject",
        "Conditions",
        "AuthnStatement",
        "AuthzDecisionStatement",
        "AttributeStatement",
    ]


def test_coded_claims_are_typed_hl7_ce(signer):
    role = next(issued(signer).iter(f"{{{HL7}}}Role"))
    assert dict(role.attrib) == {
        f"{{{XSI}}}type": "hl7:CE",
        "code": ROLE.code,
        "codeSystem": ROLE.system,
        "codeSystemName": "SNOMED_CT",
        "displayName": "Doctor",
    }
    assert role.nsmap["hl7"] == HL7


words = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp", "Cn")), min_size=1)
oids = st.lists(st.integers(0, 99999), min_size=1, max_size=6).map(
    lambda parts: ".".join(["1", *map(str, parts)])
)
coded = st.builds(
    CodedClaim,
    code=words,
    system=oids,
    system_name=words,
    display=st.none() | words,
)
claims = st.builds(
    XuaClaims,
    subject_id=words,
    organization=words,
    organization_id=st.from_regex(r"\AOrganization/[A-Za-z0-9.-]{1,64}\Z"),
    home_community_id=oids.map(lambda oid: f"urn:oid:{oid}"),
    roles=st.builds(CodedClaim, code=words, system=st.just(ROLE.system), system_name=words).map(
        lambda code: (code,)
    ),
    purposes=coded.map(lambda code: (code,)),
    resource_id=st.none() | oids.map(lambda oid: f"x^^^&{oid}&ISO"),
    npi=st.none() | st.just("1234567893"),
    access_consent_policies=st.lists(words, max_size=3).map(tuple),
    document_resource_ids=st.lists(words, max_size=3).map(tuple),
    id_token=st.none() | words,
    issuer=st.just("a@b.example"),
    issuer_format=st.just(FORMATS["email"]),
    name_id=words,
    authn=st.just((AUTHN,)),
)


@given(claims)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_claims_round_trip(signer, claims):
    element = parse(serialize(issued(signer, claims)))
    proof = verify(element, element.find(f"{{{DS}}}Signature"))
    assert read_assertion(proof.element).claims == claims


# --- strict out ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"subject_id": None},
        {"organization": None},
        {"organization_id": "urn:oid:1.2"},
        {"home_community_id": "1.2.3"},
        {"home_community_id": "urn:oid:1.2.03"},
        {"roles": ()},
        {"roles": (ROLE, ROLE)},
        {"roles": (CodedClaim(code="x", system="1.2"),)},
        {"purposes": (CodedClaim(code="P-ONE"),)},
        {"npi": "1234567890"},
        {"issuer": "not a name"},
        {"issuer_format": None},
        {"name_id": "nobody"},
        {"resource_id": "12"},
        {"subject_id": "a\x01b"},
    ],
)
def test_incomplete_claims_are_not_issued(signer, change):
    with pytest.raises(TrustError) as error:
        issued(signer, dataclasses.replace(CLAIMS, **change))
    assert error.value.code == "claims-incomplete"


@pytest.mark.parametrize("bad", ["", "1a", "a b", "a" * 300, 'a"'])
def test_the_assertion_id_is_an_ncname(signer, bad):
    with pytest.raises(TrustError):
        issued(signer, assertion_id=bad)


def test_times_are_written_in_utc_and_read_back():
    moment = datetime.fromisoformat("2026-11-23T07:00:00.123456-05:00")
    assert write_time(moment) == "2026-11-23T12:00:00.123Z"
    assert read_time(write_time(moment)) == NOW.replace(microsecond=123000)
    with pytest.raises(ValueError, match="aware"):
        write_time(moment.replace(tzinfo=None))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-23T12:00:00Z", NOW),
        (" 2026-11-23T12:00:00.000000000Z ", NOW),
        ("2026-11-23T07:00:00-05:00", NOW),
        ("2026-11-23T12:00:00", NOW),
        ("2026-11-23", None),
        ("20261123T120000Z", None),
        ("2026-13-23T12:00:00Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("now", None),
        (None, None),
    ],
)
def test_times_are_read_as_xs_date_time(value, expected):
    assert read_time(value) == expected


# --- rules (facts: ihe-wire 8.2 to 8.4, 17.1) ---------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "code"),
    [
        (NOW - timedelta(minutes=5), None),
        (NOW - timedelta(minutes=5, seconds=1), "assertion-not-yet-valid"),
        (NOW + timedelta(minutes=10, seconds=-1), None),
        (NOW + timedelta(minutes=10), "assertion-expired"),
    ],
)
def test_validity_allows_five_minutes_of_skew(signer, moment, code):
    claims = dataclasses.replace(
        CLAIMS, authn=(dataclasses.replace(AUTHN, instant=NOW - timedelta(hours=1)),)
    )
    findings = check_assertion(read(issued(signer, claims)), POLICY, now=moment)
    assert codes(findings) == ({code} if code else set())


def test_skew_above_five_minutes_is_not_a_policy():
    with pytest.raises(ValueError, match="skew"):
        AssertionPolicy(skew=timedelta(minutes=6))


def test_unknown_audience_is_refused(signer):
    assertion = read(issued(signer, audience="https://other.example"))
    assert codes(check_assertion(assertion, POLICY, now=NOW)) == {"assertion-audience"}
    assertion = read(issued(signer, audience=None))
    assert check_assertion(assertion, POLICY, now=NOW) == ()
    strict = dataclasses.replace(POLICY, require_audience=True)
    assert codes(check_assertion(assertion, strict, now=NOW)) == {"assertion-audience"}


def test_every_audience_restriction_must_be_met(signer):
    element = issued(signer)
    conditions = element.find(f"{S}Conditions")
    more = etree.SubElement(conditions, f"{S}AudienceRestriction")
    etree.SubElement(more, f"{S}Audience").text = "https://other.example"
    findings = check_assertion(read(element), POLICY, now=NOW)
    assert codes(findings) == {"assertion-audience"}


@pytest.mark.parametrize(
    ("authn", "code"),
    [
        ((dataclasses.replace(AUTHN, instant=None),), "assertion-authn"),
        ((dataclasses.replace(AUTHN, instant=NOW + timedelta(minutes=6)),), "assertion-authn"),
        ((dataclasses.replace(AUTHN, context_classes=("a b",)),), "assertion-authn"),
        ((dataclasses.replace(AUTHN, context_classes=()),), "assertion-authn"),
        (
            (dataclasses.replace(AUTHN, session_not_on_or_after=NOW - timedelta(hours=1)),),
            "assertion-authn",
        ),
        ((AUTHN, AUTHN), "assertion-second-authn"),
        (
            (dataclasses.replace(AUTHN, context_classes=AUTHN.context_classes * 2),),
            "assertion-second-authn",
        ),
    ],
)
def test_authentication_statements(signer, authn, code):
    element = issued(signer, dataclasses.replace(CLAIMS, authn=authn))
    assert codes(check_assertion(read(element), POLICY, now=NOW)) == {code}


def test_a_missing_authentication_statement_is_refused(signer):
    element = issued(signer)
    element.remove(element.find(f"{S}AuthnStatement"))
    assert codes(check_assertion(read(element), POLICY, now=NOW)) == {"assertion-authn"}


def test_lifetime_has_a_cap(signer):
    element = issued(signer, lifetime=timedelta(minutes=21))
    assert codes(check_assertion(read(element), POLICY, now=NOW)) == {"assertion-lifetime"}


@pytest.mark.parametrize("name", ["NotBefore", "NotOnOrAfter"])
def test_no_limit_in_time_is_refused(signer, name):
    element = issued(signer)
    del element.find(f"{S}Conditions").attrib[name]
    assert codes(check_assertion(read(element), POLICY, now=NOW)) == {"assertion-lifetime"}


def test_a_time_that_is_none_is_not_no_limit(signer):
    element = issued(signer)
    element.find(f"{S}Conditions").set("NotOnOrAfter", "tomorrow")
    with pytest.raises(TrustError) as error:
        read(element)
    assert error.value.code == "assertion-malformed"


def test_an_unknown_condition_is_refused(signer):
    element = issued(signer)
    etree.SubElement(element.find(f"{S}Conditions"), f"{S}Condition")
    assert codes(check_assertion(read(element), POLICY, now=NOW)) == {"assertion-condition"}


@pytest.mark.parametrize("method", ["bearer", "sender-vouches"])
def test_only_holder_of_key_confirms(signer, method):
    element = issued(signer)
    confirmation = element.find(f"{S}Subject/{S}SubjectConfirmation")
    uri = f"urn:oasis:names:tc:SAML:2.0:cm:{method}"
    confirmation.set("Method", uri)
    assert codes(check_assertion(read(element), POLICY, now=NOW)) == {"assertion-confirmation"}
    allowed = dataclasses.replace(POLICY, methods=frozenset({uri}))
    assert check_assertion(read(element), allowed, now=NOW) == ()


def test_holder_of_key_without_key_is_refused(signer):
    element = issued(signer)
    data = next(element.iter(f"{S}SubjectConfirmationData"))
    data.remove(data[0])
    assert codes(check_assertion(read(element), POLICY, now=NOW)) == {"assertion-confirmation"}


def test_version_and_issue_instant_are_required(signer):
    element = issued(signer)
    element.set("Version", "1.1")
    assert codes(check_assertion(read(element), POLICY, now=NOW)) == {"assertion-malformed"}


PURPOSE = CLAIMS.purposes[0]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"roles": (ROLE, ROLE)}, "assertion-second-role"),
        ({"purposes": (PURPOSE, PURPOSE)}, "assertion-second-purpose"),
        ({"purposes": (dataclasses.replace(PURPOSE, code="P-THREE"),)}, "claim-purpose"),
        ({"purposes": (dataclasses.replace(PURPOSE, system="1.2.3"),)}, "claim-purpose"),
        ({"purposes": (dataclasses.replace(PURPOSE, system=None),)}, "claim-purpose"),
        ({"purposes": (dataclasses.replace(PURPOSE, code=""),)}, "claim-purpose"),
        ({"roles": (dataclasses.replace(ROLE, system="1.2"),)}, "claim-role"),
        ({"roles": (dataclasses.replace(ROLE, code=""),)}, "claim-role"),
        ({"organization_id": "Organization/a b"}, "claim-form"),
        ({"organization_id": "urn:oid:1.2.3"}, "claim-form"),
        ({"home_community_id": "urn:oid:3.2"}, "claim-form"),
        ({"home_community_id": "urn:oid:1." + "2" * 60}, "claim-form"),
        ({"npi": "1234567890"}, "claim-form"),
        ({"npi": "123456789"}, "claim-form"),
        ({"resource_id": "12^^^&x&ISO"}, "claim-form"),
        ({"name_id": "nobody"}, "claim-form"),
        ({"issuer": "nobody"}, "assertion-issuer"),
        ({"issuer_format": "urn:example:other"}, "assertion-issuer"),
        *(({name: None}, "claim-missing") for name in ("subject_id", "organization", "name_id")),
        *(({name: ()}, "claim-missing") for name in ("roles", "purposes")),
    ],
)
def test_claims_have_form_and_meaning(change, code):
    assert codes(check_claims(dataclasses.replace(CLAIMS, **change), POLICY)) == {code}


@pytest.mark.parametrize(
    ("change", "switch"),
    [
        ({"roles": (ROLE, ROLE)}, {"one_role": False}),
        ({"purposes": (PURPOSE, PURPOSE)}, {"one_purpose": False}),
        ({"organization_id": "urn:oid:1.2.3"}, {"organization_id_forms": frozenset({"oid"})}),
        ({"issuer_format": "urn:example:other", "issuer": "x"}, {"issuer_formats": None}),
        ({"issuer": "ACME\\ada", "issuer_format": FORMATS["windows"]}, {}),
        ({"subject_id": None}, {"required": ("name_id",)}),
        ({"purposes": (dataclasses.replace(PURPOSE, code="X"),)}, {"purposes": None}),
    ],
)
def test_switches_open_what_they_name(change, switch):
    policy = dataclasses.replace(POLICY, **switch)
    assert check_claims(dataclasses.replace(CLAIMS, **change), policy) == ()


def test_only_the_expected_issuer_is_accepted():
    policy = dataclasses.replace(POLICY, issuers=frozenset({"CN=other"}))
    assert codes(check_claims(CLAIMS, policy)) == {"assertion-issuer"}


@pytest.mark.parametrize(
    ("npi", "good"), [("1234567893", True), ("1245319599", True), ("1234567894", False)]
)
def test_npi_check_digit(npi, good):
    assert is_npi(npi) is good


def test_every_finding_code_is_in_the_table(signer):
    broken = XuaClaims(
        roles=(CodedClaim(code=""),) * 2, purposes=(CodedClaim(code=""),) * 2, npi="1"
    )
    for each in check_claims(broken, POLICY):
        assert error_table("trust")[each.code]["fault"]


# --- liberal in, counted (law 4) ----------------------------------------------------------------


def edited(signer, edit):
    element = issued(signer)
    text = edit(serialize(element).decode())
    return read_assertion(parse(text.encode()))


@pytest.mark.parametrize(
    ("edit", "name"),
    [
        (lambda t: t.replace("hl7:PurposeOfUse", "hl7:PurposeForUse"), "purpose-for-use-spelling"),
        (lambda t: t.replace('xsi:type="hl7:CE"', ""), "coded-value-without-type"),
        (lambda t: t.replace("hl7:Role", "Role"), "coded-value-without-namespace"),
        (
            lambda t: t.replace(
                "urn:oid:2.16.840.1.113883.3.99999.21", CLAIMS.home_community_id[8:]
            ),
            "home-community-id-bare",
        ),
        (
            lambda t: t.replace("urn:nhin:names:saml:home", "urn:ihe:iti:xca:2010:home"),
            "attribute-name-variant",
        ),
        (
            lambda t: t.replace("attrname-format:uri", "attrname-format:basic"),
            "name-format-variant",
        ),
        (
            lambda t: t.replace(
                "</saml2:AttributeStatement></saml2:Assertion>",
                "</saml2:AttributeStatement><saml2:AttributeStatement/></saml2:Assertion>",
            ),
            "several-attribute-statements",
        ),
        (
            lambda t: t.replace("2026-11-23T12:00:00.000Z", "2026-11-23T12:00:00"),
            "time-without-zone",
        ),
        (
            lambda t: t.replace('codeSystem="', 'codeSystem="urn:oid:'),
            "code-system-as-urn",
        ),
    ],
)
def test_each_tolerated_deviation_has_a_name(signer, edit, name):
    assertion = edited(signer, edit)
    assert name in assertion.deviations
    assert len(assertion.deviations) == 1
    found = dataclasses.replace(assertion.claims, other=())
    assert found == dataclasses.replace(CLAIMS, other=())
    assert check_assertion(assertion, POLICY, now=NOW) == ()


def test_two_values_for_one_claim_are_a_conflict(signer):
    other = f'<saml2:Attribute Name="{saml_table()["attribute"]["npi"]["names"][1]}">'
    assertion = edited(
        signer,
        lambda t: t.replace(
            "</saml2:AttributeStatement></saml2:Assertion>",
            f"{other}<saml2:AttributeValue>1245319599</saml2:AttributeValue></saml2:Attribute>"
            "</saml2:AttributeStatement></saml2:Assertion>",
        ),
    )
    assert assertion.conflicts == ("npi",)
    assert codes(check_assertion(assertion, POLICY, now=NOW)) == {"claim-conflict"}


@pytest.mark.parametrize("tag", ["Issuer", "Subject", "Conditions"])
def test_parts_that_stand_once_may_not_stand_twice(signer, tag):
    element = issued(signer)
    element.append(parse(serialize(element.find(f"{S}{tag}"))))
    with pytest.raises(TrustError) as error:
        read(element)
    assert error.value.code == "assertion-malformed"


def test_a_processing_instruction_in_an_assertion_is_refused(signer):
    with pytest.raises(TrustError) as error:
        edited(signer, lambda t: t.replace("Dr Ada", "Dr<?x y?> Ada"))
    assert error.value.code == "assertion-malformed"


def test_counts_have_limits(signer):
    many = tuple(RawAttribute(name=f"n{each}") for each in range(201))
    with pytest.raises(TrustError):
        read(issued(signer, dataclasses.replace(CLAIMS, other=many)))


def test_anything_else_is_no_assertion():
    with pytest.raises(TrustError):
        read_assertion(parse(b"<Assertion/>"))
