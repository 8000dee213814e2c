"""What the console asks of the sign-on of our organisation (implemented by ``node.sign_on``)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from node.users.sign_on import Identity
from node.users.sign_on_attempts import Begun


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What the browser brought back: the code, and who says that it comes from there (RFC 9207)."""

    code: str
    issuer: str | None


class Provider(Protocol):
    """The provider. Each method may ask it over the network.

    All raise ``NodeError``: ``sign-on-unreachable``, ``sign-on-provider`` when what it publishes or
    answers is not what OpenID Connect asks for.
    """

    words: str

    async def address(self, begun: Begun, *, anew: bool) -> str:
        """Where the browser goes to prove who sits there; ``anew``: even if they just did."""
        ...

    async def identity(
        self, answered: Answered, begun: Begun, *, anew: datetime | None
    ) -> Identity:
        """Who it is. Raises also the codes of ``node.users.sign_on``, and ``sign-on-code``."""
        ...

    async def leaving(self) -> str | None:
        """Where the browser goes to end the provider's own session; ``None`` if it has no such."""
        ...
