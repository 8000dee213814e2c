"""The CapabilityStatement of a server whose source may offer more or less tomorrow."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from node.wire.fhir.catalogue import ResourceType

Offer = Mapping[str, ResourceType]
Statement = bytes | Callable[[], Awaitable[bytes]]
"""One that never changes, or what gives the one that holds now (raises ``FhirProblem``)."""


class StatementOfOffer:
    """Writes the statement again where the source's offer has changed."""

    def __init__(
        self, offer: Callable[[], Awaitable[Offer]], write: Callable[[Offer], bytes]
    ) -> None:
        """``offer`` gives the same object as long as nothing changes."""
        self._offer = offer
        self._write = write
        self._written: tuple[Offer, bytes] | None = None

    async def __call__(self) -> bytes:
        """The statement that holds now."""
        offer = await self._offer()
        if self._written is None or self._written[0] is not offer:
            self._written = offer, self._write(offer)
        return self._written[1]
