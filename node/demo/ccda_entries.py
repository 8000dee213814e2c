"""The coded entries of the demo's C-CDA documents: what a table's rows say, for machines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5
from xml.etree import ElementTree as ET

_TYPE = "xsi:type"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a section's table; a row without a code has no entry.

    ``since`` and ``at`` are HL7 dates; where there is none, the time is that of the care.
    """

    cells: tuple[str, ...]
    code: str | None = None
    display: str | None = None
    since: str | None = None
    at: str | None = None
    value: str | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """What every entry needs: the templates, the seed of its ids, the time of the care."""

    templates: dict[str, Any]
    seed: UUID
    at: str

    @property
    def systems(self) -> dict[str, str]:
        """Code systems by name."""
        systems: dict[str, str] = self.templates["systems"]
        return systems

    def template(self, parent: ET.Element, template: Sequence[str]) -> None:
        """A templateId; the older form without extension stands beside the newer one."""
        root, *extension = template
        if extension:
            add(parent, "templateId", root=root)
            add(parent, "templateId", root=root, extension=extension[0])
        else:
            add(parent, "templateId", root=root)

    def entry_template(self, parent: ET.Element, name: str) -> None:
        """The templateIds of an entry."""
        self.template(parent, self.templates["entry"][name])

    def id(self, parent: ET.Element, name: str) -> None:
        """An id derived from the document's."""
        add(parent, "id", root=str(uuid5(self.seed, name)))

    def fixed(self, parent: ET.Element, tag: str, name: str) -> None:
        """A code that a template prescribes."""
        code = self.templates["codes"][name]
        coded(parent, tag, code["code"], self.systems[code["system"]], code["display"])


def add(parent: ET.Element, tag: str, /, **attributes: str) -> ET.Element:
    """A new child element."""
    return ET.SubElement(parent, tag, attributes)


def coded(parent: ET.Element, tag: str, code: str, system: str, display: str) -> ET.Element:
    """A new child element with a code."""
    return add(parent, tag, code=code, codeSystem=system, displayName=display)


def write_entries(
    section: ET.Element, name: str, kind: str | None, rows: Sequence[Row], writer: Writer
) -> None:
    """An entry for each coded row; measurements share one organizer."""
    coded_rows = [(number, row) for number, row in enumerate(rows, start=1) if row.code]
    if kind is None or not coded_rows:
        return
    if kind in ("result", "vital"):
        _organizer(section, name, kind, coded_rows, writer)
        return
    for number, row in coded_rows:
        entry = add(section, "entry", typeCode="DRIV")
        _WRITERS[kind](entry, f"{name}-{number}", row, writer)


def _text(parent: ET.Element, reference: str) -> None:
    add(add(parent, "text"), "reference", value=f"#{reference}")


def _low(parent: ET.Element, value: str) -> None:
    add(add(parent, "effectiveTime"), "low", value=value)


def _value(parent: ET.Element, row: Row, system: str) -> None:
    value = coded(parent, "value", row.code or "", system, row.display or "")
    value.set(_TYPE, "CD")


def _concern(
    entry: ET.Element, reference: str, template: str, since: str, writer: Writer
) -> ET.Element:
    act = add(entry, "act", classCode="ACT", moodCode="EVN")
    writer.entry_template(act, template)
    writer.id(act, f"{reference}-concern")
    coded(act, "code", "CONC", writer.systems["act"], "Concern")
    add(act, "statusCode", code="active")
    _low(act, since)
    return add(act, "entryRelationship", typeCode="SUBJ")


def _problem(entry: ET.Element, reference: str, row: Row, writer: Writer) -> None:
    since = row.since or writer.at
    related = _concern(entry, reference, "problem_concern", since, writer)
    observation = add(related, "observation", classCode="OBS", moodCode="EVN")
    writer.entry_template(observation, "problem")
    writer.id(observation, reference)
    writer.fixed(observation, "code", "problem")
    _text(observation, reference)
    add(observation, "statusCode", code="completed")
    _low(observation, since)
    _value(observation, row, writer.systems["snomed"])


