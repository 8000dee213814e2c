"""The reader: header, sections, narrative, entries, and what is left out."""

from __future__ import annotations

import base64

import pytest

from node.wire.reader.document import (
    POINTS,
    Encounter,
    Kind,
    Mark,
    PrintedPatient,
    ReadableDocument,
    SectionState,
    Unreadable,
)
from node.wire.reader.limits import ReaderLimits
from node.wire.reader.read import read
from node.wire.reader.tree import Node, texts_of, tree
from node.wire.xml import XmlLimits

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
HEADER = """<title>Discharge  summary</title><effectiveTime value="20261119091200-0500"/>
<recordTarget><patientRole><patient><name><given>Ana</given><given>M</given><family>Lee</family>
</name><administrativeGenderCode code="F" displayName="Female"/><birthTime value="19610302"/>
</patient></patientRole></recordTarget>
<author><assignedAuthor><assignedPerson><name><prefix>Dr</prefix><family>Ode</family></name>
</assignedPerson><representedOrganization><name>Vale</name></representedOrganization>
</assignedAuthor></author>
<custodian><assignedCustodian><representedCustodianOrganization><name>Vale Hospital</name>
</representedCustodianOrganization></assignedCustodian></custodian>
<componentOf><encompassingEncounter><code displayName="Inpatient"/><effectiveTime>
<low value="20261114"/><high value="20261119"/></effectiveTime></encompassingEncounter>
</componentOf>"""


def document(*sections: str, header: str = HEADER, body: str | None = None) -> bytes:
    inner = "".join(f"<component><section>{section}</section></component>" for section in sections)
    body = body if body is not None else f"<structuredBody>{inner}</structuredBody>"
    return (
        '<ClinicalDocument xmlns="urn:hl7-org:v3"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f"{header}<component>{body}</component></ClinicalDocument>"
    ).encode()


def opened(*sections: str, **more: str) -> ReadableDocument:
    found = read(document(*sections, **more))
    assert isinstance(found, ReadableDocument)
    return found


def narrative(text: str) -> tuple[str | Node, ...]:
    return tree(opened(f"<title>T</title><text>{text}</text>").sections[0].content)


def kinds(content: tuple[str | Node, ...]) -> list[Kind]:
    found = []
    for part in content:
        if isinstance(part, Node):
            found += [part.kind, *kinds(part.children)]
    return found


def words(content: tuple[str | Node, ...]) -> str:
    return " ".join("".join(texts_of(content)).split())


def test_the_header_is_read_as_printed():
    found = opened("<title>A</title><text>x</text>")
    assert found.title == "Discharge summary"
    assert found.patients == (
        PrintedPatient(name="Ana M Lee", birth_date="19610302", sex="Female"),
    )
    assert found.authors == ("Dr Ode, Vale",)
    assert found.custodian == "Vale Hospital"
    assert found.created == "20261119141200"
    assert found.encounter == Encounter(kind="Inpatient", start="20261114", stop="20261119")


def test_a_document_that_names_nobody_or_two_people_says_whom_it_names():
    assert opened("<text>x</text>", header="").patients == ()
    two = HEADER + HEADER.replace("Lee", "Kim")
    assert [p.name for p in opened("<text>x</text>", header=two).patients] == [
        "Ana M Lee",
        "Ana M Kim",
    ]


def test_a_table_keeps_its_caption_heads_and_spans():
    content = narrative(
        "<table border='1' onmouseover='x()'><caption>Labs</caption><colgroup><col/></colgroup>"
        "<thead><tr><th colspan='2' style='x'>Test</th></tr></thead>"
        "<tbody><tr><td rowspan='3'>K</td><td colspan='999999'>3.4</td></tr></tbody>"
        "<tfoot><tr><td>end</td></tr></tfoot></table>"
    )
    (table,) = content
    assert isinstance(table, Node)
    assert [part.kind for part in table.children if isinstance(part, Node)] == [
        Kind.CAPTION,
        Kind.HEAD,
        Kind.BODY,
        Kind.FOOT,
    ]
    assert words(content) == "Labs Test K 3.4 end"
    cells = [n for n in walk(content) if n.kind in (Kind.CELL, Kind.COLUMN_HEADER)]
    assert [(c.columns, c.rows) for c in cells] == [(2, 1), (1, 3), (1, 1), (1, 1)]


def walk(content: tuple[str | Node, ...]) -> list[Node]:
    found = []
    for part in content:
        if isinstance(part, Node):
            found += [part, *walk(part.children)]
    return found


