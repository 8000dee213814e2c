"""ADT messages to what they say about encounters, or why they say nothing.

Read are the patient's identifiers, name, birth date and sex (PID), class, location, practitioners,
visit number and times (PV1, PV2), and what is merged or moved away (MRG). What an event means is
data (``data/adt_events.toml``). Swapped patients (A17) are two events in one message.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from node.encounter import Does, EncounterClass, EncounterEvent, Part, PractitionerId
from node.wire.hl7v2.message import MOST_MESSAGE_BYTES, Segment, read_message
from node.wire.hl7v2.refusals import Refusal, adt_tables, refusal
from node.wire.hl7v2.values import (
    LONGEST,
    Reading,
    demographics,
    moment,
    patient_ids,
    practitioner,
    visit_number,
)

MOST_PAIRS: Final = 4
"""PID with their PV1 or MRG that one message has."""

_PARTS: Final = (
    (7, Part.ATTENDING),
    (8, Part.REFERRING),
    (9, Part.CONSULTING),
    (17, Part.ADMITTING),
)
_MOST_OF_ONE_PART: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What an answer repeats of a message: the separators, who sends to whom, its id."""

    signs: str = "|^~\\&"
    event: str = ""
    sender: tuple[str, str] = ("", "")
    receiver: tuple[str, str] = ("", "")
    control_id: str = ""
    processing: str = "P"
    version: str = "2.5"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdtReading:
    """What was read: events, or why there are none. ``header`` is as far as it could be read."""

    header: Header
    events: tuple[EncounterEvent, ...] = ()
    refusal: Refusal | None = None


def read_adt(
    data: bytes, reading: Reading, *, now: datetime, max_bytes: int = MOST_MESSAGE_BYTES
) -> AdtReading:
    """Read one message. Never raises for what a message is like.

    Args:
        data: the message without framing.
        reading: how the sender's messages are read.
        now: when it came; an event that claims to be of later happened now.
        max_bytes: a longer message is refused.
    """
    segments = read_message(data, max_bytes=max_bytes)
    if isinstance(segments, Refusal):
        return AdtReading(header=Header(), refusal=segments)
    header = _header(segments[0])
    found = _events(segments, header, reading, now)
    if isinstance(found, Refusal):
        return AdtReading(header=header, refusal=found)
    return AdtReading(header=header, events=found)


def _header(msh: Segment) -> Header:
    return Header(
        signs=(msh.text(1) + msh.text(2))[:5],
        event=(msh.text(9, 2) or "")[:3].upper(),
        sender=(_whole(msh, 3), _whole(msh, 4)),
        receiver=(_whole(msh, 5), _whole(msh, 6)),
        control_id=msh.text(10)[:199],
        processing=msh.text(11)[:3] or "P",
        version=msh.text(12)[:8] or "2.5",
    )


def _whole(msh: Segment, number: int) -> str:
    return msh.text(number)[:LONGEST]


def _events(
    segments: Sequence[Segment], header: Header, reading: Reading, now: datetime
) -> tuple[EncounterEvent, ...] | Refusal:
    tables, msh = adt_tables(), segments[0]
    if msh.text(9, 1).upper() != "ADT":
        return refusal("hl7-not-adt")
    evn = next((each for each in segments if each.name == "EVN"), None)
    does = tables.events.get(header.event or (evn.text(1).upper() if evn else ""))
    if not isinstance(does, Does):
        return refusal(does or "adt-event-unknown")
    at = moment(evn.text(6) or evn.text(2), reading.zone) if evn else None
    at = at or moment(msh.text(7), reading.zone)
    if at is None:
        return refusal("adt-time")
    made = []
    for group in list(_groups(segments))[:MOST_PAIRS]:
        event = _event(group, does, min(at, now), msh, reading)
        if isinstance(event, Refusal):
            return event
        made.append(event)
    return tuple(made) or refusal("adt-no-patient")


@dataclass(slots=True)
class _Group:
    """A PID and what belongs to it."""

    pid: Segment
    pv1: Segment | None = None
    pv2: Segment | None = None
    mrg: Segment | None = None


def _groups(segments: Sequence[Segment]) -> Iterator[_Group]:
    group: _Group | None = None
    for segment in segments:
        if segment.name == "PID":
            if group is not None:
                yield group
            group = _Group(segment)
        elif group is not None and segment.name in ("PV1", "PV2", "MRG"):
            # the first one counts; a further one would be of something else
            name = segment.name.lower()
            if getattr(group, name) is None:
                setattr(group, name, segment)
    if group is not None:
        yield group


def _event(
    group: _Group, does: Does, at: datetime, msh: Segment, reading: Reading
) -> EncounterEvent | Refusal:
    pid, pv1, mrg = group.pid, group.pv1, group.mrg
    # before version 2.3.1 the numbers are in PID-2 and PID-3, later ones repeat PID-3
    patients = patient_ids([*pid.repetitions(3), *pid.repetitions(2)], reading)
    if not patients:
        return refusal("adt-no-patient")
    facility = msh.text(4)[:LONGEST] or "-"
    prior = patient_ids(mrg.repetitions(1), reading) if mrg else ()
    prior_visit = visit_number(mrg.repetitions(5), facility) if mrg else None
    if does is Does.MERGE_PATIENTS:
        if not prior:
            return refusal("adt-no-merge")
        return EncounterEvent(does=does, at=at, patients=patients, prior_patients=prior)
    visit = visit_number(pv1.repetitions(19), facility) if pv1 else None
    visit = visit or visit_number(pid.repetitions(18), facility)
    if does is Does.MOVE_VISIT:
        visit = prior_visit or visit
    merged = prior_visit is not None and visit is not None
    if (does is Does.MERGE_VISITS and not merged) or (does is Does.MOVE_VISIT and visit is None):
        return refusal("adt-no-merge")
    if pv1 is None:
        return refusal("adt-no-visit")
    return EncounterEvent(
        does=does,
        at=at,
        patients=patients,
        person=demographics(pid),
        visit=visit,
        prior_visit=prior_visit,
        kind=_kind(pv1.text(2)),
        began=_began(group, does, reading),
        ended=moment(pv1.text(45), reading.zone) if does is not Does.REOPEN else None,
        departments=_departments(pv1),
        people=tuple(_people(pv1)),
    )


def _kind(code: str) -> EncounterClass | None:
    if not code:
        return None
    return adt_tables().classes.get(code.upper(), EncounterClass.OTHER)


def _began(group: _Group, does: Does, reading: Reading) -> datetime | None:
    began = moment(group.pv1.text(44), reading.zone) if group.pv1 else None
    if began is None and does is Does.PLAN and group.pv2 is not None:
        return moment(group.pv2.text(8), reading.zone)
    return began


def _departments(pv1: Segment) -> tuple[str, ...]:
    """The point of care and the hospital service; blanks in a code become ``_``."""
    codes = ("_".join(text.split()) for text in (pv1.text(3, 1), pv1.text(10)))
    return tuple(dict.fromkeys(code for code in codes if 0 < len(code) <= LONGEST))


def _people(pv1: Segment) -> Iterator[tuple[Part, PractitionerId]]:
    for number, role in _PARTS:
        for each in pv1.repetitions(number)[:_MOST_OF_ONE_PART]:
            who = practitioner(each)
            if who is not None:
                yield role, who