def _allergy(entry: ET.Element, reference: str, row: Row, writer: Writer) -> None:
    since = row.since or writer.at
    related = _concern(entry, reference, "allergy_concern", since, writer)
    observation = add(related, "observation", classCode="OBS", moodCode="EVN")
    writer.entry_template(observation, "allergy")
    writer.id(observation, reference)
    coded(observation, "code", "ASSERTION", writer.systems["act_code"], "Assertion")
    _text(observation, reference)
    add(observation, "statusCode", code="completed")
    _low(observation, since)
    writer.fixed(observation, "value", "allergy")
    observation[-1].set(_TYPE, "CD")
    participant = add(observation, "participant", typeCode="CSM")
    role = add(participant, "participantRole", classCode="MANU")
    entity = add(role, "playingEntity", classCode="MMAT")
    coded(entity, "code", row.code or "", writer.systems["rxnorm"], row.display or "")


def _medication(entry: ET.Element, reference: str, row: Row, writer: Writer) -> None:
    activity = add(entry, "substanceAdministration", classCode="SBADM", moodCode="INT")
    writer.entry_template(activity, "medication")
    writer.id(activity, reference)
    _text(activity, reference)
    add(activity, "statusCode", code="active")
    _low(activity, row.since or writer.at)
    activity[-1].set(_TYPE, "IVL_TS")
    add(activity, "doseQuantity", value="1")
    _product(activity, "medication_product", row, writer.systems["rxnorm"], writer)


def _immunization(entry: ET.Element, reference: str, row: Row, writer: Writer) -> None:
    activity = add(
        entry, "substanceAdministration", classCode="SBADM", moodCode="EVN", negationInd="false"
    )
    writer.entry_template(activity, "immunization")
    writer.id(activity, reference)
    _text(activity, reference)
    add(activity, "statusCode", code="completed")
    add(activity, "effectiveTime", value=row.at or writer.at)
    _product(activity, "immunization_product", row, writer.systems["cvx"], writer)


def _product(parent: ET.Element, template: str, row: Row, system: str, writer: Writer) -> None:
    product = add(add(parent, "consumable"), "manufacturedProduct", classCode="MANU")
    writer.entry_template(product, template)
    material = add(product, "manufacturedMaterial")
    coded(material, "code", row.code or "", system, row.display or "")


def _procedure(entry: ET.Element, reference: str, row: Row, writer: Writer) -> None:
    procedure = add(entry, "procedure", classCode="PROC", moodCode="EVN")
    writer.entry_template(procedure, "procedure")
    writer.id(procedure, reference)
    coded(procedure, "code", row.code or "", writer.systems["snomed"], row.display or "")
    _text(procedure, reference)
    add(procedure, "statusCode", code="completed")
    add(procedure, "effectiveTime", value=row.at or writer.at)


_WRITERS: dict[str, Callable[[ET.Element, str, Row, Writer], None]] = {
    "problem": _problem,
    "allergy": _allergy,
    "medication": _medication,
    "immunization": _immunization,
    "procedure": _procedure,
}


def _organizer(
    section: ET.Element, name: str, kind: str, rows: Sequence[tuple[int, Row]], writer: Writer
) -> None:
    entry = add(section, "entry", typeCode="DRIV")
    organizer = add(entry, "organizer", classCode="CLUSTER", moodCode="EVN")
    writer.entry_template(organizer, f"{kind}_organizer")
    writer.id(organizer, f"{name}-organizer")
    writer.fixed(organizer, "code", f"{kind}s")
    add(organizer, "statusCode", code="completed")
    add(add(organizer, "effectiveTime"), "low", value=writer.at)
    add(organizer[-1], "high", value=writer.at)
    for number, row in rows:
        reference = f"{name}-{number}"
        component = add(organizer, "component")
        observation = add(component, "observation", classCode="OBS", moodCode="EVN")
        writer.entry_template(observation, kind)
        writer.id(observation, reference)
        coded(observation, "code", row.code or "", writer.systems["loinc"], row.display or "")
        _text(observation, reference)
        add(observation, "statusCode", code="completed")
        add(observation, "effectiveTime", value=row.at or writer.at)
        value = add(observation, "value", value=row.value or "", unit=row.unit or "1")
        value.set(_TYPE, "PQ")
