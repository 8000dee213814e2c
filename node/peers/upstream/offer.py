"""What the health system's FHIR server offers, read at the start and looked after from then on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from node.peers.upstream.client import UpstreamClient
from node.wire.fhir.catalogue import ResourceType
from node.wire.fhir.offer import is_same, offered
from node.wire.fhir.problem import FhirProblem

REFRESH_SECONDS: Final = 300.0
RETRY_SECONDS: Final = 10.0

_log = structlog.get_logger(__name__)


class LiveOffer:
    """Its CapabilityStatement, cut to ours. Asked for again where it is older than five minutes.

    What was read once stays in force while the server does not answer.
    """

    def __init__(
        self, client: UpstreamClient, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Nothing is read yet."""
        self._client = client
        self._monotonic = monotonic
        self._types: Mapping[str, ResourceType] | None = None
        self._problem: FhirProblem | None = None
        self._due = float("-inf")
        self._asking = asyncio.Lock()

    async def types(self) -> Mapping[str, ResourceType]:
        """What is offered now; the same object as long as it does not change.

        Raises:
            FhirProblem: ``fhir-upstream-...`` while the server was never read.
        """
        if self._monotonic() >= self._due:
            async with self._asking:
                if self._monotonic() >= self._due:
                    await self._read()
        if self._types is None:
            problem = self._problem
            raise FhirProblem(problem.code, problem.sentence) if problem else AssertionError
        return self._types

    async def _read(self) -> None:
        try:
            found = offered(await self._client.metadata())
        except FhirProblem as problem:
            self._problem = problem
            self._due = self._monotonic() + RETRY_SECONDS
            _log.warning("fhir.upstream-unread", code=problem.code, detail=problem.detail)
            return
        self._due = self._monotonic() + REFRESH_SECONDS
        before = self._types
        if before is None or not _are_same(before, found):
            self._types = found
            _log.info("fhir.upstream-offer", count=len(found))


def _are_same(before: Mapping[str, ResourceType], found: Mapping[str, ResourceType]) -> bool:
    return set(before) == set(found) and all(is_same(before[n], found[n]) for n in found)
