"""Individual access: people who ask for their own records through a provider (facts: tefca 8.1).

Their identity was proved by a credential service provider, whose id_token goes with each question.
A discovery must be about the person whom the token proves; a query or a retrieve names a patient by
id alone, so that whoever the token's person is among ours is found anew, and nobody else's
documents are given.

**Mode 1**: the answer names our FHIR endpoint for individual access by its directory id, where the
person signs in; whether the person is known here is not told, and there are no documents.
**Mode 2**: the person is found by demographics, and the exchange goes on as for any other purpose.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Protocol

from node.errors import CodedError
from node.exchange.ports import Asker, RecordSource
from node.model import Demographics, HomeCommunityId, Match, PatientId
from node.policy.decide import Decision, Effect
from node.policy.individual import disagreements, of_person
from node.policy.purposes import PurposeRegister
from node.policy.reasons import reason
from trust.udap.id_token import IdToken

MISSING, DIFFERS, OTHER, ENDPOINT = (
    "ias-token-missing", "ias-person-differs", "ias-other-person", "ias-by-endpoint",
)  # fmt: skip
_RULE = "in-8-individual"


class IdTokens(Protocol):
    """Proves id_tokens; the providers' keys may have to be fetched."""

    async def verify(self, token: str, *, audience: str) -> IdToken:
        """A token that holds.

        Raises:
            TrustError: as ``trust.udap.id_token.read_id_token``.
            OurFault: ``id-token-keys``.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Individual:
    """Who asks for their own records; without ``token`` and ``refused`` the purpose is another."""

    token: IdToken | None = None
    refused: Decision | None = None


class IndividualAccess:
    """Judges questions for individual access, and passes over all others."""

    def __init__(
        self,
        *,
        tokens: IdTokens | None,
        records: RecordSource,
        purposes: PurposeRegister,
        endpoint: str | None = None,
    ) -> None:
        """``tokens`` is ``None`` where no provider is trusted; ``endpoint`` chooses mode 1."""
        self._tokens = tokens
        self._records = records
        self._purposes = purposes
        self._endpoint = endpoint

    async def identify(
        self, asker: Asker, *, asked: Demographics | None = None, documents: bool = False
    ) -> Individual:
        """Whose token came with a question.

        Args:
            asker: who asks, with the token.
            asked: of a discovery, who is asked about.
            documents: whether the question is for documents.
        """
        purpose = self._purposes.get(asker.principal.purpose)
        if purpose is None or not purpose.individual:
            return Individual()
        proved = await self._proved(asker)
        if isinstance(proved, Decision):
            return Individual(refused=proved)
        if documents and self._endpoint is not None:
            return Individual(refused=_refused(ENDPOINT))
        differing = disagreements(proved.person, asked) if asked is not None else ()
        if differing:
            said = f"These do not agree: {', '.join(differing)}."
            return Individual(refused=_refused(DIFFERS, said))
        return Individual(token=proved)

    async def _proved(self, asker: Asker) -> IdToken | Decision:
        given = asker.principal.id_token
        if given is None:
            return _refused(MISSING)
        if self._tokens is None:
            return _refused(reason_of("id-token-issuer"))
        try:
            return await self._tokens.verify(given, audience=asker.principal.home_community_id)
        except CodedError as error:
            return _refused(reason_of(error.code), error.sentence)

    async def others(
        self, individual: Individual, patients: Iterable[PatientId]
    ) -> frozenset[PatientId]:
        """Those of some patients who are not the person that a token proves."""
        named = frozenset(patients)
        if individual.token is None or not named:
            return frozenset()
        found = await self._records.match(of_person(individual.token.person))
        return named - {each.patient_id for each in found}

    def endpoint(self, individual: Individual, own: HomeCommunityId, name: str) -> Match | None:
        """In mode 1, the answer to a discovery: where the person signs in."""
        if individual.token is None or self._endpoint is None:
            return None
        return Match(
            patient_id=PatientId(
                assigning_authority=own.removeprefix("urn:oid:"), id=self._endpoint
            ),
            home_community_id=own,
            demographics=Demographics(),
            organization_name=name,
        )


def another_person() -> Decision:
    """The refusal of documents that are not the proved person's."""
    return _refused(OTHER)


def _refused(code: str, why: str | None = None) -> Decision:
    sentence = reason(code).sentence
    return Decision(
        effect=Effect.DENY,
        rules=(_RULE,),
        reason=code,
        sentence=f"{sentence} {why}" if why else sentence,
    )


def reason_of(code: str) -> str:
    """Why a question is refused whose id_token failed with a code (``data/individual.toml``)."""
    rows = _reasons()
    return rows.get(code, rows["other"])


@lru_cache
def _reasons() -> dict[str, str]:
    text = resources.files("node.exchange").joinpath("data/individual.toml").read_text("utf-8")
    return {str(code): str(name) for code, name in tomllib.loads(text).items()}
