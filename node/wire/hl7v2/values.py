"""Data types of HL7 v2 as values of ours: times, identifiers, practitioners, names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

from node.encounter import PractitionerId
from node.model import Demographics, PatientId, PersonName
from node.wire.hl7v2.message import Segment, part
from node.wire.hl7v2.refusals import adt_tables

Repetition = Sequence[Sequence[str]]

MOST_IDENTIFIERS: Final = 20
LONGEST: Final = 128
"""Characters of an identifier or a code; a longer one is none."""

_TIME: Final = re.compile(
    r"(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:\.\d{1,6})?(?:([+-])(\d\d)(\d\d))?", re.ASCII
)
_OID: Final = re.compile(r"[0-2](?:\.(?:0|[1-9][0-9]*))+", re.ASCII)
_SEXES: Final = {"M": "M", "F": "F"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How the messages of a sender are read.

    Attributes:
        zone: of times that name no offset.
        authorities: OIDs of assigning authorities by the namespaces that stand for them.
        default_authority: the OID for identifiers that name none; empty: such are left out.
    """

    zone: tzinfo = UTC
    authorities: Mapping[str, str] = field(default_factory=dict)
    default_authority: str = ""


def moment(text: str, zone: tzinfo) -> datetime | None:
    """A time (DTM) in UTC, to the second; ``None`` where it is absent or no time."""
    found = _TIME.fullmatch(text.strip())
    if found is None:
        return None
    year, month, day, hour, minute, second, sign, hours, minutes = found.groups()
    if sign:
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        if offset >= timedelta(hours=24):
            return None
        zone = timezone(-offset if sign == "-" else offset)
    try:
        read = datetime(
            int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0),
            int(second or 0), tzinfo=zone,
        )  # fmt: skip
        return read.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def authority(components: Sequence[str], reading: Reading) -> str:
    """An assigning authority (HD): an OID where there is one, else the namespace, else empty."""
    namespace, universal, kind = ((*components, "", "", ""))[:3]
    if _OID.fullmatch(universal) and kind in ("ISO", ""):
        return universal
    namespace = namespace.strip()
    if namespace in reading.authorities:
        return reading.authorities[namespace]
    return namespace if 0 < len(namespace) <= LONGEST else ""


def patient_ids(repetitions: Sequence[Repetition], reading: Reading) -> tuple[PatientId, ...]:
    """Patient identifiers (CX) of those kinds that say who somebody is at an organisation."""
    found = []
    for each in repetitions[:MOST_IDENTIFIERS]:
        number, kind = part(each, 1), part(each, 5)
        who = authority(each[3] if len(each) > 3 else (), reading) or reading.default_authority  # noqa: PLR2004
        if number and who and len(number) <= LONGEST and kind not in adt_tables().left_out:
            found.append(PatientId(assigning_authority=who, id=number))
    return tuple(dict.fromkeys(found))


def visit_number(repetitions: Sequence[Repetition], facility: str) -> PatientId | None:
    """A visit number (CX); without an authority it is one of the facility's that sends it."""
    for each in repetitions[:1]:
        number = part(each, 1)
        named = each[3] if len(each) > 3 else ()  # noqa: PLR2004
        who = authority(named, Reading()) or facility
        if number and len(number) <= LONGEST:
            return PatientId(assigning_authority=who, id=number)
    return None


def practitioner(each: Repetition) -> PractitionerId | None:
    """Who a practitioner (XCN) is: the id, and who gave it; ``NPI`` for a national number."""
    number = part(each, 1)
    if not number or len(number) > LONGEST:
        return None
    who = authority(each[8] if len(each) > 8 else (), Reading())  # noqa: PLR2004
    if part(each, 13) == "NPI" or who in adt_tables().npi:
        who = "NPI"
    return PractitionerId(authority=who, id=number)


def demographics(pid: Segment) -> Demographics:
    """Names, birth date and sex of a PID; nothing else of it is used."""
    names = []
    for each in pid.repetitions(5)[:5]:
        family, given = part(each, 1), part(each, 2)
        if family or given:
            names.append(PersonName(family=family or None, given=(given,) if given else ()))
    born = pid.text(7)[:8]
    return Demographics(
        names=tuple(names),
        birth_date=born if born.isdecimal() else None,
        sex=_SEXES.get(pid.text(8).upper()),
    )
