"""The hardened parser: what it refuses, what it reads, and its canonical bytes."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trust.errors import TrustError
from trust.xml import XmlLimits, canonical, parse, serialize, text

DOCTYPES = [
    b"<!DOCTYPE a><a/>",
    b'<?xml version="1.0"?>\n<!-- hi --><?pi x?>\n<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
    b'\xef\xbb\xbf<!DOCTYPE a SYSTEM "file:///nowhere"><a/>',
    "<!DOCTYPE a><a/>".encode("utf-16"),
    "<!DOCTYPE a><a/>".encode("utf-16-le"),
    "<!DOCTYPE a><a/>".encode("utf-16-be"),
    b'<?xml version="1.0" encoding="iso-8859-1"?><!DOCTYPE a><a/>',
    b"<!-- <!DOCTYPE no> --><!DOCTYPE a><a/>",
]

MALFORMED = [
    b"",
    b"   ",
    b"text",
    b"<a>",
    b"<a><b></a>",
    b'<a x="1" x="2"/>',
    b"<a>\x00</a>",
    b"<a>\x01</a>",
    b"<a>&#0;</a>",
    b"<a>&#xFFFE;</a>",
    b"<a>&nbsp;</a>",
    b"<a>\xc0\x80</a>",
    b"<a>\xff</a>",
    b"<p:a/>",
    b"<a/><b/>",
    b"<a/><!DOCTYPE a>",
    b'<?xml version="1.0" encoding="UTF-7"?>+ADw-a/+AD4-',
    b'<?xml version="1.0" encoding="UTF-16"?><a/>',
    b'<?xml version="1.0" encoding="no-such"?><a/>',
    b'<?xml version="1.0" encoding="us-ascii"?><a>\xe9</a>',
    b"\xff\xfe<",
    "<a/>".encode("utf-32"),
    "<a/>".encode("utf-32-le"),
    "<a/>".encode("cp037"),
]


@pytest.mark.parametrize("data", DOCTYPES)
def test_any_document_type_is_refused(data):
    with pytest.raises(TrustError) as error:
        parse(data)
    assert error.value.code == "xml-doctype"


@pytest.mark.parametrize("data", MALFORMED)
def test_malformed_xml_is_refused(data):
    with pytest.raises(TrustError) as error:
        parse(data)
    assert error.value.code == "xml-malformed"


def test_error_texts_do_not_quote_the_document():
    with pytest.raises(TrustError) as error:
        parse(b"<Doe-John><b></Doe-John>")
    shown = f"{error.value} {error.value.detail} {error.value.where}"
    assert "Doe" not in shown


@pytest.mark.parametrize(
    ("data", "limits"),
    [
        (b"<a>12345678</a>", XmlLimits(max_bytes=8)),
        ("<a>éééé</a>".encode("utf-16"), XmlLimits(max_bytes=14)),
        (b"<a><b><c/></b></a>", XmlLimits(max_depth=2)),
        (b"<a><b/><b/></a>", XmlLimits(max_elements=2)),
        (b'<a x="1" y="2"/>', XmlLimits(max_element_attributes=1)),
        (b'<a x="1"><b x="1"/></a>', XmlLimits(max_attributes=1)),
        (b'<a xmlns="u:1"><b xmlns="u:2"/></a>', XmlLimits(max_namespaces=1)),
        (b"<a>" * 100_000, XmlLimits()),
        (b"<a>" + b"x" * 10_000_001 + b"</a>", XmlLimits()),
    ],
)
def test_every_limit_is_a_clear_error(data, limits):
    with pytest.raises(TrustError) as error:
        parse(data, limits=limits)
    assert error.value.code == "xml-limit"


@pytest.mark.parametrize(
    ("data", "limits"),
    [
        (b"<a><b/></a>", XmlLimits(max_depth=2, max_elements=2, max_bytes=11)),
        (b'<a x="1"><b y="2"/></a>', XmlLimits(max_element_attributes=1, max_attributes=2)),
    ],
)
def test_limits_are_inclusive(data, limits):
    assert parse(data, limits=limits).tag == "a"


@pytest.mark.parametrize(
    "data",
    [
        *DOCTYPES,
        b"<a>" + b"<b/>" * 1_000_001 + b"</a>",
        b"<a>" + b"<b x='1'/>" * 1_000_001 + b"</a>",
        b"<a>" + b"<b xmlns='u:1'/>" * 50_001 + b"</a>",
        b"<a>" + b" " * (64 << 20) + b"</a>",
    ],
    ids=lambda data: str(len(data)),
)
def test_bombs_never_reach_the_parser(monkeypatch, data):
    """Law 7: refused by reading the prolog and counting bytes, before a tree is built."""

    def parser_was_reached(*_):
        pytest.fail("the parser was reached")

    monkeypatch.setattr("trust.xml._parser", parser_was_reached)
    with pytest.raises(TrustError) as error:
        parse(data)
    assert error.value.code in ("xml-doctype", "xml-limit")


@pytest.mark.parametrize(
    "data",
    [
        "<?xml version='1.0' encoding='UTF-16'?><a>é</a>".encode("utf-16"),
        b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xe9</a>",
        b"<?xml version='1.0' encoding='windows-1252'?><a>\xe9</a>",
        b"\xef\xbb\xbf<a>\xc3\xa9</a>",
        b"<?xml version='1.0' encoding='utf-8'?><a>\xc3\xa9</a>",
    ],
)
def test_known_encodings_are_read(data):
    assert text(parse(data)) == "é"


def test_a_doctype_in_cdata_or_a_comment_is_text():
    root = parse(b"<!-- <!DOCTYPE x> --><a><![CDATA[<!DOCTYPE y>]]></a>")
    assert text(root) == "<!DOCTYPE y>"


def test_a_comment_cannot_cut_a_value():
    root = parse(b"<a>admin@example.org<!-- -->.attacker.example</a>")
    assert root.text == "admin@example.org.attacker.example"
    assert b"<!--" not in serialize(root)


def test_a_processing_instruction_cannot_cut_a_value():
    assert text(parse(b"<a>admin<?x y?>.example</a>")) == "admin.example"


def test_canonical_is_exclusive_and_without_surroundings():
    root = parse(b'<r xmlns="u:r" xmlns:p="u:p" xmlns:q="u:q"><p:a z="1" b="2"/>tail</r>')
    assert canonical(root[0]) == b'<p:a xmlns:p="u:p" b="2" z="1"></p:a>'
    assert canonical(root[0], ("q",)) == (b'<p:a xmlns:p="u:p" xmlns:q="u:q" b="2" z="1"></p:a>')


def test_the_default_prefix_is_refused_where_lxml_would_drop_it():
    with pytest.raises(TrustError):
        canonical(parse(b"<a/>"), ("#default",))


def test_a_relative_namespace_has_no_canonical_form():
    with pytest.raises(TrustError) as error:
        canonical(parse(b'<a xmlns="relative"/>'))
    assert error.value.code == "xml-malformed"


@pytest.mark.parametrize(
    "start",
    [
        '<a xmlns="u:x?a=1&amp;b=2"/>',
        '<p:a xmlns:p="u:x?&amp;lt;"/>',
        '<a xmlns="u:1" xmlns:p="u:x&amp;y"><p:b/></a>',
        '<a k="&amp;"><b><p:c xmlns:p="u:x&#38;y" p:k="1"/></b></a>',
    ],
)
def test_an_ampersand_in_a_namespace_has_no_canonical_form(start):
    """Found by comparing with signxml: libxml2 does not escape it, so the octets are no XML."""
    with pytest.raises(TrustError) as error:
        canonical(parse(start.encode()))
    assert error.value.code == "xml-malformed"


@pytest.mark.parametrize(
    "data",
    [
        b'<a>&lt;p:a xmlns:p="u:x&amp;y"&gt; &amp;</a>',
        b'<a k="&lt;a xmlns=&quot;&amp;&quot;&gt;">&amp;</a>',
        b'<a xmlns="u:1" k="x=&amp;"/>',
    ],
)
def test_ampersands_elsewhere_have_their_canonical_form(data):
    octets = canonical(parse(data))
    assert canonical(parse(octets)) == octets


def test_serialize_carries_the_namespaces_it_stands_in():
    root = parse(b'<r xmlns:x="u:x"><a t="x:y"/>tail</r>')
    assert serialize(root[0]) == b'<a xmlns:x="u:x" t="x:y"/>'


def test_canonical_octets_parse_to_the_same_canonical_octets():
    root = parse("<a xmlns='u:a' b='&lt;&#10;é'><c>&#13;x ]]&gt;</c><?p i?></a>".encode())
    octets = canonical(root)
    assert canonical(parse(octets)) == octets


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_random_bytes_never_crash_the_parser(data):
    codes = set()
    try:
        parse(data)
    except TrustError as error:
        codes.add(error.code)
    assert codes <= {"xml-malformed", "xml-doctype", "xml-limit"}


@given(st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="￾￿")))
@settings(deadline=None)
def test_text_survives_a_round_trip(value):
    root = parse(b"<a/>")
    root.text = value
    again = parse(canonical(root))
    assert (again.text or "") == value


ATTACKS = {
    "billion_laughs.xml": "xml-doctype",
    "cdata_script_narrative.xml": None,
    "comment_in_nameid.xml": None,
    "deep_nesting_100k.xml.gz": "xml-limit",
    "defusedxml__dtd_element.xml": "xml-doctype",
    "duplicate_attribute.xml": "xml-malformed",
    "external_dtd.xml": "xml-doctype",
    "many_attributes_50k.xml.gz": "xml-limit",
    "mtom_missing_part.txt": "xml-malformed",
    "nul_and_control_chars.xml": "xml-malformed",
    "pi_stylesheet_remote.xml": None,
    "soap_with_doctype.xml": "xml-doctype",
    "truncated.xml": "xml-malformed",
    "utf7_declared.xml": "xml-malformed",
    "xxe_file_etc_passwd.xml": "xml-doctype",
    "xxe_http_ssrf_loopback.xml": "xml-doctype",
}


@pytest.mark.shared
def test_every_attack_file_is_listed(shared_data: Path):
    found = {path.name for path in (shared_data / "xml-attacks").iterdir()}
    assert found == set(ATTACKS)


@pytest.mark.shared
@pytest.mark.parametrize("name", ATTACKS)
def test_attack_files(shared_data: Path, name: str):
    data = (shared_data / "xml-attacks" / name).read_bytes()
    if name.endswith(".gz"):
        data = gzip.decompress(data)
    if ATTACKS[name] is None:
        assert parse(data) is not None
        return
    with pytest.raises(TrustError) as error:
        parse(data)
    assert error.value.code == ATTACKS[name]
