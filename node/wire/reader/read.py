"""A peer's document → what can be shown of it, or why nothing can.

Pure: bytes in, a frozen value out. Never raises for what a peer sent: a document that cannot be
read is a value too, with a sentence, and its original is still there for whoever needs it.

Example::

    found = read(data)
    if isinstance(found, ReadableDocument):
        [section.title for section in found.sections]
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property
from typing import Final

from lxml import etree

from node.errors import NodeError
from node.wire.cda_elements import attribute, one, plain
from node.wire.names import HL7
from node.wire.reader import fhir_xml, header, media, section_groups
from node.wire.reader.characters import seen
from node.wire.reader.content import content_hash, says_anything
from node.wire.reader.document import (
    Content,
    Embedded,
    ReadableDocument,
    Section,
    SectionState,
    Unreadable,
)
from node.wire.reader.entries import Entries
from node.wire.reader.fhir import is_fhir, read_fhir, read_resource
from node.wire.reader.limits import DEFAULT_LIMITS, ReaderLimits, Tally, TooLarge
from node.wire.reader.narrative import Narrative
from node.wire.xml import children, local_name, namespace, parse

_DOCUMENT: Final = "ClinicalDocument"


def read(data: bytes, *, limits: ReaderLimits = DEFAULT_LIMITS) -> ReadableDocument | Unreadable:
    """Read a document of any kind that peers send: C-CDA, other CDA, FHIR, PDF, image, text, RTF.

    Args:
        data: the document's bytes.
        limits: what it may cost.
    """
    kind = media.recognise(data)
    if kind == media.XML:
        return _read_xml(data, limits)
    if kind is None:
        sentence = (
            "This is no kind of document that the reader knows."
            if data
            else "The document is empty."
        )
        return Unreadable(reason="document-kind-unknown", sentence=sentence)
    if kind == media.TEXT and is_fhir(data):
        found = read_fhir(data, limits)
        if found is not None:
            return found
    digest = hashlib.sha256(data).hexdigest()
    return ReadableDocument(body=Embedded(media_type=kind, data=data), content_hash=digest)


def _read_xml(data: bytes, limits: ReaderLimits) -> ReadableDocument | Unreadable:
    try:
        root = parse(data, limits=limits.xml)
    except NodeError as error:
        return Unreadable(reason=error.code, sentence=error.sentence)
    if namespace(root) == fhir_xml.NAMESPACE:
        return read_resource(fhir_xml.resource_of(root), limits)
    if local_name(root) != _DOCUMENT or namespace(root) not in (HL7, ""):
        return Unreadable(
            reason="document-kind-unknown",
            sentence="The XML is neither a clinical document (CDA) nor FHIR.",
        )
    if not namespace(root):
        _adopt(root)
    return _Reading(root, limits).document()


def _adopt(root: etree._Element) -> None:
    """Elements without a namespace become CDA's: some senders forget to declare it."""
    for element in root.iter("*"):
        if not namespace(element):
            element.tag = f"{{{HL7}}}{element.tag}"


