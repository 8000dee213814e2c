"""The parameterList of an ITI-55 query: demographics to parameters and back.

What is wrong with a query is collected as ``RequestProblem``; ``missing`` and ``wrong`` make them.

Source: ITI TF-2 3.55.4.1.2.1; facts ihe-wire 2.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from lxml import etree

from node.errors import LimitError
from node.model import Demographics, HomeCommunityId, PatientQuery
from node.wire.deviations import ContentDeviation, Deviations
from node.wire.elements import Group, add, first, grouped, value_of
from node.wire.hl7v3 import (
    attribute,
    build_address,
    build_name,
    build_patient_id,
    build_telecom,
    hl7,
    parse_address,
    parse_birth_date,
    parse_name,
    parse_patient_id,
    parse_sex,
    parse_telecom,
    stated,
)
from node.wire.hl7v3_codes import vocabulary
from node.wire.xcpd_message import RequestProblem
from node.wire.xml import local_name

__all__ = ["PARAMETERS", "build_parameters", "missing", "parse_query", "wrong"]

_MAX_VALUES = 100
_ORDER = (
    "livingSubjectAdministrativeGender",
    "livingSubjectBirthPlaceAddress",
    "livingSubjectBirthPlaceName",
    "livingSubjectBirthTime",
    "livingSubjectId",
    "livingSubjectName",
    "mothersMaidenName",
    "patientAddress",
    "patientTelecom",
    "principalCareProviderId",
)
_POSITION = {name: position for position, name in enumerate(_ORDER)}
PARAMETERS = "controlActProcess/queryByParameter/parameterList"
_T = TypeVar("_T")


def missing(text: str, location: str) -> RequestProblem:
    """A problem: a required element is missing (SYN105)."""
    return RequestProblem(code=vocabulary().details["missing"], text=text, location=location)


def wrong(text: str, location: str) -> RequestProblem:
    """A problem: an element is not valid (SYN113)."""
    return RequestProblem(code=vocabulary().details["invalid"], text=text, location=location)


def build_parameters(parameters: etree._Element, held: Demographics) -> None:
    """All that is known, in schema order; ids and names stand in an element each."""
    if held.sex is not None:
        element = add(parameters, hl7("livingSubjectAdministrativeGender"))
        system = vocabulary().systems["gender"]
        add(element, hl7("value"), code=held.sex, codeSystem=system)
        add(element, hl7("semanticsText"), "LivingSubject.administrativeGender")
    place = "livingSubjectBirthPlaceAddress", "LivingSubject.BirthPlaceAddress"
    _build_parameter(parameters, *place, build_address, _known(held.birth_place))
    if held.birth_date is not None:
        element = add(parameters, hl7("livingSubjectBirthTime"))
        add(element, hl7("value"), value=held.birth_date)
        add(element, hl7("semanticsText"), "LivingSubject.birthTime")
    for identifier in held.identifiers:
        subject = "livingSubjectId", "LivingSubject.id"
        _build_parameter(parameters, *subject, build_patient_id, (identifier,))
    for name in held.names:
        subject = "livingSubjectName", "LivingSubject.name"
        _build_parameter(parameters, *subject, build_name, (name,))
    mother = "mothersMaidenName", "Person.MothersMaidenName"
    _build_parameter(parameters, *mother, build_name, _known(held.mothers_maiden_name))
    _build_parameter(parameters, "patientAddress", "Patient.addr", build_address, held.addresses)
    telecom = "patientTelecom", "Patient.telecom"
    _build_parameter(parameters, *telecom, build_telecom, held.telecoms)


def _build_parameter(
    parameters: etree._Element,
    name: str,
    semantics: str,
    build: Callable[[etree._Element, str, _T], etree._Element],
    values: tuple[_T, ...],
) -> None:
    if not values:
        return
    element = add(parameters, hl7(name))
    for value in values:
        build(element, "value", value)
    add(element, hl7("semanticsText"), semantics)


def _known(value: _T | None) -> tuple[_T, ...]:
    return () if value is None else (value,)


def parse_query(
    query: Group,
    target: HomeCommunityId | None,
    deviations: Deviations,
    problems: list[RequestProblem],
) -> PatientQuery:
    """Read the children of queryByParameter.

    Raises:
        LimitError: ``too-many-values`` past 100 values of one parameter, ``value-too-long``.
    """
    parameters = _parameters(first(query, "parameterList"), deviations)
    problems.extend(
        wrong(f"{name} has more than one value.", f"{PARAMETERS}/{name}")
        for name in ("livingSubjectAdministrativeGender", "livingSubjectBirthTime")
        if len(parameters.get(name, ())) > 1
    )
    demographics = Demographics(
        names=_values(parameters, "livingSubjectName", parse_name, deviations),
        birth_date=_first(parameters, "livingSubjectBirthTime", parse_birth_date, deviations),
        sex=_first(parameters, "livingSubjectAdministrativeGender", parse_sex, deviations),
        addresses=_values(parameters, "patientAddress", parse_address, deviations),
        telecoms=_values(parameters, "patientTelecom", parse_telecom, deviations),
        identifiers=_values(parameters, "livingSubjectId", parse_patient_id, deviations),
        mothers_maiden_name=_first(parameters, "mothersMaidenName", parse_name, deviations),
        birth_place=_first(parameters, "livingSubjectBirthPlaceAddress", parse_address, deviations),
    )
    if demographics.birth_date is None and any(
        stated(value) for value in parameters.get("livingSubjectBirthTime", ())
    ):
        problems.append(wrong("The birth time is no date.", f"{PARAMETERS}/livingSubjectBirthTime"))
    if not demographics.identifiers:
        if not demographics.names:
            problems.append(
                missing("There is neither an id nor a name.", f"{PARAMETERS}/livingSubjectName")
            )
        if demographics.birth_date is None:
            problems.append(
                missing(
                    "There is neither an id nor a birth time.",
                    f"{PARAMETERS}/livingSubjectBirthTime",
                )
            )
    return PatientQuery(
        demographics=demographics,
        target=target,
        minimum_degree_match=_degree(query, deviations, problems),
    )


def _parameters(parameter_list: etree._Element | None, deviations: Deviations) -> Group:
    """The values of each parameter by its name, in one pass; their order is only noted."""
    found: Group = {}
    if parameter_list is None:
        return found
    last = 0
    for child in parameter_list.iterchildren("*"):
        name = local_name(child)
        position = _POSITION.get(name, last)
        if position < last:
            deviations.add(ContentDeviation.ELEMENT_ORDER)
        last = max(last, position)
        values = found.setdefault(name, [])
        values.extend([part for part in child.iterchildren("*") if local_name(part) == "value"])
    if value_of(parameter_list) is not None:
        deviations.add(ContentDeviation.STRAY_TEXT)
    return found


def _values(
    parameters: Group,
    name: str,
    parse: Callable[[etree._Element | None, Deviations], _T | None],
    deviations: Deviations,
) -> tuple[_T, ...]:
    elements = parameters.get(name, ())
    if len(elements) > _MAX_VALUES:
        raise LimitError(
            "too-many-values",
            f"A query parameter has more than {_MAX_VALUES} values.",
            where=f"{PARAMETERS}/{name}",
        )
    found = [parse(element, deviations) for element in elements]
    return tuple([value for value in found if value is not None])


def _first(
    parameters: Group,
    name: str,
    parse: Callable[[etree._Element | None, Deviations], _T | None],
    deviations: Deviations,
) -> _T | None:
    values = _values(parameters, name, parse, deviations)
    return values[0] if values else None


def _degree(query: Group, deviations: Deviations, problems: list[RequestProblem]) -> int | None:
    degree = grouped(first(grouped(first(query, "matchCriterionList")), "minimumDegreeMatch"))
    raw = attribute(first(degree, "value"), "value", deviations)
    if raw is None:
        return None
    if not (raw.isascii() and raw.isdigit() and len(raw) <= 3 and int(raw) <= 100):  # noqa: PLR2004 - 0..100
        problems.append(
            wrong(
                "minimumDegreeMatch is not a number from 0 to 100.",
                "controlActProcess/queryByParameter/matchCriterionList/minimumDegreeMatch",
            )
        )
        return None
    return int(raw)
