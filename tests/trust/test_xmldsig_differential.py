"""Our signatures against libxmlsec and signxml, over documents made by chance.

Genuine signatures, made by any of the three, get the same verdict of all. Of tampered documents we
accept nothing that libxmlsec refuses; the other way round we may be stricter.
"""

from __future__ import annotations

from random import Random

import pytest
import signxml
import xmlsec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from lxml import etree

from tests.fuzz.target import random_bytes
from tests.fuzz.xml_mutation import mutate_xml
from trust.errors import TrustError
from trust.xml import canonical, parse, serialize
from trust.xml_names import DS, EXC_C14N
from trust.xmldsig import sign_detached, sign_enveloped, verify

SIGNATURE = f"{{{DS}}}Signature"
KINDS = ("rsa-2048", "p-256", "p-384")
PREFIXES = ("", "a", "b", "ds", "xs")
SPACES = ("u:1", "u:2", "urn:x:y?z=1;q", "http://a.example/b/#c", DS)
COMMON = settings(deadline=None, suppress_health_check=list(HealthCheck))

# --- documents ----------------------------------------------------------------------------------

_TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff")
    | st.sampled_from("\t\n <>&'\"]"),
    max_size=12,
)


def escaped(text: str) -> str:
    for sign, name in (("&", "amp"), ("<", "lt"), (">", "gt"), ('"', "quot")):
        text = text.replace(sign, f"&{name};")
    return text.replace("'", "&#39;")


@st.composite
def content(draw, depth: int, scope: tuple[str, ...]) -> str:
    """Mixed content: text, CDATA, comments, processing instructions, references, elements."""
    parts = []
    for _ in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from(("text", "cdata", "comment", "pi", "space", "char", "element")))
        text = draw(_TEXT)
        parts.append(
            {
                "text": lambda text=text: escaped(text),
                "cdata": lambda text=text: f"<![CDATA[{text.replace(']]>', '')}]]>",
                "comment": lambda text=text: f"<!--{text.replace('-', '')}-->",
                "pi": lambda text=text: f"<?p {text.replace('?', '')}?>",
                "space": lambda: " \r\n\t",
                "char": lambda: "&#13;&#9;&#x10FFFF;",
                "element": lambda: draw(element(depth + 1, scope)) if depth < 3 else "",
            }[kind]()
        )
    return "".join(parts)


@st.composite
def element(draw, depth: int, scope: tuple[str, ...], fixed: str = "") -> str:
    """An element that declares, redeclares and undeclares namespaces as it likes."""
    declared = draw(st.dictionaries(st.sampled_from(PREFIXES), st.sampled_from(SPACES), max_size=3))
    known = tuple(sorted({*scope, *declared} - {""}))
    attributes = [
        f'xmlns{":" if prefix else ""}{prefix}="{escaped(space)}"'
        for prefix, space in declared.items()
    ]
    if not declared.get("") and draw(st.booleans()):
        attributes.append('xmlns=""')
    for number in range(draw(st.integers(0, 3))):
        prefix = draw(st.sampled_from(("", *known, "xml")))
        name = f"xml:{('lang', 'space', 'base')[number]}" if prefix == "xml" else ""
        name = name or f"{prefix}{':' if prefix else ''}k{number}"
        attributes.append(f'{name}="{escaped(draw(_TEXT))}"')
    random = Random(draw(st.integers(0, 99)))
    random.shuffle(attributes)
    prefix = "" if fixed else draw(st.sampled_from(("", *known)))
    tag = fixed or f"{prefix}{':' if prefix else ''}e{depth}"
    own = ' ID="_i"' if fixed else ""
    between = draw(st.sampled_from((" ", "\n  ", "\t")))
    inside = draw(content(depth, known))
    return f"<{between.join([tag, *attributes])}{own}>{inside}</{tag}>"


