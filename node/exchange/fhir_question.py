"""One FHIR question to many peers: read, and refused where many peers cannot answer it. Pure.

What is asked of each peer is the same but for the patient, whom the node puts in: the id of a
resource means something at one server only. So a question names neither patient nor any other
resource. Its parameters are those of the catalogue (``wire/fhir/data/search.toml``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import parse_qsl

from node.wire.fhir.catalogue import Kind, ResourceType, is_asked_of_network, resource_types
from node.wire.fhir.problem import FhirProblem
from node.wire.fhir.query import Pair, SearchLimits, parse_search, shown

MAX_TEXT: Final = 8192
_LIMITS: Final = SearchLimits(default_count=50, max_count=200)
_DROPPED: Final = frozenset({"_format", "_pretty"})
_PATIENT: Final = frozenset({"patient", "subject"})
_NO_ORDER: Final = frozenset({"_sort", "_total", "_summary"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FhirQuestion:
    """What is asked of every peer.

    Attributes:
        type: what is searched.
        pairs: the parameters, without patient and count.
        count: matches of a page of our answer.
    """

    type: ResourceType
    pairs: tuple[Pair, ...] = ()
    count: int = _LIMITS.default_count

    def of_patient(self, fhir_id: str) -> tuple[Pair, ...]:
        """The parameters with the id of the person's Patient at one peer."""
        name = "_id" if self.type.name == "Patient" else "patient"
        return ((name, fhir_id), *self.pairs)


def parse_question(text: str, *, now: datetime) -> FhirQuestion:
    """Read a question as it is typed, ``Observation?category=laboratory``.

    Raises:
        FhirProblem: as ``question_of``.
    """
    if len(text) > MAX_TEXT:
        raise FhirProblem(
            "fhir-search-limit", f"The question is longer than {MAX_TEXT} characters."
        )
    name, _, query = text.strip().lstrip("/").partition("?")
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, errors="strict", strict_parsing=bool(query)
        )
    except ValueError:
        raise FhirProblem(
            "fhir-value-invalid", "The question is not Type?name=value&name=value."
        ) from None
    return question_of(name, pairs, now=now)


def question_of(type_: str, pairs: Sequence[Pair], *, now: datetime) -> FhirQuestion:
    """A question for a type with decoded parameters, the network patient left out.

    ``_since`` is taken as ``_lastUpdated=ge``; ``_count`` is for our own pages.

    Raises:
        FhirProblem: ``fhir-type-unknown``, ``fhir-parameter-unknown``,
            ``fhir-parameter-unsupported``, ``fhir-value-invalid``, ``fhir-search-limit``, with the
            parameter and the reason.
    """
    known = resource_types().get(type_)
    if known is None or not known.search:
        raise FhirProblem("fhir-type-unknown", f"The network is not asked for {shown(type_)}.")
    if not is_asked_of_network(known):
        raise FhirProblem(
            "fhir-type-unknown",
            f"{type_} is not searched by patient; ask for it with _include or _revinclude.",
        )
    kept = [_dated(pair) for pair in pairs if pair[0] not in _DROPPED]
    for name, _ in kept:
        _check(known, name)
    query = parse_search(known, kept, strict=True, base_url="", now=now, limits=_LIMITS)
    return FhirQuestion(
        type=known,
        pairs=tuple((name, value) for name, value in kept if name != "_count"),
        count=query.count,
    )


def _dated(pair: Pair) -> Pair:
    name, value = pair
    return ("_lastUpdated", f"ge{value}") if name == "_since" else pair


def _check(type_: ResourceType, name: str) -> None:
    """Refuse what many servers cannot answer as one."""
    bare = name.partition(":")[0].partition(".")[0]
    if bare in _PATIENT:
        raise _unsupported(name, "the node puts in the patient, as each peer knows them")
    if bare == "_id":
        raise _unsupported(name, "an id means something at one server only")
    if "." in name:
        raise _unsupported(name, "chained parameters are not sent to peers")
    if bare in _NO_ORDER:
        raise _unsupported(name, "answers of many servers have no common order or number")
    parameter = type_.parameters.get(bare)
    if parameter is not None and parameter.kind is Kind.REFERENCE and name != f"{bare}:missing":
        raise _unsupported(name, "a reference means something at one server only")


def _unsupported(name: str, why: str) -> FhirProblem:
    return FhirProblem("fhir-parameter-unsupported", f"{shown(name)} cannot be asked here: {why}.")
