"""Changes to XML as an attacker would make them: whole elements, ids, signatures, not single bytes.

``mutate_xml`` parses, changes the tree a few times and writes it again; now and then it leaves the
bytes to libFuzzer. An attacker has keys of his own, so one change signs the document anew with a
key that everybody can derive: it gets past the signature, to what reads the signed content.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from random import Random

from cryptography.hazmat.primitives.asymmetric import ec
from lxml import etree

from tests.fuzz.target import NOW, MutateBytes, originals
from trust.ca import Profile, create_ca, issue
from trust.csr import RequestedNames, build_csr
from trust.errors import TrustError
from trust.signer import KeySigner
from trust.xml_names import DS, ENVELOPED, EXC_C14N, SAML, WSSE, WSU, WSU_ID
from trust.xmldsig import sign_detached, sign_enveloped

Element = etree._Element
Change = Callable[[Element, Random], None]

D, S = f"{{{DS}}}", f"{{{SAML}}}"
XML_ID = "{http://www.w3.org/XML/1998/namespace}id"
ID_NAMES = ("ID", "Id", "id", "AssertionID", WSU_ID, XML_ID)
URIS = (
    EXC_C14N,
    f"{EXC_C14N}WithComments",
    ENVELOPED,
    "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
    "http://www.w3.org/2006/12/xml-c14n11",
    "http://www.w3.org/TR/1999/REC-xslt-19991116",
    "http://www.w3.org/TR/1999/REC-xpath-19991116",
    "http://www.w3.org/2002/06/xmldsig-filter2",
    "http://www.w3.org/2000/09/xmldsig#base64",
    "http://www.w3.org/2000/09/xmldsig#hmac-sha1",
    "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256",
    "http://www.w3.org/2000/09/xmldsig#rsa-sha1",
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
    "http://www.w3.org/2000/09/xmldsig#sha1",
    "http://www.w3.org/2001/04/xmlenc#sha256",
)
TEXTS = ("", " ", "evil", "A" * 300, "\u00e9\u0130", "&<>\"'", "2026-11-23T12:00:00Z", "-1", "#_i")
PARSER = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, recover=True)


def mutate_xml(data: bytes, random: Random, byte_mutate: MutateBytes, size: int = 1 << 16) -> bytes:
    """The document with one to four changes."""
    if random.random() < 0.15:
        return byte_mutate(data, size)
    try:
        root = etree.fromstring(data, PARSER)
    except (etree.XMLSyntaxError, ValueError):
        root = None
    if root is None:
        return byte_mutate(data, size) if random.random() < 0.5 else _any_original(random)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        try:
            random.choice(CHANGES)(root, random)
        except (ValueError, TypeError, TrustError):
            continue  # the change does not fit the tree
    return _written(root, random)


def _written(root: Element, random: Random) -> bytes:
    chance = random.random()
    if chance < 0.9:
        return etree.tostring(root)
    text = etree.tostring(root, encoding="unicode")
    encoding = random.choice(("utf-16", "utf-16-le", "iso-8859-1", "utf-7", "utf-8-sig", "utf-32"))
    declared = random.choice((encoding, "utf-8", "UTF-16", "ebcdic"))
    head = f'<?xml version="1.0" encoding="{declared}"?>' if random.random() < 0.5 else ""
    if random.random() < 0.4:
        head += random.choice(
            (
                '<!DOCTYPE r [<!ENTITY e "x">]>',
                '<!DOCTYPE r SYSTEM "file:///dev/null">',
                "<!DOCTYPE r [<!ATTLIST a ID ID #IMPLIED>]>",
                "<!--<!DOCTYPE r>--><!DOCTYPE r>",
            )
        )
    return (head + text).encode(encoding, "xmlcharrefreplace")


def _any_original(random: Random) -> bytes:
    return random.choice(originals("s*.xml"))


def _elements(root: Element) -> list[Element]:
    return [each for each in root.iter() if isinstance(each.tag, str)]


def _one(root: Element, random: Random) -> Element:
    return random.choice(_elements(root))


def _named(root: Element, random: Random, *tags: str) -> Element:
    return random.choice(list(root.iter(*tags)) or [root])


def _put(place: Element, what: Element, random: Random) -> None:
    place.insert(random.randrange(len(place) + 1), what)


def duplicate(root: Element, random: Random) -> None:
    """The same element, id and all, at another place."""
    _put(_one(root, random), copy.deepcopy(_one(root, random)), random)


def move(root: Element, random: Random) -> None:
    """An element moves; below itself it cannot."""
    what, place = _one(root, random), _one(root, random)
    if what is not root and what not in (place, *place.iterancestors()):
        _put(place, what, random)


def move_signature(root: Element, random: Random) -> None:
    """A signature moves to another element."""
    what, place = _named(root, random, f"{D}Signature"), _one(root, random)
    if what is not root and what not in (place, *place.iterancestors()):
        _put(place, what, random)


def wrap(root: Element, random: Random) -> None:
    """An element gets a forged copy of itself around it (XSW)."""
    what = _named(root, random, f"{S}Assertion", f"{{{WSU}}}Timestamp", "{u:r}a")
    parent = what.getparent()
    if parent is None:
        return
    evil = copy.deepcopy(what)
    signature = evil.find(f"{D}Signature")
    if signature is not None and random.random() < 0.7:
        evil.remove(signature)
    for name in ID_NAMES:
        if evil.get(name) and random.random() < 0.5:
            evil.set(name, "_evil")
    change_text(evil, random)
    parent.replace(what, evil)
    hiding = [evil, *_elements(evil), parent, root]
    place = random.choice(hiding)
    if random.random() < 0.3:
        place = etree.SubElement(place, f"{D}Object")
    _put(place, what, random)


def delete(root: Element, random: Random) -> None:
    """An element goes, what follows it stays."""
    what = _one(root, random)
    parent = what.getparent()
    if parent is not None:
        parent.remove(what)


def change_text(root: Element, random: Random) -> None:
    """Other text in an element or after it."""
    what = _one(root, random)
    if random.random() < 0.8:
        what.text = random.choice(TEXTS)
    elif what is not root:
        what.tail = random.choice(TEXTS)


def cut_text(root: Element, random: Random) -> None:
    """A comment or a processing instruction in the middle of a text."""
    what = random.choice([each for each in _elements(root) if each.text] or [root])
    text = what.text or ""
    place = random.randrange(len(text) + 1)
    cut = etree.Comment("c") if random.random() < 0.6 else etree.ProcessingInstruction("p", "i")
    what.insert(0, cut)
    what.text, cut.tail = text[:place], text[place:]


def set_id(root: Element, random: Random) -> None:
    """An element gets an id that another one has, by any of the names of ids."""
    ids = [value for each in root.iter() for n in ID_NAMES if (value := each.get(n))] or ["_i"]
    _one(root, random).set(random.choice(ID_NAMES), random.choice(ids))


def rename_id(root: Element, random: Random) -> None:
    """An id under another name."""
    what = random.choice([e for e in _elements(root) if any(map(e.get, ID_NAMES))] or [root])
    for name in ID_NAMES:
        if value := what.attrib.pop(name, None):
            what.set(random.choice(ID_NAMES), value)
            return


def change_attribute(root: Element, random: Random) -> None:
    """Another value for an attribute."""
    what = random.choice([each for each in _elements(root) if each.attrib] or [root])
    name = random.choice(sorted(what.attrib) or ["x"])
    what.set(name, random.choice((*URIS, *TEXTS, what.get(name, "") + "x")))


def change_algorithm(root: Element, random: Random) -> None:
    """Another algorithm for a method, digest or transform."""
    found = [each for each in _elements(root) if each.get("Algorithm")]
    random.choice(found or [root]).set("Algorithm", random.choice(URIS))


def add_transform(root: Element, random: Random) -> None:
    """One transform more, perhaps with content."""
    place = _named(root, random, f"{D}Transforms")
    step = etree.Element(f"{D}Transform", Algorithm=random.choice(URIS))
    if random.random() < 0.4:
        step.append(
            etree.Element(f"{{{EXC_C14N}}}InclusiveNamespaces", PrefixList="ds xs #default")
        )
    _put(place, step, random)


def add_prefixes(root: Element, random: Random) -> None:
    """A prefix list for a canonical form, with or without a meaning."""
    step = _named(root, random, f"{D}Transform", f"{D}CanonicalizationMethod")
    lists = ("ds", "xs xsi", "w x", "#default", "x x x", "", "nobody", "p " * 40)
    listed = etree.Element(f"{{{EXC_C14N}}}InclusiveNamespaces", PrefixList=random.choice(lists))
    step[:] = [listed]


def change_reference(root: Element, random: Random) -> None:
    """A reference to something else."""
    uris = ("", "#", "#_a1", "#_t1", "#_i", "#_evil", "#xpointer(/)", "http://127.0.0.1:9/", "#a b")
    _named(root, random, f"{D}Reference").set("URI", random.choice(uris))


def rename(root: Element, random: Random) -> None:
    """An element under another name or in another namespace."""
    what, model = _one(root, random), _one(root, random)
    local = etree.QName(random.choice((what, model))).localname
    space = random.choice((None, DS, SAML, WSSE, WSU, "u:r", "relative", "urn:hl7-org:v3"))
    what.tag = f"{{{space}}}{local}" if space else local


def redeclare(root: Element, random: Random) -> None:
    """An element whose prefixes mean something else."""
    what = _one(root, random)
    prefix = random.choice(("ds", "saml2", "x", "w", "wsu", None))
    spaces = {prefix: random.choice((DS, "u:x", "u:x?a&lt;b", "u:x&y", SAML))}
    new = etree.Element(what.tag, attrib=dict(what.attrib), nsmap=spaces)
    new.text, new.tail = what.text, what.tail
    new.extend(list(what))
    parent = what.getparent()
    if parent is not None:
        parent.replace(what, new)


def splice(root: Element, random: Random) -> None:
    """An element of another original."""
    other = etree.fromstring(_any_original(random), PARSER)
    _put(_one(root, random), _one(other, random), random)


def nest(root: Element, random: Random) -> None:
    """Depth."""
    place = _one(root, random)
    for _ in range(random.choice((3, 30, 250))):
        place = etree.SubElement(place, "n")


def widen(root: Element, random: Random) -> None:
    """Width."""
    place = _one(root, random)
    for number in range(random.choice((3, 30, 300))):
        place.set(f"w{number}", "1")


def sign_again(root: Element, random: Random) -> None:
    """The attacker signs what stands there with a key of his own."""
    for element in root.iter(f"{S}Assertion", "{u:r}a"):
        for old in element.findall(f"{D}Signature"):
            element.remove(old)
        if element.get("ID"):
            sign_enveloped(element, signer=attacker(), position=min(1, len(element)))
            break
    stamp = next(root.iter(f"{{{WSU}}}Timestamp"), None)
    if stamp is None or stamp.getparent() is None or random.random() < 0.1:
        return
    security = stamp.getparent()
    new = sign_detached(stamp, signer=attacker(), id_attribute=WSU_ID)
    old = security.find(f"{D}Signature")
    if old is None:
        security.append(new)
    elif random.random() < 0.5 and old.find(f"{D}KeyInfo") is not None:
        new.replace(new[2], old.find(f"{D}KeyInfo"))
        security.replace(old, new)
    else:
        security.replace(old, new)


def hold_key(root: Element, random: Random) -> None:
    """The attacker's key as the holder-of-key key, then signed by it."""
    for data in root.iter(f"{S}SubjectConfirmationData"):
        own = sign_detached(root, signer=attacker(), id_attribute="k") if root.get("k") else None
        if own is None:
            root.set("k", "_k")
            own = sign_detached(root, signer=attacker(), id_attribute="k")
        del root.attrib["k"]
        data[:] = [own[2]]
        break
    sign_again(root, random)


@cache
def attacker() -> KeySigner:
    """A key that nobody needs to keep secret: the number 4711 on P-256."""
    key = ec.derive_private_key(4711, ec.SECP256R1())
    ca = create_ca("Evil Root", now=NOW, key=key)
    names = RequestedNames(common_name="evil.example", dns_names=("evil.example",))
    request = build_csr(key, names, usages=Profile.TLS.usages)
    return KeySigner(key=key, certificate=issue(ca, request, profile=Profile.TLS, now=NOW))


CHANGES: tuple[Change, ...] = (
    duplicate,
    move,
    move_signature,
    wrap,
    wrap,
    delete,
    change_text,
    change_text,
    cut_text,
    set_id,
    rename_id,
    change_attribute,
    change_attribute,
    change_algorithm,
    add_transform,
    add_prefixes,
    change_reference,
    rename,
    redeclare,
    splice,
    nest,
    widen,
    sign_again,
    sign_again,
    hold_key,
)