def test_text_where_none_belongs_is_kept_in_its_place():
    content = narrative("<table>a<tr>b<td>c</td>d</tr>e<thead>f</thead></table><list>g</list>")
    assert words(content) == "a b c d e f g"


def test_rows_and_cells_out_of_place_stay_apart():
    assert words(narrative("<tr><td>a</td><td>b</td></tr><item>c</item>")) == "a b c"


def test_what_stands_behind_its_place_is_put_there():
    content = narrative(
        "<linkHtml href='#r'/><table><tr ID='r'><td>a</td></tr><caption>late</caption></table>"
        "<list><item>b</item><caption>later</caption></list>"
    )
    assert words(content) == "late a later b"
    (row,) = [n for n in walk(content) if n.kind is Kind.ROW]
    cell = row.children[0]
    assert isinstance(cell, Node)
    assert cell.children == (Node(Kind.ANCHOR, (), 1), "a")


def test_header_cells_alone_name_columns_and_beside_others_their_row():
    content = narrative(
        "<table><tr><th>a</th><th/></tr><tr><th colspan='2'>b</th><td>c</td></tr>"
        "<thead><tr><th>d</th><td>e</td></tr></thead></table>"
    )
    cells = [(n.kind, n.columns) for row in walk(content) if row.kind is Kind.ROW
             for n in row.children if isinstance(n, Node)]  # fmt: skip
    assert cells == [
        (Kind.COLUMN_HEADER, 1), (Kind.CELL, 1), (Kind.ROW_HEADER, 2), (Kind.CELL, 1),
        (Kind.COLUMN_HEADER, 1), (Kind.CELL, 1),
    ]  # fmt: skip


def test_a_blank_between_words_is_kept_wherever_it_is():
    text = "<content>5</content><content> </content><content styleCode='Bold'> mg</content>"
    assert words(narrative(f"<table><tr><td>{text}</td></tr></table>")) == "5 mg"


@pytest.mark.parametrize(
    "text", ["<table><tr/><thead/></table>", "<list/>", "<footnote/>", "<br/>"]
)
def test_every_mark_that_begins_has_its_end(text: str):
    content = opened(f"<text>a{text}<table><tr><th>b</th></tr></table></text>").sections[0].content
    open_: list[Kind] = []
    for part in content:
        if isinstance(part, Mark) and part.kind not in POINTS:
            if part.begins:
                open_.append(part.kind)
            else:
                assert open_.pop() is part.kind
    assert open_ == []


def test_emphasis_is_of_a_closed_set():
    content = narrative(
        "<content styleCode='Bold xSecret'>a</content><content styleCode='BoldItalics'>b</content>"
        "<content styleCode='evil'>c</content><sub>d</sub><content revised='delete'>e</content>"
    )
    assert kinds(content) == [Kind.BOLD, Kind.ITALIC, Kind.BOLD, Kind.SUBSCRIPT, Kind.DELETED]
    assert words(content) == "abcde"


def test_lists_are_numbered_where_the_author_says_so():
    content = narrative(
        "<list listType='ordered'><caption>Plan</caption><item>one</item></list>"
        "<list><item>two<list><item>three</item></list></item></list>"
    )
    assert [k for k in kinds(content) if k in (Kind.LIST, Kind.NUMBERED, Kind.ITEM)] == [
        Kind.NUMBERED,
        Kind.ITEM,
        Kind.LIST,
        Kind.ITEM,
        Kind.LIST,
        Kind.ITEM,
    ]
    assert words(content) == "Plan one two three"


def test_a_text_without_mark_up_keeps_its_lines():
    content = narrative("\n  first line\n  second line\n")
    assert content == ("first line", Node(Kind.BREAK), "  second line")


def test_references_inside_the_document_are_resolved_and_others_only_counted():
    found = opened(
        "<text><linkHtml href='#a'>see</linkHtml> <linkHtml href='#gone'>lost</linkHtml>"
        " <linkHtml href='https://peer.example/'>out</linkHtml>"
        " <linkHtml href='javascript:alert(1)'>js</linkHtml><footnoteRef IDREF='f'/></text>",
        "<text><content ID='a'>here</content><footnote ID='f'>small</footnote></text>",
    )
    links = [n for s in found.sections for n in walk(tree(s.content)) if n.kind is Kind.LINK]
    anchors = [
        n for n in walk(tree(found.sections[1].content)) if n.kind in (Kind.ANCHOR, Kind.FOOTNOTE)
    ]
    assert [n.number for n in links] == [n.number for n in anchors]
    assert words(tree(found.sections[0].content)) == "see lost out js"
    assert found.left_out.links == 2
    assert found.left_out.unresolved == 1


