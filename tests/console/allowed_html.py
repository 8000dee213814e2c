"""What a peer's document may become on a page, checked by a parser that reads as browsers do."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import html5lib

from node.console.reader.marking import finder
from node.console.reader.narrative_html import NarrativeHtml
from node.wire.reader.document import ReadableDocument
from node.wire.reader.read import read

ELEMENTS = frozenset(
    [
        "div",
        "table",
        "caption",
        "thead",
        "tbody",
        "tfoot",
        "tr",
        "th",
        "td",
        "ul",
        "ol",
        "li",
        "br",
        "strong",
        "em",
        "span",
        "sub",
        "sup",
        "del",
        "ins",
        "a",
        "img",
        "mark",
    ]
)
VALUES = {
    "class": re.compile("para|scroll|table|hidden|soft|underlined|embedded"),
    "id": re.compile(r"[nf]\d+"),
    "colspan": re.compile(r"[1-9]\d{0,2}"),
    "rowspan": re.compile(r"[1-9]\d{0,3}"),
    "scope": re.compile("col|row"),
    "href": re.compile(r"#n\d+"),
    "src": re.compile(r"/media/\d+"),
    "alt": re.compile(r"Picture \d+ of the document"),
    "role": re.compile("region"),
    "aria-label": re.compile(r"(?s)T, table \d+"),
    "tabindex": re.compile("0"),
}


def parsed(fragment: str) -> ET.Element:
    """A fragment as a browser would build it; strict: any error of nesting is an exception."""
    parser = html5lib.HTMLParser(
        html5lib.treebuilders.getTreeBuilder("etree"), strict=True, namespaceHTMLElements=False
    )
    return parser.parseFragment(fragment, container="div")


def assert_allowed(fragment: str) -> ET.Element:
    """Every element and every attribute is one of ours."""
    tree = parsed(fragment)
    for element in list(tree.iter())[1:]:
        assert element.tag in ELEMENTS, element.tag
        for name, value in element.attrib.items():
            assert name in VALUES, (element.tag, name)
            assert VALUES[name].fullmatch(value), (element.tag, name, value)
    ids = [element.attrib["id"] for element in tree.iter() if "id" in element.attrib]
    assert len(ids) == len(set(ids))
    return tree


def shown(data: bytes, term: str | None = None) -> str:
    """The HTML of all sections of a document that opens."""
    found = read(data)
    assert isinstance(found, ReadableDocument), found
    page = NarrativeHtml(finder(term), lambda number: f"/media/{number}")
    return "\n".join(
        str(page.title(section.title or "")) + str(page.section("T", section.content))
        for section in found.sections
    )
