"""sourcePatientInfo: the lines of PID fields by which a source tells whom a document is about.

Source: ITI TF-3 4.2.3.2.23; HL7 v2.5 PID-3, PID-5, PID-7, PID-8, PID-11; facts ihe-wire 3.3.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from node.errors import WireError
from node.model import Address, Demographics, PatientId, PersonName
from node.wire.identifiers import parse_cx
from node.wire.timestamps import parse_date

__all__ = ["read_source_patient"]

_ESCAPE = re.compile(r"\\([FSTRE])\\")
_ESCAPED = {"F": "|", "S": "^", "T": "&", "R": "~", "E": "\\"}
_SEXES = {"M": "M", "F": "F", "O": "UN", "UN": "UN", "A": "UN"}


def read_source_patient(
    lines: Sequence[str], source_patient_id: PatientId | None = None
) -> Demographics:
    """The person; fields that cannot be read are left out, and unknown ones passed over.

    ``source_patient_id`` is the id that stands beside the lines.
    """
    fields: dict[str, list[str]] = {}
    for line in lines:
        name, bar, value = line.partition("|")
        if bar and value.strip():
            fields.setdefault(name.strip().upper(), []).extend(value.strip().split("~"))
    identifiers = [source_patient_id] if source_patient_id else []
    for text in fields.get("PID-3", ()):
        try:
            identifiers.append(parse_cx(text))
        except WireError:
            continue
    sex = fields.get("PID-8", [""])[0].upper()
    return Demographics(
        names=tuple(found for text in fields.get("PID-5", ()) if (found := _name(text))),
        birth_date=parse_date(fields.get("PID-7", [""])[0][:8]),
        sex=_SEXES.get(sex),
        addresses=tuple(home for text in fields.get("PID-11", ()) if (home := _address(text))),
        identifiers=tuple(dict.fromkeys(identifiers)),
    )


def _components(text: str, count: int) -> list[str | None]:
    parts = [_plain(part) for part in text.split("^")]
    return [*parts, *[None] * count][:count]


def _plain(part: str) -> str | None:
    # of a component with parts, the first is the one that is meant (a family name, a street)
    meant = part.split("&", maxsplit=1)[0]
    return _ESCAPE.sub(lambda found: _ESCAPED[found[1]], meant).strip() or None


def _name(text: str) -> PersonName | None:
    family, first, further, suffix, prefix = _components(text, 5)
    if not (family or first):
        return None
    given = tuple(part for part in (first, *(further or "").split()) if part)
    return PersonName(family=family, given=given, suffix=suffix, prefix=prefix)


def _address(text: str) -> Address | None:
    street, other, city, state, postal_code, country = _components(text, 6)
    lines = tuple(part for part in (street, other) if part)
    if not (lines or city or postal_code):
        return None
    return Address(lines=lines, city=city, state=state, postal_code=postal_code, country=country)
