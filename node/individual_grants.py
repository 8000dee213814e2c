"""Tokens for people who ask for their own records over FHIR (``tefca_ias``; facts: tefca 8, 8.1).

The id_token is proved, the US Core Patient beside it must agree with it, and exactly one certain
match among our Patients must come of it: the token is then bound to that Patient.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from node.errors import CodedError
from node.exchange.fhir_ports import FhirRecords, View
from node.exchange.individual import DIFFERS, ENDPOINT, IdTokens, reason_of
from node.gateway.oauth.refusal import Refused
from node.policy.individual import disagreements
from node.policy.opt_out import OptOuts
from node.policy.reasons import reason
from node.wire.fhir_patient import read_patient
from trust.udap.ias import Ias
from trust.udap.id_token import IdToken

_SECONDS: Final = 20.0
_TWO: Final = 2


class IndividualGrants:
    """Implements ``gateway.oauth.server.Individuals``; made inside the event loop."""

    def __init__(
        self,
        *,
        tokens: IdTokens,
        records: FhirRecords,
        opt_outs: Callable[[], OptOuts],
        by_endpoint: bool = False,
    ) -> None:
        """``by_endpoint`` is mode 1: people sign in themselves, and no system asks for them."""
        self._tokens = tokens
        self._records = records
        self._opt_outs = opt_outs
        self._by_endpoint = by_endpoint
        self._loop = asyncio.get_running_loop()

    def patient(self, ias: Ias, *, audience: str) -> str:
        """The id of the one Patient; called in a thread.

        Raises:
            Refused: ``ias-*``.
        """
        if self._by_endpoint:
            raise Refused(ENDPOINT, reason(ENDPOINT).sentence)
        work = asyncio.run_coroutine_threadsafe(self._patient(ias, audience), self._loop)
        return work.result(_SECONDS)

    async def _patient(self, ias: Ias, audience: str) -> str:
        proved = await self._proved(ias, audience)
        asked = read_patient(dict(ias.patient))[0]
        if differing := disagreements(proved.person, asked):
            raise Refused(
                DIFFERS, f"{reason(DIFFERS).sentence} These do not agree: {', '.join(differing)}."
            )
        view = View(scopes={"Patient": ()}, opt_outs=self._opt_outs())
        found = await self._records.match(asked, view, only_certain=True, limit=_TWO)
        if len(found) != 1:
            raise Refused("ias-no-match", "The individual is nobody of whom we hold records.")
        return found[0].patient.id

    async def _proved(self, ias: Ias, audience: str) -> IdToken:
        try:
            return await self._tokens.verify(ias.id_token, audience=audience)
        except CodedError as error:
            code = reason_of(error.code)
            raise Refused(code, f"{reason(code).sentence} {error.sentence}") from error
