"""The edge of every endpoint: do the work, enter it in the log, and only then answer.

Everybody may connect: a client is known by its signed token, not by its TLS certificate. So what
was refused before a signer was proved is entered in the log only so often for each address; past
that it is answered with 429 and counted, and the log cannot be filled by strangers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from starlette.requests import Request
from starlette.responses import Response

from node.errors import CodedError, NetworkFault
from node.gateway.oauth import http
from node.gateway.oauth.attempt import Attempt
from node.gateway.oauth.patience import Patience
from node.gateway.oauth.refusal import Endpoint, Refused
from node.gateway.oauth.server import AuthorizationServer
from node.model import Outcome

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """Work that was done: its answer, and how it is undone when it cannot be entered."""

    response: Response
    take_back: Callable[[], None]


class Answering:
    """Answers requests to an authorization server."""

    def __init__(self, server: AuthorizationServer, patience: Patience) -> None:
        """``patience`` limits what strangers may cost."""
        self._server = server
        self._patience = patience

    async def answered(
        self, request: Request, attempt: Attempt, endpoint: Endpoint, work: Awaitable[Done]
    ) -> Response:
        """Do the work, enter it, and only then answer."""
        address = request.client.host if request.client else ""
        try:
            done = await work
        except Refused as refused:
            return await self.refused(attempt, endpoint, refused, address)
        except NetworkFault:
            return http.answer({"error": "invalid_request"}, 400)  # nobody is there to read it
        except CodedError as error:
            _log.error("fhir.authorization", code=error.code, transaction=attempt.step.value)
            failed = Refused("oauth-internal", "The server could not do it; nothing was granted.")
            return await self.refused(attempt, endpoint, failed, address, outcome=Outcome.FAILED)
        try:
            await self._server.log.enter(
                attempt,
                directory_version=self._server.peers.version,
                response=bytes(done.response.body),
                outcome=Outcome.OK,
            )
        except BaseException:
            await asyncio.shield(asyncio.to_thread(done.take_back))
            raise
        return done.response

    async def refused(
        self,
        attempt: Attempt,
        endpoint: Endpoint,
        refused: Refused,
        address: str,
        outcome: Outcome = Outcome.DECLINED,
    ) -> Response:
        """Enter a refusal and answer it. Raises ``OurFault``."""
        if self._is_flood(attempt, address):
            many = Refused("oauth-too-many", "Too many refused requests; wait a minute.")
            return http.refusal(many, endpoint)
        response = http.refusal(refused, endpoint)
        await self.enter_refusal(attempt, refused, bytes(response.body), outcome)
        return response

    async def noted(self, attempt: Attempt, refused: Refused, address: str) -> bool:
        """Enter a refusal that is answered otherwise; ``False`` when strangers sent too many."""
        if self._is_flood(attempt, address):
            return False
        await self.enter_refusal(attempt, refused, None, Outcome.DECLINED)
        return True

    async def enter_refusal(
        self, attempt: Attempt, refused: Refused, answer: bytes | None, outcome: Outcome
    ) -> None:
        """Write the entry of a refusal. Raises ``OurFault``."""
        await self._server.log.enter(
            attempt,
            directory_version=self._server.peers.version,
            response=answer,
            outcome=outcome,
            reason=refused.code,
            sentence=refused.sentence,
        )

    def _is_flood(self, attempt: Attempt, address: str) -> bool:
        now = self._server.clock.monotonic()
        if attempt.proved or self._patience.allows(address, now):
            return False
        _log.warning("fhir.flood", address=address, transaction=attempt.step.value)
        return True
