"""Patients of the network for our own systems: ITI-78, ITI-119, ITI-83, and reading one.

A person whom communities know with certainty is one Patient, the network patient; for each of these
communities there is a Patient of its own beside it (``link``, included), and one for every identity
that nobody linked. With any of their ids one may go on to ask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlencode

from node.exchange.fhir_match import MatchRequest, match_entry
from node.exchange.fhir_reply import FhirReply
from node.exchange.fhir_respond import FhirCall
from node.exchange.network_answer import AnswerWriter
from node.exchange.network_discovery import Discovered, Discovery, FoundPerson
from node.exchange.network_persons import Grade
from node.exchange.network_ports import NetworkPatient
from node.exchange.network_serve import NetworkQuestion, NetworkServer
from node.exchange.outcomes import Ending
from node.exchange.ports import DirectoryView
from node.model import Demographics, HomeCommunityId, Outcome, PatientId
from node.wire.fhir.bundle_writer import Link, SearchEntry
from node.wire.fhir.network_patient import Said, network_patient
from node.wire.fhir.outcome import warning
from node.wire.fhir.pdqm import PersonSearch, keeps, may_be_asked
from node.wire.fhir.pixm import PixQuery, write_identifiers
from node.wire.fhir.problem import FhirProblem

_SEARCH, _READ = "s", "r"


class NetworkPeople:
    """The use cases about patients."""

    def __init__(
        self,
        *,
        server: NetworkServer,
        discovery: Discovery,
        writer: AnswerWriter,
        directory: DirectoryView,
    ) -> None:
        """The parts."""
        self._server = server
        self._discovery = discovery
        self._writer = writer
        self._directory = directory

    async def search(self, call: FhirCall, search: PersonSearch) -> FhirReply:
        """ITI-78."""

        async def work(question: NetworkQuestion) -> FhirReply:
            if search.ids:
                found = [await self._discovery.person(question, id_) for id_ in search.ids]
                people = Discovered(people=tuple(p for p in found if p is not None))
            else:
                _check_askable(search.demographics)
                people = await self._discovery.find(question, search.demographics)
            return self._searchset(search, people)

        return await self._server.serve(call, "Patient", _SEARCH, work)

    async def match(self, call: FhirCall, request: MatchRequest) -> FhirReply:
        """ITI-119: with ``onlyCertainMatches`` the network patient or nobody, never an error."""

        async def work(question: NetworkQuestion) -> FhirReply:
            _check_askable(request.demographics)
            found = await self._discovery.find(question, request.demographics)
            people = [each for each in found.people if not each.is_part]
            if request.only_certain:
                people = [each for each in people if each.grade is Grade.CERTAIN]
            people = sorted(people, key=_rank)[: request.count]
            entries = [
                match_entry(
                    self._address(each), self._resource(each), each.percent, each.grade.value
                )
                for each in people
            ]
            reply = self._writer.bundle(entries, results=found.results, total=len(entries))
            return _about(reply, people)

        return await self._server.serve(call, "Patient", _SEARCH, work)

    async def read(self, call: FhirCall, id_: str) -> FhirReply:
        """One network patient."""

        async def work(question: NetworkQuestion) -> FhirReply:
            person = await self._discovery.person(question, id_)
            if person is None:
                raise FhirProblem(
                    "fhir-not-found", "No such patient is remembered here; search again."
                )
            reply = FhirReply(body=self._resource(person), ending=Ending(outcome=Outcome.OK))
            return _about(reply, [person])

        return await self._server.serve(call, "Patient", _READ, work)

    async def cross_reference(self, call: FhirCall, query: PixQuery) -> FhirReply:
        """ITI-83: what other communities call the person whom one of them calls so."""

        async def work(question: NetworkQuestion) -> FhirReply:
            asked = Demographics(identifiers=(query.source,))
            found = await self._discovery.find(question, asked)
            patient = found.certain
            if patient is None:
                silent = self._writer.bundle([], results=found.results, total=0)
                if silent.ending.outcome in (Outcome.FAILED, Outcome.TIMED_OUT):
                    return silent
                raise FhirProblem("fhir-not-found", "No community knows this identifier.")
            return self._identifiers(query, found, patient)

        return await self._server.serve(call, "Patient", _SEARCH, work)

    # --- the parts of an answer ---------------------------------------------------------------

    def _searchset(self, search: PersonSearch, found: Discovered) -> FhirReply:
        people = [each for each in found.people if _fits(search, each)]
        if search.domains and people:
            people = [each for each in people if _is_in(search.domains, each.patient)]
            if not people:
                raise FhirProblem(
                    "fhir-domain-unknown", "targetSystem not found: no identifier of it is known."
                )
        matches = [each for each in people if not each.is_part]
        kept = matches[: search.count]
        shown = {id_ for each in kept for id_ in (each.patient.id, *each.links)}
        parts = [each for each in people if each.is_part and each.patient.id in shown]
        entries = [self._entry(each, "match") for each in kept]
        entries += [self._entry(each, "include") for each in parts]
        if search.provenance:
            entries += self._provenances(kept, found)
        warnings = [
            warning("not-supported", f"The parameter {name} is not supported here and was ignored.")
            for name in search.ignored
        ]
        if len(matches) > len(kept) or found.is_cut:
            warnings.append(warning("incomplete", "There are more patients than were asked for."))
        used = urlencode(search.used)
        address = self._writer.address("Patient")
        reply = self._writer.bundle(
            entries,
            results=found.results,
            total=len(matches),
            links=[Link(relation="self", url=f"{address}?{used}" if used else address)],
            warnings=warnings,
        )
        return _about(reply, kept)

    def _identifiers(
        self, query: PixQuery, found: Discovered, patient: NetworkPatient
    ) -> FhirReply:
        said = [each for each in self._said(patient) if each.patient_id != query.source]
        if query.targets:
            known = {pid.assigning_authority for each in said for pid in _ids(each)}
            if not known & set(query.targets):
                raise FhirProblem(
                    "fhir-target-unknown", "No identifier of a targetSystem is known."
                )
        parts = [each.patient for each in found.people if each.is_part] or [patient]
        references = [
            self._writer.address(f"Patient/{part.id}")
            for part in parts
            if not query.targets
            or any(
                k.patient_id and k.patient_id.assigning_authority in query.targets
                for k in part.known
            )
        ]
        body = write_identifiers(query, said, references)
        reply = FhirReply(body=body, ending=Ending(outcome=Outcome.OK))
        return _about(reply, [FoundPerson(patient=patient, grade=Grade.CERTAIN, percent=100)])

    def _provenances(self, people: Sequence[FoundPerson], found: Discovered) -> list[SearchEntry]:
        targets: dict[HomeCommunityId, list[str]] = {}
        for each in people:
            for known in each.patient.known:
                names = targets.setdefault(known.home_community_id, [])
                names.append(f"Patient/{each.patient.id}")
        names_of = {home: self._name(home) for home in targets}
        return self._writer.provenances(targets, names_of, found.messages)

    def _entry(self, person: FoundPerson, mode: str) -> SearchEntry:
        search: dict[str, object] = {"mode": mode}
        if mode == "match":
            search["score"] = person.percent / 100
        return SearchEntry(
            full_url=self._address(person), resource=self._resource(person), search=search
        )

    def _address(self, person: FoundPerson) -> str:
        return self._writer.address(f"Patient/{person.patient.id}")

    def _resource(self, person: FoundPerson) -> bytes:
        said = self._said(person.patient)
        source = said[0].home_community_id if len(said) == 1 else self._writer.own
        return network_patient(person.patient.id, said, source=source, links=person.links)

    def _said(self, patient: NetworkPatient) -> list[Said]:
        return [
            Said(
                home_community_id=each.home_community_id,
                name=self._name(each.home_community_id),
                patient_id=each.patient_id,
                demographics=each.demographics or Demographics(),
            )
            for each in patient.known
        ]

    def _name(self, home: HomeCommunityId) -> str:
        entry = self._directory.by_home_community_id(home)
        return entry.name if entry is not None else home


def _check_askable(demographics: Demographics) -> None:
    if not may_be_asked(demographics):
        raise FhirProblem(
            "fhir-question-incomplete",
            "The network is asked with an identifier, or with a name and a date of birth.",
        )


def _fits(search: PersonSearch, person: FoundPerson) -> bool:
    return search.is_active and any(
        keeps(search, each.demographics or Demographics()) for each in person.patient.known
    )


def _is_in(domains: Sequence[str], patient: NetworkPatient) -> bool:
    return any(
        pid.assigning_authority in domains
        for each in patient.known
        for pid in (
            *([each.patient_id] if each.patient_id else ()),
            *(each.demographics.identifiers if each.demographics else ()),
        )
    )


def _ids(said: Said) -> list[PatientId]:
    own = [said.patient_id] if said.patient_id else []
    return [*own, *said.demographics.identifiers]


def _rank(person: FoundPerson) -> tuple[bool, int]:
    return person.grade is not Grade.CERTAIN, -person.percent


def _about(reply: FhirReply, people: Sequence[FoundPerson]) -> FhirReply:
    ids = [k.patient_id for each in people for k in each.patient.known if k.patient_id]
    return replace(reply, patients=list(dict.fromkeys(ids)))
