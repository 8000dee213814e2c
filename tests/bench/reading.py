"""What it costs to read a peer's document and to write its page, beside parsing its XML alone.

Two documents of two megabytes each: as senders write them (a fifth of the bytes is narrative, as in
the vendors' documents of the shared data), and one that is all narrative, the worst that can be.
The floor is lxml's parser in the same turns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from lxml import etree

from node.console.reader.document_pdf import to_pdf
from node.console.reader.marking import finder
from node.console.reader.narrative_html import NarrativeHtml
from node.console.reader.provenance import Provenance
from node.console.reader.view import document_view
from node.wire.reader.document import ReadableDocument
from node.wire.reader.read import read
from tests.bench.row import Row, Sizes, alternately, compared

_BYTES = 2_000_000
_TARGET_MS = 500.0
_ROWS = 40
_ENTRIES = 60
_UNIT = "ms CPU"


def reading_rows(sizes: Sizes) -> Iterator[Row]:
    """Bytes to HTML, and bytes to PDF."""
    for name, entry in (("as sent", _ENTRY * _ENTRIES), ("all narrative", "")):
        data = _document(entry)
        ways: list[Callable[[bytes], object]] = [etree.fromstring, _page]
        sides = [lambda way=way, data=data: _cost(way, data) for way in ways]
        alternately(sides, 1)
        floors, costs = alternately(sides, sizes.rounds)
        whole = f"C-CDA of {len(data) / 1e6:.1f} MB to a page, {name}"
        row = compared(whole, _UNIT, costs, floors)
        yield row
        yield Row(name=f"{whole}, CPU", value=row.value, unit=_UNIT, target=_TARGET_MS)
    small = _document(_ENTRY * _ENTRIES, size=100_000)
    yield Row(name="C-CDA of 0.1 MB to PDF", value=_cost(_pdf, small), unit=_UNIT)


def _cost(way: Callable[[bytes], object], data: bytes) -> float:
    began = time.process_time()
    way(data)
    return (time.process_time() - began) * 1e3


def _readable(data: bytes) -> ReadableDocument:
    found = read(data)
    if not isinstance(found, ReadableDocument) or found.left_out.large:
        raise RuntimeError("the document cannot be read")
    return found


def _page(data: bytes) -> object:
    writer = NarrativeHtml(finder("metoprolol"), lambda number: f"/pictures/{number}")
    return document_view(_readable(data), writer, with_empty=False)


def _pdf(data: bytes) -> object:
    origin = Provenance(
        organization="Bench", home="2.999", authors=(), custodian=None, created="", visit="",
        fetched="now", zone="UTC", sha256="", patients=(), printed_by="", node="",
    )  # fmt: skip
    return to_pdf(_readable(data), "Bench", origin, made=datetime.now(UTC))


_ENTRY = (
    '<entry typeCode="DRIV"><substanceAdministration classCode="SBADM" moodCode="EVN">'
    '<templateId root="2.16.840.1.113883.10.20.22.4.16" extension="2014-06-09"/>'
    '<id root="cdbd33f0-6cde-11db-9fe1-0800200c9a66"/><text><reference value="#m1"/></text>'
    '<statusCode code="active"/><effectiveTime><low value="20261114"/></effectiveTime>'
    '<routeCode code="C38288" codeSystem="2.16.840.1.113883.3.26.1.1" displayName="ORAL"/>'
    '<doseQuantity value="50" unit="mg"/><consumable><manufacturedProduct><manufacturedMaterial>'
    '<code code="866436" codeSystem="2.16.840.1.113883.6.88" displayName="Metoprolol"/>'
    "</manufacturedMaterial></manufacturedProduct></consumable></substanceAdministration></entry>"
)


def _document(entry: str, size: int = _BYTES) -> bytes:
    row = (
        "<tr><td><content ID='m{n}'>Metoprolol succinate 50 mg</content></td><td>once daily</td>"
        "<td>14 Nov 2026</td><td styleCode='Bold'>active</td><td>µg and °C</td></tr>"
    )
    rows = "".join(row.format(n=n) for n in range(_ROWS))
    section = (
        "<component><section><code code='10160-0'/><title>Medications</title><text><table><thead>"
        "<tr><th>What</th><th>How</th><th>Since</th><th>State</th><th>Units</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></text>{entry}</section></component>"
    )
    count = max(size // len(section.encode()), 1)
    return (
        '<ClinicalDocument xmlns="urn:hl7-org:v3"><component><structuredBody>'
        f"{section * count}</structuredBody></component></ClinicalDocument>"
    ).encode()