def test_only_pictures_inside_the_document_are_shown():
    picture = base64.b64encode(PNG).decode()
    media = (
        "<entry><observationMedia ID='{}'><value representation='B64' mediaType='image/png'>{}"
        "</value></observationMedia></entry>"
    )
    found = opened(
        "<text><renderMultiMedia referencedObject='M1'/><renderMultiMedia referencedObject='M1'/>"
        "<renderMultiMedia referencedObject='M2'/><renderMultiMedia referencedObject='M3'/>"
        "<img src='https://peer.example/x.png'/></text>"
        + media.format("M1", picture)
        + media.format("M2", base64.b64encode(b"<svg onload='x()'/>").decode())
    )
    assert [(i.media_type, i.data) for i in found.images] == [("image/png", PNG)]
    pictures = [n.number for n in walk(tree(found.sections[0].content)) if n.kind is Kind.IMAGE]
    assert pictures == [0, 0]
    assert found.left_out.images == 3


def test_what_runs_is_left_out_with_its_text_and_foreign_words_stay():
    found = opened(
        "<text>a<script>alert(1)</script>b<style>x{}</style>c"
        "<svg xmlns='http://www.w3.org/2000/svg'><text>d</text></svg>"
        "<h:p xmlns:h='http://www.w3.org/1999/xhtml'>e</h:p><blink>f</blink></text>"
    )
    assert words(tree(found.sections[0].content)) == "abcd e f"
    assert found.left_out.active == 2
    assert found.left_out.foreign == 3


def test_characters_that_nobody_sees_are_taken_out_and_counted():
    found = opened("<text>mor\u200bphine \u202e5 mg\u2066</text>")
    assert words(tree(found.sections[0].content)) == "morphine 5 mg"
    assert found.left_out.invisible == 3


def test_comments_and_instructions_cut_no_word():
    assert words(narrative("met<!-- x -->opro<?x y?>lol <![CDATA[<b>1</b>]]>")) == (
        "metoprolol <b>1</b>"
    )


def test_an_empty_section_is_known():
    found = opened(
        "<title>Goals</title><text> </text>", "<title>None</title><text>No data</text>", ""
    )
    assert [s.state for s in found.sections] == [
        SectionState.EMPTY,
        SectionState.NARRATIVE,
        SectionState.EMPTY,
    ]
    assert [s.title for s in found.empty_sections] == ["Goals", None]


def test_entries_are_shown_where_the_author_wrote_no_text():
    entry = """<code code="10160-0"/><entry><substanceAdministration>
    <statusCode code="active"/><effectiveTime><low value="20261114"/></effectiveTime>
    <doseQuantity value="50" unit="mg"/><consumable><manufacturedProduct><manufacturedMaterial>
    <code><originalText><reference value="#m"/></originalText></code>
    </manufacturedMaterial></manufacturedProduct></consumable></substanceAdministration></entry>
    <entry><organizer><code displayName="Panel"/><component><observation>
    <code displayName="Potassium"/><effectiveTime value="202611180610"/>
    <value xsi:type="PQ" value="3.4" unit="mmol/L"/></observation></component></organizer></entry>
    <entry><act><code displayName="Smoking"/><text>x</text></act></entry>
    <entry><observation negationInd="true"><code displayName="Rash"/></observation></entry>"""
    found = opened(entry, "<text><content ID='m'>Metoprolol</content></text>")
    section = found.sections[0]
    assert section.state is SectionState.ENTRIES
    assert section.group == "medications"
    assert section.count == 4
    assert words(tree(section.content)) == (
        "What Value When State Metoprolol 50 mg 2026-11-14 to active"
        " Potassium 3.4 mmol/L 2026-11-18 06:10 UTC Smoking Rash stated as NOT so"
    )


def test_counts_are_rows_then_items_then_entries():
    table = "<text><table><thead><tr><th>h</th></tr></thead><tbody>{}</tbody></table></text>"
    inner = "<table><tr><td>3</td></tr></table><list><item>4</item></list>"
    found = opened(
        table.format(f"<tr><td>1</td></tr><tr><td>2{inner}</td></tr>"),
        "<text><list><item>1</item></list></text>",
        "<text>free</text><entry/><entry/>",
        "<text>free</text>",
    )
    assert [s.count for s in found.sections] == [2, 1, 2, None]


