"""What a peer's authorization server answered: a token, or its error code."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from node.errors import AnswerError, TheirFault
from node.peers.udap.calls import Answer
from node.peers.udap.log import Sent

MAX_LIFE = timedelta(minutes=60)
UNSTATED_LIFE = timedelta(minutes=5)
"""Of a token whose server does not say how long it lives."""

MAX_SECONDS = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A token for one context; ``reused`` says that it was asked for earlier."""

    value: str = field(repr=False)
    scope: str
    expires: datetime
    client_id: str
    reused: bool = False


def read_token(
    answer: Answer, client_id: str, asked: str, now: datetime, sent: Sent
) -> AccessToken:
    """The token of an answer; what was tolerated is noted.

    Raises:
        TheirFault: ``oauth-answer-invalid``.
    """
    value, kind = answer.document.get("access_token"), answer.document.get("token_type")
    if not isinstance(value, str) or not value or not isinstance(kind, str):
        raise TheirFault("oauth-answer-invalid", "The peer's answer holds no token.")
    if kind.lower() != "bearer":
        raise TheirFault("oauth-answer-invalid", "The peer's token is of an unknown type.")
    seconds = answer.document.get("expires_in")
    life = UNSTATED_LIFE
    if isinstance(seconds, str) and seconds.isdecimal() and len(seconds) < 10:  # noqa: PLR2004
        sent.deviations.append("expires-in-text")
        seconds = int(seconds)
    if isinstance(seconds, int) and not isinstance(seconds, bool) and seconds > 0:
        life = timedelta(seconds=min(seconds, MAX_SECONDS))
    else:
        sent.deviations.append("expires-in-missing")
    if life > MAX_LIFE:
        sent.deviations.append("expires-in-too-long")
        life = MAX_LIFE
    scope = answer.document.get("scope")
    return AccessToken(
        value=value,
        scope=scope if isinstance(scope, str) and scope else asked,
        expires=now + life,
        client_id=client_id,
    )


def expect(answer: Answer, statuses: Collection[int]) -> None:
    """An answer of success. Raises ``AnswerError`` with the server's own error code."""
    if answer.status in statuses and "error" not in answer.document:
        return
    error = answer.document.get("error")
    fault = error if isinstance(error, str) and error.isascii() else None
    raise AnswerError(
        "oauth-refused",
        "The peer's authorization server refused: "
        f"{fault if fault and fault.replace('_', '').isalpha() else 'without a code'}.",
        detail=f"status {answer.status}",
        fault=fault,
    )
