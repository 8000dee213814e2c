"""FHIR JSON → what can be shown of it: a document with its narrative, else a plain listing.

A ``document`` Bundle is read like a C-CDA: the sections of its Composition, each with the author's
narrative in the same closed form, or our table of its entries where the author wrote none. Any
other Bundle or resource is listed by type. Pure; never raises for what a peer sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from lxml import etree

from node.wire.reader import section_groups
from node.wire.reader.characters import seen
from node.wire.reader.content import content_hash, says_anything
from node.wire.reader.document import (
    Content,
    Encounter,
    PrintedPatient,
    ReadableDocument,
    Section,
    SectionState,
    Unreadable,
)
from node.wire.reader.fhir_listing import rows_of, sections_of, table
from node.wire.reader.fhir_words import Json, Words
from node.wire.reader.limits import ReaderLimits, Tally, TooLarge
from node.wire.reader.narrative import Narrative
from node.wire.reader.xhtml import NAMESPACE, element_of
from node.wire.timestamps import parse_date, parse_time

_MOST_TITLE: Final = 300


def is_fhir(data: bytes) -> bool:
    """Whether a file may be FHIR JSON, by its beginning."""
    head = data[:1024].removeprefix(b"\xef\xbb\xbf").lstrip()
    return head.startswith(b"{") and b'"resourceType"' in data


def read_fhir(data: bytes, limits: ReaderLimits) -> ReadableDocument | Unreadable | None:
    """What can be shown of a resource; ``None`` where it is no FHIR."""
    if len(data) > limits.body_bytes:
        return Unreadable(
            reason="document-too-large", sentence="The document is too large for the reader."
        )
    try:
        # the digits of a number are the author's: 1.00 is not 1.0
        root = json.loads(data, parse_float=str, parse_int=str)
    except (ValueError, RecursionError):
        return None
    if not isinstance(root, dict) or not _is_type(root.get("resourceType")):
        return None
    return read_resource(root, limits)


def read_resource(root: Json, limits: ReaderLimits) -> ReadableDocument | Unreadable:
    """What can be shown of a resource; its numbers are texts."""
    return _Reading(root, limits).document()


class _Reading:
    """One resource while it is read."""

    def __init__(self, root: Json, limits: ReaderLimits) -> None:
        self._root = root
        self._limits = limits
        self._tally = Tally(limits=limits)
        self._resources: list[Json] = []
        self._by_name: dict[str, Json] = {}
        self._take(root)
        self._words = Words(self._called, self._count_unseen)
        self._sections: list[Section] = []

    def document(self) -> ReadableDocument:
        """All that can be shown."""
        first = self._resources[0] if self._resources else {}
        is_document = self._root.get("type") == "document"
        composition = first if is_document and first.get("resourceType") == "Composition" else {}
        if composition:
            self._composed(composition)
        else:
            self._listed()
        people = self._people(composition)
        problem = None
        if not self._sections:
            problem = Unreadable(
                reason="document-body-missing", sentence="There is nothing in the document."
            )
        author = composition.get("author") or self._root.get("author")
        title = composition.get("title") or self._words.of(composition, "type")
        return ReadableDocument(
            title=_short(title) or self._title(),
            patients=tuple(dict.fromkeys(_printed(each, self._words) for each in people)),
            authors=tuple(name for each in _list(author) if (name := self._words.words(each, 0))),
            custodian=self._words.of(composition, "custodian") or None,
            created=_time(composition.get("date") or self._root.get("timestamp")),
            encounter=self._encounter(composition),
            sections=tuple(self._sections),
            problem=problem,
            left_out=self._tally.left_out(),
            content_hash=content_hash(self._sections, None),
        )

    # --- what there is ------------------------------------------------------------------------

    def _take(self, root: Json) -> None:
        """The resources of a bundle, or the one; each by the names that refer to it."""
        if root.get("resourceType") != "Bundle":
            self._resources = [root]
        for entry in _list(root.get("entry")) if root.get("resourceType") == "Bundle" else ():
            resource = entry.get("resource") if isinstance(entry, Mapping) else None
            if isinstance(resource, Mapping) and _is_type(resource.get("resourceType")):
                self._resources.append(resource)
                if isinstance(entry.get("fullUrl"), str):
                    self._by_name.setdefault(entry["fullUrl"], resource)
        for resource in self._resources:
            self._by_name.setdefault(f"{resource['resourceType']}/{resource.get('id')}", resource)

    def _find(self, reference: object) -> Json | None:
        text = reference if isinstance(reference, str) else ""
        found = self._by_name.get(text)
        if found is None and text.startswith("http"):
            found = self._by_name.get("/".join(text.split("/")[-2:]))
        return found

    def _called(self, reference: str) -> str | None:
        """What the resource that a reference names is called."""
        found = self._find(reference)
        if found is None:
            return None
        names = ("name", "code", "title", "type", "practitioner", "description")
        # a name refers to nothing: no circle
        return Words(lambda _: None, self._count_unseen).first(found, names) or None

    def _count_unseen(self, number: int) -> None:
        self._tally.invisible += number

    def _people(self, composition: Json) -> list[Json]:
        subject = self._find(_reference(composition.get("subject")))
        if subject is not None and subject.get("resourceType") == "Patient":
            return [subject]
        return [each for each in self._resources if each["resourceType"] == "Patient"]

    def _title(self) -> str | None:
        """Of what is no document: what it is."""
        if self._root.get("resourceType") == "Bundle":
            return f"Collection of {len(self._resources)} resources"
        return self._sections[0].title if self._sections else None

    def _encounter(self, composition: Json) -> Encounter | None:
        found = self._find(_reference(composition.get("encounter")))
        if found is None:
            return None
        period = found.get("period")
        spans: Json = period if isinstance(period, Mapping) else {}
        return Encounter(
            kind=self._words.first(found, ("type", "class")) or None,
            place=self._words.of(found, "serviceProvider") or None,
            start=_time(spans.get("start")),
            stop=_time(spans.get("end")),
        )

    # --- sections -----------------------------------------------------------------------------

    def _listed(self) -> None:
        if self._root.get("resourceType") != "Bundle":
            narrative = self._section({"title": "Text", "text": self._root.get("text")}, 1)
            if narrative.state is SectionState.NARRATIVE:
                self._sections.append(narrative)
        self._sections += sections_of(self._resources, self._words, self._tally)

    def _composed(self, composition: Json) -> None:
        self._components(composition, 1)
        if not self._sections:
            whole = {"title": composition.get("title"), "text": composition.get("text")}
            self._sections.append(self._section(whole, 1))

    def _components(self, parent: Json, level: int) -> None:
        for section in _list(parent.get("section")):
            if not isinstance(section, Mapping):
                continue
            if len(self._sections) >= self._limits.sections or level > self._limits.section_depth:
                self._tally.large += 1
                continue
            self._sections.append(self._section(section, level))
            self._components(section, level + 1)

    def _section(self, section: Json, level: int) -> Section:
        codings = _list(_object(section.get("code")).get("coding"))
        coded = _object(codings[0] if codings else None).get("code")
        state, content, count = self._content(section)
        if state is SectionState.EMPTY and section.get("section"):
            state = SectionState.NARRATIVE  # a heading above its subsections
        title = section.get("title") or self._words.of(section, "code")
        return Section(
            title=_short(title),
            code=coded if isinstance(coded, str) else None,
            group=section_groups.group_of(coded if isinstance(coded, str) else None),
            level=level,
            count=count,
            state=state,
            content=content,
        )

    def _content(self, section: Json) -> tuple[SectionState, tuple[Content, ...], int | None]:
        self._tally.new_section()
        entries = [
            found
            for entry in _list(section.get("entry"))
            if (found := self._find(_reference(entry))) is not None
        ]
        try:
            content, counted = self._narrative(_object(section.get("text")).get("div"))
            if says_anything(content):
                count = counted or len(entries) or None
                return SectionState.NARRATIVE, content, count
            rows = rows_of(entries, self._words, self._tally)
        except TooLarge:
            self._tally.large += 1
            return SectionState.TOO_LARGE, (), None
        if rows:
            return SectionState.ENTRIES, table(rows), len(rows)
        return SectionState.EMPTY, (), None

    def _narrative(self, div: object) -> tuple[tuple[Content, ...], int]:
        """The blocks of a narrative, and how many rows or items it has."""
        root = element_of(div, self._limits.xml)
        if root is None:
            self._tally.damaged += div is not None
            return (), 0
        ids = {element.get("ID") for element in root.iter("*")}
        targets = islice(_targets(root), self._limits.nodes)
        first = self._tally.anchors
        anchors = {
            target: number
            for number, target in enumerate(dict.fromkeys(targets), start=first + 1)
            if target in ids
        }
        self._tally.anchors = first + len(anchors)
        narrative = Narrative(self._tally, anchors, lambda _: None, NAMESPACE)
        return narrative.read(root), narrative.count


def _targets(root: etree._Element) -> Iterator[str]:
    for element in root.iter(f"{{{NAMESPACE}}}a"):
        href = (element.get("href") or "").strip()
        if href.startswith("#"):
            yield href[1:]


def _printed(patient: Json, words: Words) -> PrintedPatient:
    names = [each for each in _list(patient.get("name")) if isinstance(each, Mapping)]
    official = next((n for n in names if n.get("use") == "official"), names[0] if names else None)
    birth = patient.get("birthDate")
    return PrintedPatient(
        name=words.words(official, 0) or None,
        birth_date=parse_date(birth.replace("-", "")) if isinstance(birth, str) else None,
        sex=words.of(patient, "gender") or None,
    )


def _is_type(name: object) -> bool:
    return isinstance(name, str) and name.isascii() and name.isalpha()


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _object(value: object) -> Json:
    return value if isinstance(value, Mapping) else {}


def _reference(value: object) -> object:
    return _object(value).get("reference")


def _time(value: object) -> str | None:
    return parse_time(value) if isinstance(value, str) else None


def _short(text: object) -> str | None:
    if not isinstance(text, str):
        return None
    return seen(" ".join(text.split()))[0][:_MOST_TITLE] or None
