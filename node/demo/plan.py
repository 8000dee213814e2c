"""What a sample network is to be: who takes part, what each holds, who is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from node.demo.charts import HeldFile, made_records
from node.demo.people import Behaviour, Cast, Organisation
from node.model import Demographics, PatientId


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberPlan:
    """An answering organisation, what it does and the files it holds.

    ``about_patient`` are the SHA-256 (hex) of the files about the person asked for, where the plan
    knows them; ``None`` leaves it to the member's own matching.
    """

    organisation: Organisation
    behaviour: Behaviour
    files: tuple[HeldFile, ...]
    about_patient: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPlan:
    """The whole network and the question that will be asked.

    Attributes:
        network: the QHIN that all organisations belong to.
        asking: who asks.
        members: who answers, or should.
        demographics: what the asking organisation knows of the person.
        patient_name: the name to show of a made-up person; ``None`` where documents were given.
        purpose: the exchange purpose's code.
        since: start of the date range asked for (HL7), ``None`` for the node's default.
        left_out: files of a given folder that are no documents of anybody.
    """

    network: Organisation
    asking: Organisation
    members: tuple[MemberPlan, ...]
    demographics: Demographics
    purpose: str
    patient_name: str | None = None
    since: str | None = None
    left_out: tuple[str, ...] = ()


def made_plan(cast: Cast, now: datetime) -> NetworkPlan:
    """The network of made-up people and documents, with times before ``now``."""
    held = made_records(cast, now)
    person = cast.people[cast.patient]
    own = PatientId(
        assigning_authority=cast.asking.numbers_authority, id=person.numbers[cast.asking.key]
    )
    return NetworkPlan(
        network=cast.network,
        asking=cast.asking,
        members=tuple(
            MemberPlan(
                organisation=organisation,
                behaviour=organisation.behaviour or Behaviour.HOLDS,
                files=held[organisation.key],
                about_patient=frozenset(
                    file.sha256 for file in held[organisation.key] if file.made_about == person.key
                ),
            )
            for organisation in cast.answering
        ),
        demographics=person.demographics((own,)),
        patient_name=person.name,
        purpose=cast.purpose,
    )
