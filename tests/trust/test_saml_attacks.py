"""What attackers do to assertions, beyond wrapping and tampering (facts ihe-wire 8.1).

The other half stands in ``test_wssecurity`` and ``test_xmldsig``; ``checklist_saml.toml`` names for
each attack the test that meets it.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from lxml import etree
from test_wssecurity import CLAIMS, NOW, POLICY, D, E, S, message, parts, prove, refused

from trust.errors import TrustError
from trust.wssecurity import verify_security
from trust.xml import canonical, parse, serialize
from trust.xml_names import DS, WSU_ID
from trust.xmldsig import SignaturePolicy, sign_enveloped, verify

NAME_ID = f"{S}NameID"
OUR_NAME = CLAIMS.name_id


@pytest.fixture(scope="module")
def ec(issue):
    return issue("attacked.example", kind="p-256").signer


@pytest.fixture(scope="module")
def evil(issue):
    return issue("evil.example", kind="p-256").signer


def judge(data: bytes) -> str | None:
    """The name that is proved, or the code of the refusal."""
    try:
        return verify_security(parse(data), policy=POLICY, now=NOW).claims.name_id
    except TrustError as error:
        return error.code


# --- what a value is ----------------------------------------------------------------------------


@pytest.mark.parametrize("comment", [b"<!-- -->", b"<!---->", b"<!--a--><!--b-->"])
@pytest.mark.parametrize("place", [0, 3, 9, -1])
def test_a_comment_inside_the_name_id_cuts_nothing(ec, comment, place):
    """CVE-2017-11427 and its kin: the signature holds, and the name stays whole."""
    data, name = serialize(message(ec)), OUR_NAME.encode()
    assert data.count(b">" + name) == 1
    cut = name[:place] + comment + name[place:]
    assert judge(data.replace(b">" + name, b">" + cut)) == OUR_NAME


@pytest.mark.parametrize("cut", [b"<?p?>", b"<x/>", b"</saml2:NameID><saml2:NameID>"])
def test_nothing_else_may_stand_inside_the_name_id(ec, cut):
    data, name = serialize(message(ec)), OUR_NAME.encode()
    changed = data.replace(b">" + name, b">" + name[:3] + cut + name[3:])
    assert changed != data
    assert judge(changed) == "signature-invalid"


def test_a_signed_processing_instruction_is_refused_all_the_same(ec):
    """The honest signer put it there, yet readers differ in what the text then is."""
    envelope = message(ec)
    _, _, assertion, _ = parts(envelope)
    assertion.remove(assertion[1])
    name = next(assertion.iter(NAME_ID))
    name.insert(0, etree.ProcessingInstruction("p", "i"))
    sign_enveloped(assertion, signer=ec, position=1)
    assert refused(envelope) == "assertion-malformed"


@pytest.mark.parametrize(
    "head",
    [
        b'<!DOCTYPE e [<!ENTITY n "mallory@evil.example">]>',
        b'<!DOCTYPE e SYSTEM "http://127.0.0.1:9/e.dtd">',
        b"<!DOCTYPE e [<!ATTLIST q ID ID #FIXED '_a1'>]>",
        b"<?xml version='1.0'?><!-- x --><?p?><!DOCTYPE e>",
    ],
)
def test_entities_and_declared_ids_never_come_so_far(ec, head):
    data = serialize(message(ec)).replace(f">{OUR_NAME}".encode(), b">&n;")
    assert judge(head + data) == "xml-doctype"
    assert judge(data) == "xml-malformed"  # an entity that nobody declared


def test_character_references_are_the_characters_they_mean(ec):
    """Another spelling of the same document: nothing else is proved by it."""
    data = serialize(message(ec))
    spelt = data.replace(f">{OUR_NAME}".encode(), b">&#97;" + OUR_NAME[1:].encode())
    assert spelt != data
    assert judge(spelt) == OUR_NAME


# --- what an id is ------------------------------------------------------------------------------

XML_ID = "{http://www.w3.org/XML/1998/namespace}id"


@pytest.mark.parametrize("name", ["Id", "id", "iD", "AssertionID", XML_ID, WSU_ID])
def test_an_assertion_is_known_by_its_own_id_attribute_only(ec, name):
    envelope = message(ec)
    _, _, assertion, _ = parts(envelope)
    assertion.set(name, assertion.attrib.pop("ID"))
    assert refused(envelope) == "signature-reference"


@pytest.mark.parametrize("name", ["ID", "Id", "id", XML_ID, WSU_ID, "k"])
@pytest.mark.parametrize("where", ["before", "inside", "body"])
def test_an_id_stands_once_under_whatever_name(ec, name, where):
    envelope = message(ec)
    security, _, assertion, _ = parts(envelope)
    place = {"before": envelope[0], "inside": assertion[-1], "body": envelope[1]}[where]
    other = etree.Element("{u:x}other")
    other.set(name, "_a1")
    place.insert(0, other)
    assert security is envelope[0].find("{*}Security")
    assert refused(envelope) == "signature-reference"


@pytest.mark.parametrize("uri", ["", "#", "#xpointer(/)", "#xpointer(id('_a1'))", "_a1", "#_t1"])
def test_a_reference_by_anything_but_the_id_is_refused(ec, uri):
    """The empty one would sign the whole document, wherever the assertion is."""
    envelope = message(ec)
    _, _, assertion, _ = parts(envelope)
    info = assertion[1][0]
    info.find(f"{D}Reference").set("URI", uri)
    value = ec.sign(canonical(info))
    assertion[1][1].text = base64.b64encode(value).decode()
    assert refused(envelope) == "signature-reference"


# --- whose key ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", ["1", "256", "512"])
def test_a_public_key_is_no_secret_of_an_hmac(ec, size):
    """What everybody knows is taken for a shared secret, where the method may choose the kind."""
    envelope = message(ec)
    _, _, assertion, _ = parts(envelope)
    info = assertion[1][0]
    space = DS if size == "1" else "http://www.w3.org/2001/04/xmldsig-more#"
    info.find(f"{D}SignatureMethod").set("Algorithm", f"{space}hmac-sha{size}")
    for key in (
        ec.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        ec.certificate.public_bytes(Encoding.DER),
        b"",
    ):
        mac = hmac.digest(key, canonical(info), getattr(hashlib, f"sha{size}"))
        assertion[1][1].text = base64.b64encode(mac).decode()
        assert refused(envelope) == "signature-algorithm"
        assert refused(envelope, keys=(ec.public_key,)) == "signature-algorithm"


POINTERS = [
    f'<d:RetrievalMethod xmlns:d="{DS}" URI="http://127.0.0.1:9/key"/>',
    f'<d:RetrievalMethod xmlns:d="{DS}" URI="#_evil"/>',
    f'<d:KeyName xmlns:d="{DS}">evil</d:KeyName>',
    f'<d:X509Data xmlns:d="{DS}"><d:X509SubjectName>CN=x</d:X509SubjectName></d:X509Data>',
    f'<d:MgmtData xmlns:d="{DS}">x</d:MgmtData>',
    '<r xmlns="u:x" URI="file:///dev/null"/>',
]


@pytest.mark.parametrize("pointer", POINTERS)
def test_a_key_info_that_points_elsewhere_is_not_followed(ec, evil, pointer):
    """Then only the key that is pinned counts, as if there were no KeyInfo at all."""
    envelope = message(ec)
    _, _, assertion, _ = parts(envelope)
    info = assertion[1][2]
    info[:] = [parse(pointer.encode())]
    assert refused(envelope) == "signature-no-key"
    assert prove(envelope, keys=(ec.public_key,)).signer_key == ec.public_key
    assert refused(envelope, keys=(evil.public_key,)) == "signature-invalid"


def test_an_honest_certificate_beside_the_attackers_key_lends_it_nothing(ec, evil):
    envelope = message(evil)
    _, _, assertion, _ = parts(envelope)
    data = assertion[1][2].find(f"{D}X509Data")
    honest = base64.b64encode(ec.certificate.public_bytes(Encoding.DER)).decode()
    data[0].text = honest
    assert refused(envelope) == "key-info-mismatch"
    assertion[1][2].remove(assertion[1][2][0])  # the key value goes, the certificate stays
    assert refused(envelope) == "signature-invalid"


def test_the_first_of_several_certificates_must_fit(ec, evil):
    """Certificates that only come along are for building a chain, never the key that counts."""
    envelope = message(evil)
    _, _, assertion, _ = parts(envelope)
    data = assertion[1][2].find(f"{D}X509Data")
    extra = copy.deepcopy(data[0])
    extra.text = base64.b64encode(ec.certificate.public_bytes(Encoding.DER)).decode()
    data.append(extra)
    proof = prove(envelope)
    assert proof.signer_key == evil.public_key
    assert proof.signer_certificate == evil.certificate
    data.insert(0, extra)
    assert prove(envelope).signer_certificate == evil.certificate
    assertion[1][2].remove(assertion[1][2][0])
    assert refused(envelope) == "signature-invalid"


@pytest.mark.parametrize(("bits", "exponent"), [(2048, 3), (1024, 65537)])
def test_rsa_with_a_small_exponent_or_modulus_does_not_sign(forge, bits, exponent):
    """With e = 3, signatures can be forged wherever padding is checked carelessly."""
    key = rsa.generate_private_key(public_exponent=exponent, key_size=bits)
    signer = forge("weak.example", key=key).signer
    assert refused(message(signer)) == "signature-key"
    bare = parse(b'<a ID="_i"/>')
    sign_enveloped(bare, signer=signer, position=0)
    for policy in (SignaturePolicy(), SignaturePolicy(allow_sha1=True)):
        with pytest.raises(TrustError) as error:
            verify(bare, bare[0], policy=policy)
        assert error.value.code == "signature-key"


# --- what is read -------------------------------------------------------------------------------


def test_claims_are_read_from_verified_octets_only(ec, monkeypatch):
    """Law 2: the tree of the message may say anything after the proof, and nobody looks."""
    envelope = parse(serialize(message(ec)))
    real = verify_security.__globals__["verify"]

    def proved_then_changed(element, signature, **options):
        proof = real(element, signature, **options)
        for name in element.iter(NAME_ID):
            name.text = "mallory@evil.example"
        return proof

    monkeypatch.setitem(verify_security.__globals__, "verify", proved_then_changed)
    proof = verify_security(envelope, policy=POLICY, now=NOW)
    assert proof.claims.name_id == OUR_NAME
    assert next(envelope.iter(NAME_ID)).text == "mallory@evil.example"


def test_two_assertions_are_refused_even_when_both_are_signed(ec, evil):
    for order in (0, 1):
        envelope, other = message(ec), message(evil, assertion_id="_a2")
        security = envelope[0][0]
        security.insert(order, parts(other)[2])
        assert refused(envelope) == "security-ambiguous"


def test_an_assertion_of_evidence_inside_is_not_who_asks(ec):
    """An inner assertion is part of what the outer signer said, and its claims are its own."""
    envelope = message(ec)
    _, _, assertion, _ = parts(envelope)
    inner = copy.deepcopy(assertion)
    inner.set("ID", "_inner")
    next(inner.iter(NAME_ID)).text = "mallory@evil.example"
    advice = etree.SubElement(assertion, f"{S}Advice")
    advice.append(inner)
    assertion.remove(assertion[1])
    sign_enveloped(assertion, signer=ec, position=1)
    assert prove(envelope).claims.name_id == OUR_NAME


def test_the_security_header_of_another_actor_is_not_ours_to_mix(ec, evil):
    envelope, other = message(ec), message(evil)
    foreign = other[0][0]
    foreign.set(f"{E}role", "u:somebody")
    envelope[0].insert(0, foreign)
    assert refused(envelope) == "security-ambiguous"