class _Reading:
    """One document while it is read."""

    def __init__(self, root: etree._Element, limits: ReaderLimits) -> None:
        self._root = root
        self._limits = limits
        self._tally = Tally(limits=limits)
        self._images: list[Embedded] = []
        self._image_of: dict[str, int | None] = {}
        self._image_bytes = 0
        self._sections: list[Section] = []
        self._narrative = Narrative(self._tally, self._anchors(), self._image, None)
        self._entries = Entries(self._tally, self._with_id)

    @cached_property
    def _ids(self) -> dict[str, etree._Element]:
        """The elements of all narratives by their ids; most documents never ask for one."""
        return _narrative_ids(self._root)

    def _with_id(self, name: str) -> etree._Element | None:
        return self._ids.get(name)

    def _anchors(self) -> dict[str, int]:
        """Numbers of what the narratives refer to, by its id."""
        targets = dict.fromkeys(_targets(self._root))
        return {
            target: number for number, target in enumerate(targets, start=1) if target in self._ids
        }

    def document(self) -> ReadableDocument:
        """All that can be shown."""
        root = self._root
        parts = [p for c in root.iterchildren("{*}component") for p in children(c)]
        bodies = {local_name(part).lower(): part for part in reversed(parts)}
        body: Embedded | Unreadable | None = None
        if "nonxmlbody" in bodies:
            body = self._body(one(bodies["nonxmlbody"], "text"))
        elif "structuredbody" in bodies:
            self._components(bodies["structuredbody"], 1)
        problem = body if isinstance(body, Unreadable) else None
        if body is None and not self._sections:
            problem = Unreadable(
                reason="document-body-missing", sentence="The document has a header but no body."
            )
        whole = body if isinstance(body, Embedded) else None
        return ReadableDocument(
            title=header.title(root),
            patients=header.patients(root),
            authors=header.authors(root),
            custodian=header.custodian(root),
            created=header.created(root),
            encounter=header.encounter(root),
            sections=tuple(self._sections),
            images=tuple(self._images),
            body=whole,
            problem=problem,
            left_out=self._tally.left_out(),
            content_hash=content_hash(self._sections, whole),
        )

    def _body(self, text: etree._Element | None) -> Embedded | Unreadable:
        if one(text, "reference") is not None:
            return Unreadable(
                reason="document-body-elsewhere",
                sentence="The document's body is not in it: it refers to a file elsewhere,"
                " which is not fetched.",
            )
        content = "".join(str(part) for part in text.itertext()) if text is not None else ""
        stated = attribute(text, "mediaType")
        if attribute(text, "representation") != "B64":
            data: bytes | None = content.strip().encode()
        else:
            data = media.base64_bytes(content, self._limits.body_bytes)
        if not data:
            return Unreadable(
                reason="document-body-broken",
                sentence="The file inside the document is empty, too large or damaged.",
            )
        kind = media.recognise(data)
        # a file inside the file is shown as what it is, or offered; XML in it is offered
        return Embedded(media_type=None if kind == media.XML else kind, data=data, stated=stated)

    def _components(self, parent: etree._Element, level: int) -> None:
        for component in parent.iterchildren("{*}component"):
            for section in component.iterchildren("{*}section"):
                if len(self._sections) >= self._limits.sections:
                    self._tally.large += 1
                    continue
                self._section(section, level)
                if level < self._limits.section_depth:
                    self._components(section, level + 1)
                elif one(section, "component/section") is not None:
                    self._tally.large += 1

    def _section(self, section: etree._Element, level: int) -> None:
        code = one(section, "code")
        title = plain(one(section, "title")) or attribute(code, "displayName")
        coded = attribute(code, "code")
        state, content, count = self._content(section)
        inner = one(section, "component/section") is not None
        if state is SectionState.EMPTY and inner:
            state = SectionState.NARRATIVE  # a heading above its subsections
        self._sections.append(
            Section(
                title=seen(title)[0] if title else None,
                code=coded,
                group=section_groups.group_of(coded),
                level=level,
                count=count,
                state=state,
                content=content,
            )
        )

    def _content(
        self, section: etree._Element
    ) -> tuple[SectionState, tuple[Content, ...], int | None]:
        self._tally.new_section()
        try:
            text = one(section, "text")
            content = self._narrative.read(text) if text is not None else ()
            if says_anything(content):
                entries = sum(
                    one(entry, "observationMedia") is None
                    for entry in section.iterchildren("{*}entry")
                )
                return SectionState.NARRATIVE, content, self._narrative.count or entries or None
            content, rows = self._entries.table(section)
        except TooLarge:
            self._tally.large += 1
            return SectionState.TOO_LARGE, (), None
        if content:
            return SectionState.ENTRIES, content, rows
        return SectionState.EMPTY, (), None

    def _image(self, reference: str) -> int | None:
        """The number of an embedded picture; one that is used twice is kept once."""
        if reference not in self._image_of:
            self._image_of[reference] = self._new_image(reference)
        return self._image_of[reference]

    def _new_image(self, reference: str) -> int | None:
        if len(self._images) >= self._limits.images:
            return None
        found = next(
            (m for m in self._root.iter(f"{{{HL7}}}observationMedia") if m.get("ID") == reference),
            None,
        )
        value = one(found, "value")
        if value is None or attribute(value, "representation") != "B64":
            return None
        data = media.base64_bytes(value.text or "", self._limits.image_bytes - self._image_bytes)
        kind = media.recognise(data) if data else None
        if data is None or kind not in media.SHOWN_IMAGES:
            return None
        self._image_bytes += len(data)
        self._images.append(
            Embedded(media_type=kind, data=data, stated=attribute(value, "mediaType"))
        )
        return len(self._images) - 1


def _narrative_ids(root: etree._Element) -> dict[str, etree._Element]:
    """The elements of all narratives by their ids; of two with one id the first."""
    found: dict[str, etree._Element] = {}
    for text in root.iter(f"{{{HL7}}}text"):
        for element in text.iter("*"):
            name = element.get("ID")
            if name:
                found.setdefault(name, element)
    return found


def _targets(root: etree._Element) -> Iterator[str]:
    for element in root.iter(f"{{{HL7}}}linkHtml", f"{{{HL7}}}footnoteRef"):
        href = (element.get("href") or "").strip()
        target = href[1:] if href.startswith("#") else element.get("IDREF")
        if target:
            yield target
