"""From a person at the console to a search: for which purpose, as whom, about whom."""

from __future__ import annotations

from dataclasses import dataclass

from node.console.clinic.clinic import Clinic
from node.console.clinic.find_form import Sought
from node.console.parts import OwnNode, Visit
from node.model import Code, Demographics, HomeCommunityId, PatientId, Principal
from node.policy.purposes import purpose_register
from node.users.model import User
from node.users.roles import role_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Whom:
    """Whom about: what is asked with, and our own record of the person, where there is one."""

    demographics: Demographics
    patient: PatientId | None


def purposes_of(user: User) -> tuple[Code, ...]:
    """What a person may ask for, the usual one first."""
    register, table = purpose_register(), role_table().roles
    codes = (code for role in user.roles for code in table[role].purposes)
    known = (register.by_code(code) for code in dict.fromkeys(codes))
    return tuple(purpose.code for purpose in known if purpose is not None)


def offered(visit: Visit) -> tuple[Code, ...]:
    """Those of a person's purposes that our own directory entry lists, the usual one first.

    A process that asks nobody knows of no entry: it offers all of them, and refuses each search.
    """
    network, own = visit.console.clinic.network, visit.console.own
    purposes = purposes_of(visit.user)
    if network is None:
        return purposes
    asked = ((each, principal_of(visit.user, each, own)) for each in purposes)
    return tuple(each for each, as_ in asked if as_ and network.initiator.may_ask(as_).permitted)


def plain_purpose(code: Code) -> str:
    """What a clinician calls a purpose."""
    purpose = purpose_register().get(code)
    return (purpose.plain if purpose else None) or code.display or code.code


def principal_of(user: User, purpose: Code, own: OwnNode) -> Principal | None:
    """Who asks, as peers are told; ``None`` where no role of theirs asks."""
    table = role_table().roles
    asserted = next((a for role in user.roles if (a := table[role].asserts) is not None), None)
    if asserted is None:
        return None
    return Principal(
        subject_id=user.name,
        user_id=user.login,
        organization=own.name,
        organization_id=own.organization_id,
        home_community_id=HomeCommunityId(own.home_community_id),
        role=asserted,
        purpose=purpose,
    )


def whom_of(sought: Sought, clinic: Clinic) -> Whom | None:
    """Whom about; ``None`` for a record number that nobody of ours has.

    Who was typed and is one of ours with certainty is asked about with all that our record says:
    the more a peer is told, the surer its answer.
    """
    if sought.number is not None:
        patient = PatientId(assigning_authority=clinic.authority, id=sought.number)
        known = clinic.people.demographics(patient)
        return Whom(demographics=known, patient=patient) if known is not None else None
    if sought.demographics is None:
        return None
    ours = clinic.people.match(sought.demographics)
    if not ours:
        return Whom(demographics=sought.demographics, patient=None)
    return Whom(demographics=ours[0].demographics, patient=ours[0].patient_id)
