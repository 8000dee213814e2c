"""Asks OCSP responders what judgements wanted to know: out of band, by the rules of fetches."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from datetime import datetime

import aiohttp
import structlog

from node.errors import CodedError, NodeError
from node.ops.metrics import Metrics
from node.outbound_fetch import FetchRules, fetch, open_fetching
from node.settings import RevocationSection
from trust.live_revocation import LiveRevocations
from trust.ocsp import MAX_OCSP_BYTES, OcspAnswer, OcspStatus, evaluate_ocsp
from trust.ocsp_memory import OcspQuestion

_log = structlog.get_logger(__name__)
_NONCE_BYTES = 16
_SIDE_BY_SIDE = 8
_LOOK_SECONDS = 1.0


class OcspAsker:
    """Asks the questions that are due; one instance per process."""

    def __init__(
        self,
        settings: RevocationSection,
        revocations: LiveRevocations,
        now: Callable[[], datetime],
        metrics: Metrics | None = None,
    ) -> None:
        """``metrics`` counts the answers."""
        self._revocations = revocations
        self._now = now
        self._metrics = metrics or Metrics()
        self._rules = FetchRules(
            hosts=settings.hosts,
            allow_private=settings.allow_private_addresses,
            seconds=settings.fetch_seconds,
        )

    async def ask(self) -> int:
        """Ask what is due; how many answers say something new. They are in use on return."""
        due = self._revocations.ocsp.due(self._now())
        if not due:
            return 0
        room = asyncio.Semaphore(_SIDE_BY_SIDE)
        async with open_fetching(self._rules, self._revocations.anchors) as session:

            async def one(question: OcspQuestion) -> bool:
                async with room:
                    return await self._one(session, question)

            return sum(await asyncio.gather(*(one(question) for question in due)))

    async def _one(self, session: aiohttp.ClientSession, question: OcspQuestion) -> bool:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        try:
            fetched = await fetch(
                session,
                question.url,
                self._rules,
                max_bytes=MAX_OCSP_BYTES,
                headers={"Content-Type": "application/ocsp-request"},
                data=question.request(nonce),
            )
            answer = evaluate_ocsp(
                fetched.body or b"",
                certificate=question.certificate,
                issuer=question.issuer,
                now=self._now(),
                nonce=nonce,
            )
        except NodeError as error:
            answer = OcspAnswer(
                status=OcspStatus.UNKNOWN, reason_code=error.code, sentence=error.sentence
            )
        self._tell(question, answer)
        try:
            return self._revocations.answered(question, answer, now=self._now())
        except CodedError as error:
            _log.error("ocsp.unkept", code=error.code, sentence=error.sentence)
            return True

    def _tell(self, question: OcspQuestion, answer: OcspAnswer) -> None:
        self._metrics.ocsp_asked(answer.reason_code or answer.status)
        if answer.reason_code is not None:
            _log.warning(
                "ocsp.answer",
                code=answer.reason_code,
                fingerprint=question.name,
                address=question.url,
            )


async def keep_asking(asker: OcspAsker) -> None:
    """Ask what judgements leave open, until cancelled."""
    while True:
        await asker.ask()
        await asyncio.sleep(_LOOK_SECONDS)
