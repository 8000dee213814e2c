"""Who may see what over FHIR: policy for the organisation, scopes for types, one patient or all.

Deny by default: a scope that is not understood gives nothing, and a scope in a patient's context
gives nothing to a token that is not bound to a patient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import parse_qsl

from node.exchange.fhir_ports import Grant, View
from node.exchange.respond import OwnNode
from node.model import Step
from node.policy.decide import Decision, InboundFacts, PartyFacts, decide_inbound
from node.policy.opt_out import OptOuts
from node.policy.purposes import PurposeRegister
from node.policy.scopes import Scope, allows
from node.wire.fhir.catalogue import ResourceType, resource_types
from node.wire.fhir.problem import FhirProblem
from node.wire.fhir.query import Criterion, SearchLimits, parse_search

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_PATIENT = "patient"


class DeniedByPolicy(FhirProblem):
    """Policy said no; ``decision`` says why."""

    def __init__(self, decision: Decision) -> None:
        """The sentence is the decision's."""
        super().__init__("fhir-policy-denied", decision.sentence or "Policy does not allow this.")
        self.decision = decision


class Admission:
    """Decides requests of proved clients."""

    def __init__(
        self,
        *,
        own: OwnNode,
        purposes: PurposeRegister,
        opt_outs: Callable[[], OptOuts],
    ) -> None:
        """``opt_outs`` gives the list that is in force at the moment of the call."""
        self._own = own
        self._purposes = purposes
        self._opt_outs = opt_outs

    def admit(
        self, interaction: Step, grant: Grant, type_: str, operation: str
    ) -> tuple[Decision, View]:
        """The decision and the view of a request that may be answered.

        Args:
            interaction: what is asked.
            grant: who asks.
            type_: the resource type that it is about.
            operation: ``r`` or ``s`` of SMART scopes.

        Raises:
            FhirProblem: ``fhir-policy-denied``, ``fhir-type-unknown``, ``fhir-scope-missing``.
        """
        decision = self._decide(interaction, grant)
        if not decision.permitted:
            raise DeniedByPolicy(decision)
        if type_ not in resource_types():
            raise FhirProblem("fhir-type-unknown", "This type of resource is not served here.")
        view = View(
            scopes=_seen(grant.scopes, operation, is_bound=grant.patient is not None),
            patient=grant.patient,
            opt_outs=self._opt_outs(),
        )
        if type_ not in view.scopes:
            raise FhirProblem("fhir-scope-missing", "The token has no scope for this.")
        return decision, view

    def _decide(self, interaction: Step, grant: Grant) -> Decision:
        entry = grant.entry
        return decide_inbound(
            InboundFacts(
                transaction=interaction,
                purpose=grant.purpose,
                asker=PartyFacts(
                    active=entry.active,
                    suspended=entry.suspended,
                    initiates=entry.initiates,
                    unsigned_refused=entry.unsigned_refused,
                ),
                own_responds=self._own.responds(),
                own_communities=frozenset([self._own.home_community_id]),
            ),
            self._purposes,
        )


@lru_cache(maxsize=1024)
def _seen(
    granted: tuple[Scope, ...], operation: str, *, is_bound: bool
) -> Mapping[str, tuple[tuple[Criterion, ...], ...]]:
    """The types that scopes open, each with the sets of criteria of which one must hold."""
    usable = [s for s in granted if s.context != _PATIENT or is_bound]
    seen: dict[str, tuple[tuple[Criterion, ...], ...]] = {}
    for name, type_ in resource_types().items():
        queries = allows(usable, name, operation)
        if queries == ():
            seen[name] = ()
        elif queries:
            sets = tuple(c for q in queries if (c := _criteria(type_, q)) is not None)
            if sets:
                seen[name] = sets
    return seen


def _criteria(type_: ResourceType, query: str) -> tuple[Criterion, ...] | None:
    """The criteria of a scope such as ``Observation.rs?category=laboratory``."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
        parsed = parse_search(
            type_, pairs, strict=True, base_url="", now=_NEVER, limits=SearchLimits()
        )
    except (FhirProblem, ValueError):
        return None
    is_plain = len(parsed.criteria) == len(pairs)
    return parsed.criteria if is_plain and parsed.criteria else None