def test_subsections_follow_one_level_deeper():
    inner = "<component><section><title>B</title><text>b</text></section></component>"
    found = opened(f"<title>A</title>{inner}", "<title>C</title><text>c</text>")
    assert [(s.title, s.level) for s in found.sections] == [("A", 1), ("B", 2), ("C", 1)]
    assert found.sections[0].state is SectionState.NARRATIVE


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"%PDF-1.7 x", "application/pdf"),
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"{\\rtf1 x}", "text/rtf"),
        ("Grüße".encode(), "text/plain"),
        (b"\x00\x01\x02", None),
        (b"<html><script/></html>", None),
    ],
)
def test_a_body_that_is_a_file_is_known_by_its_bytes(data: bytes, kind: str | None):
    body = (
        "<nonXMLBody><text mediaType='image/svg+xml' representation='B64'>"
        f"{base64.b64encode(data).decode()}</text></nonXMLBody>"
    )
    found = opened(body=body)
    assert found.body is not None
    assert found.body.media_type == kind
    assert found.body.data == data
    assert found.custodian == "Vale Hospital"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("<nonXMLBody><text><reference value='x.pdf'/></text></nonXMLBody>", "elsewhere"),
        ("<nonXMLBody><text representation='B64'>JVB</text></nonXMLBody>", "broken"),
        ("<nonXMLBody/>", "broken"),
        ("<structuredBody/>", "missing"),
        ("", "missing"),
    ],
)
def test_a_document_without_a_body_shows_its_header_and_says_why(body: str, reason: str):
    found = opened(body=body)
    assert found.problem is not None
    assert found.problem.reason == f"document-body-{reason}"
    assert found.title == "Discharge summary"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "document-kind-unknown"),
        (b"\x00\x01", "document-kind-unknown"),
        (b"<html/>", "document-kind-unknown"),
        (b"<ClinicalDocument xmlns='urn:hl7-org:v3'>", "xml-malformed"),
        (b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>", "xml-doctype"),
    ],
)
def test_what_cannot_be_read_is_a_value_with_a_sentence(data: bytes, reason: str):
    found = read(data)
    assert isinstance(found, Unreadable)
    assert found.reason == reason
    assert found.sentence.endswith(".")


def test_a_document_that_forgot_its_namespace_opens():
    bare = document("<text>x</text>").replace(b' xmlns="urn:hl7-org:v3"', b"")
    found = read(bare)
    assert isinstance(found, ReadableDocument)
    assert found.sections[0].content == ("x",)


@pytest.mark.parametrize(
    "text",
    [
        "<content>" * 70 + "x" + "</content>" * 70,
        "<table>" + "<tr><td>x</td></tr>" * 2000 + "</table>",
        "<br/>" * 3000,
    ],
)
def test_a_section_past_a_limit_is_not_shown_and_the_others_are(text: str):
    limits = ReaderLimits(nodes=2_000)
    found = read(document(f"<text>{text}</text>", "<text>small</text>"), limits=limits)
    assert isinstance(found, ReadableDocument)
    assert [s.state for s in found.sections] == [SectionState.TOO_LARGE, SectionState.NARRATIVE]
    assert found.sections[0].content == ()
    assert found.left_out.large == 1
    assert found.content_hash is None


def test_sections_past_a_limit_are_counted():
    limits = ReaderLimits(sections=2)
    found = read(document(*["<text>x</text>"] * 5), limits=limits)
    assert isinstance(found, ReadableDocument)
    assert (len(found.sections), found.left_out.large) == (2, 3)


def test_a_document_past_the_parsers_limit_says_so():
    limits = ReaderLimits(xml=XmlLimits(max_bytes=100))
    found = read(document("<text>x</text>"), limits=limits)
    assert isinstance(found, Unreadable)
    assert found.reason == "xml-limit"


def test_the_same_words_have_the_same_hash_whatever_the_mark_up_and_the_header():
    long = "word " * 60
    one = opened(f"<title>A</title><text><paragraph>{long}</paragraph></text>")
    other = opened(f"<title>A</title><text><list><item>{long}</item></list></text>", header="")
    different = opened(f"<title>A</title><text>{long} not</text>")
    assert one.content_hash == other.content_hash
    assert one.content_hash != different.content_hash
    assert opened("<title>A</title><text>None known</text>").content_hash is None
