"""Answers to our own systems: resources, where they come from, and who did not answer.

A bundle has one OperationOutcome with an issue for every peer that did not answer in full. Where
nothing was found and not one peer answered, the answer is no bundle but 502 or 504: "nothing held"
must never be said on behalf of those who were not reached.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from node.exchange.fhir_reply import FhirReply
from node.exchange.outcomes import Ending
from node.exchange.ports import Clock
from node.model import HomeCommunityId, Outcome
from node.wire.fhir.bundle_writer import Link, SearchEntry, write_searchset
from node.wire.fhir.outcome import write_outcome
from node.wire.fhir.peer_results import PeerResult, incomplete, peer_issues, row_of
from node.wire.fhir.provenance import Party, write_provenance

_TIMEOUT = 504


class AnswerWriter:
    """Writes answers under the base address of the network."""

    def __init__(self, *, own: HomeCommunityId, name: str, base_url: str, clock: Clock) -> None:
        """``name`` is our organisation's; ``base_url`` has no slash at its end."""
        self._own = own
        self._name = name
        self._base_url = base_url
        self._clock = clock

    @property
    def own(self) -> HomeCommunityId:
        """Our own community."""
        return self._own

    @property
    def party(self) -> Party:
        """Ourselves, who pass on what peers give."""
        return Party(home_community_id=self._own, name=self._name)

    @property
    def base_url(self) -> str:
        """The base address of the network."""
        return self._base_url

    def address(self, name: str) -> str:
        """The absolute address of ``Type/id``."""
        return f"{self._base_url}/{name}"

    @property
    def clock(self) -> Clock:
        """The clock of its timestamps."""
        return self._clock

    def bundle(
        self,
        entries: Sequence[SearchEntry],
        *,
        results: Sequence[PeerResult],
        total: int | None,
        links: Sequence[Link] = (),
        warnings: Sequence[dict[str, Any]] = (),
    ) -> FhirReply:
        """A searchset, or the refusal to say that there is nothing when nobody answered."""
        missing = incomplete(results)
        found = sum(e.search.get("mode") == "match" for e in entries)
        if not found and missing and len(missing) == len(results):
            return self.nobody(results)
        issues = [*peer_issues(results), *warnings]
        written = list(entries)
        if issues:
            written.append(
                SearchEntry(
                    full_url=f"urn:uuid:{self._clock.new_id()}",
                    resource=write_outcome(issues),
                    search={"mode": "outcome"},
                )
            )
        now = self._clock.now()
        body = write_searchset(
            written, bundle_id=self._clock.new_id(), now=now, total=total, links=links
        )
        outcome = Outcome.OK if found else Outcome.OK_EMPTY
        ending = Ending(outcome=Outcome.PARTIAL if missing else outcome)
        return FhirReply(body=body, ending=ending)

    def provenances(
        self,
        targets: Mapping[HomeCommunityId, Sequence[str]],
        names: Mapping[HomeCommunityId, str],
        messages: Mapping[HomeCommunityId, str],
    ) -> list[SearchEntry]:
        """One Provenance for what came from each community.

        ``targets`` are ``Type/id`` of ours, or addresses of the community.
        """
        made = []
        for home, references in targets.items():
            id_ = self._clock.new_id()
            message = messages.get(home)
            resource = write_provenance(
                id_=id_,
                targets=[
                    each if each.startswith("https:") else self.address(each) for each in references
                ],
                origin=Party(home_community_id=home, name=names.get(home, home)),
                transmitter=self.party,
                messages=[message] if message else [],
                recorded=self._clock.now(),
            )
            made.append(
                SearchEntry(
                    full_url=f"urn:uuid:{id_}", resource=resource, search={"mode": "include"}
                )
            )
        return made

    def nobody(self, results: Sequence[PeerResult]) -> FhirReply:
        """The answer when not one peer gave any: 502, or 504 when all were too slow."""
        statuses = {row_of(each.outcome, each.reason).status for each in results}
        status = statuses.pop() if len(statuses) == 1 else 502
        timed_out = status == _TIMEOUT
        return FhirReply(
            status=status,
            body=write_outcome(peer_issues(results, severity="error")),
            ending=Ending(
                outcome=Outcome.TIMED_OUT if timed_out else Outcome.FAILED,
                reason="fhir-network-silent",
                sentence="Not one peer answered.",
            ),
        )