@st.composite
def documents(draw) -> bytes:
    """A document with one element to sign, somewhere in foreign surroundings."""
    signed = draw(element(1, (), fixed="signed"))
    before, after = (draw(content(2, ())) for _ in range(2))
    declared = "".join(
        f' xmlns:{prefix}="{escaped(draw(st.sampled_from(SPACES)))}"' for prefix in PREFIXES[1:]
    )
    return f"<root{declared}>{before}{signed}{after}</root>".encode()


def find(root: etree._Element) -> etree._Element:
    return next(each for each in root.iter("{*}signed"))


# --- the three implementations ------------------------------------------------------------------


@pytest.fixture(scope="module", params=KINDS)
def identity(request, issue):
    return issue(f"{request.param}.example", kind=request.param)


@pytest.fixture(scope="module")
def ec(issue):
    return issue("p-256.example", kind="p-256")


def pem(identity) -> bytes:
    return identity.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def certificate(identity) -> bytes:
    return identity.certificate.public_bytes(Encoding.PEM)


def libxmlsec_accepts(data: bytes, identity) -> bool:
    """With the key given, so that no KeyInfo decides; comments stay in the tree."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, collect_ids=False)
    root = etree.fromstring(data, parser)
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(certificate(identity), xmlsec.KeyFormat.CERT_PEM)
    context.register_id(find(root), "ID")
    try:
        context.verify(next(root.iter(SIGNATURE)))
    except xmlsec.Error:
        return False
    return True


def we_accept(data: bytes, identity):
    """The proof for the element called ``signed`` by the only signature, or ``None``."""
    try:
        root = parse(data)
        signatures, elements = list(root.iter(SIGNATURE)), list(root.iter("{*}signed"))
        if len(signatures) != 1 or len(elements) != 1:
            return None
        proof = verify(elements[0], signatures[0])
    except TrustError:
        return None
    return proof if proof.key == identity.key.public_key() else None


# Where another prefix has the namespace of signatures, lxml cannot hold ours as it was signed.
plain = documents().filter(lambda data: DS.encode() not in data)


@given(data=plain, inside=st.booleans())
@settings(COMMON, max_examples=20)
def test_libxmlsec_accepts_what_we_sign(identity, data, inside):
    root = parse(data)
    if inside:
        place = find(root)
        sign_enveloped(place, signer=identity.signer, position=len(place) // 2)
    else:
        root.append(sign_detached(find(root), signer=identity.signer, id_attribute="ID"))
    signed = serialize(root)
    assert libxmlsec_accepts(signed, identity)
    assert we_accept(signed, identity).octets == canonical(find(parse(data)))


@given(data=plain)
@settings(COMMON, max_examples=12)
def test_signxml_accepts_what_we_sign(identity, data):
    # signxml takes text after the element for a part of it, and writes ASCII into instructions.
    root = parse(canonical(find(parse(data))))
    assume(all((each.text or "").isascii() for each in root.iter(etree.PI)))
    sign_enveloped(root, signer=identity.signer, position=0)
    signed = serialize(root)
    result = signxml.XMLVerifier().verify(
        signed,
        x509_cert=identity.certificate,
        id_attribute="ID",
        expect_config=signxml.SignatureConfiguration(location=".//"),
    )
    assert canonical(result.signed_xml) == we_accept(signed, identity).octets


def methods(identity) -> list[object]:
    kind = "ECDSA" if identity.key.__class__.__name__.startswith("EC") else "RSA"
    return [getattr(xmlsec.Transform, f"{kind}_SHA{size}") for size in (256, 384, 512)]


@given(data=documents(), choice=st.data())
@settings(COMMON, max_examples=20)
def test_we_accept_what_libxmlsec_signs_in_our_profile(identity, data, choice):
    root = etree.fromstring(data)
    method = choice.draw(st.sampled_from(methods(identity)))
    digest = choice.draw(
        st.sampled_from([getattr(xmlsec.Transform, f"SHA{size}") for size in (256, 384, 512)])
    )
    prefixes = choice.draw(st.lists(st.sampled_from(("a", "b", "xs", "ds", "nobody")), max_size=3))
    signature = xmlsec.template.create(root, xmlsec.Transform.EXCL_C14N, method, ns="sig")
    place = find(root)
    place.insert(choice.draw(st.integers(0, len(place))), signature)
    reference = xmlsec.template.add_reference(signature, digest, uri="#_i")
    xmlsec.template.add_transform(reference, xmlsec.Transform.ENVELOPED)
    step = xmlsec.template.add_transform(reference, xmlsec.Transform.EXCL_C14N)
    if prefixes:
        listed = etree.SubElement(step, f"{{{EXC_C14N}}}InclusiveNamespaces")
        listed.set("PrefixList", " ".join(prefixes))
    xmlsec.template.add_x509_data(xmlsec.template.ensure_key_info(signature))
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(pem(identity), xmlsec.KeyFormat.PEM)
    context.key.load_cert_from_memory(certificate(identity), xmlsec.KeyFormat.CERT_PEM)
    context.register_id(place, "ID")
    context.sign(signature)
    signed = etree.tostring(root, encoding="utf-8")
    assert libxmlsec_accepts(signed, identity)
    assert we_accept(signed, identity) is not None


@given(data=plain)
@settings(COMMON, max_examples=12)
def test_we_accept_what_signxml_signs_in_our_profile(identity, data):
    element = find(etree.fromstring(data))
    signed = signxml.XMLSigner(
        c14n_algorithm=signxml.CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
        signature_algorithm=(
            signxml.SignatureMethod.ECDSA_SHA256
            if identity.key.__class__.__name__.startswith("EC")
            else signxml.SignatureMethod.RSA_SHA256
        ),
    ).sign(
        etree.fromstring(canonical(element)),
        key=pem(identity),
        cert=certificate(identity).decode(),
        reference_uri="_i",
    )
    written = etree.tostring(signed, encoding="utf-8")
    assert libxmlsec_accepts(written, identity)
    assert we_accept(written, identity) is not None


@given(data=plain, seed=st.integers(0, 1 << 32), inside=st.booleans())
@settings(COMMON, max_examples=120)
def test_of_tampered_documents_we_accept_nothing_that_libxmlsec_refuses(ec, data, seed, inside):
    root = parse(data)
    if inside:
        sign_enveloped(find(root), signer=ec.signer, position=0)
    else:
        root.append(sign_detached(find(root), signer=ec.signer, id_attribute="ID"))
    signed = serialize(root)
    honest = we_accept(signed, ec)
    random = Random(seed)
    tampered = mutate_xml(signed, random, lambda raw, size: random_bytes(raw, random, size))
    proof = we_accept(tampered, ec)
    if proof is None:
        return
    assert proof.octets == honest.octets
    try:
        canonical(parse(tampered))
    except TrustError:
        return  # a relative namespace beside what is signed, over which libxmlsec stumbles
    assert libxmlsec_accepts(tampered, ec)


@given(data=plain, change=st.sampled_from(("text", "attribute", "tail", "element", "order")))
@settings(COMMON, max_examples=50)
def test_no_change_of_what_is_signed_is_accepted_by_any(ec, data, change):
    root = parse(data)
    place = find(root)
    etree.SubElement(place, "one").tail = "x"
    etree.SubElement(place, "two")
    sign_enveloped(place, signer=ec.signer, position=0)
    {
        "text": lambda: setattr(place[-1], "text", "y"),
        "attribute": lambda: place[-1].set("k", "y"),
        "tail": lambda: setattr(place[-2], "tail", "y"),
        "element": lambda: place.remove(place[-1]),
        "order": lambda: place.insert(1, place[-1]),
    }[change]()
    changed = serialize(root)
    if change == "order" and len(place) == 2:
        return
    assert we_accept(changed, ec) is None
    assert not libxmlsec_accepts(changed, ec)
