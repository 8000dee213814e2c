"""One session with the mail server as a person sees it: each step, its time and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from enum import StrEnum
from time import monotonic

from node.errors import CodedError
from node.mail.smtp import Server, Step, session


class State(StrEnum):
    """What came of a step."""

    OK = "ok"
    FAILED = "fail"
    NOT_DUE = "not due"
    NOT_REACHED = "not reached"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One step.

    Attributes:
        ms: how long it took, ``None`` where it was not tried.
        sentence: what was seen.
    """

    step: Step
    state: State
    ms: int | None = None
    sentence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """All steps in order, and the error that ended them."""

    steps: tuple[Tried, ...]
    error: CodedError | None


_NOT_DUE = {
    Step.TLS: 'The settings want none (mail.security = "none").',
    Step.AUTHENTICATION: "The settings name no account (mail.user).",
}


def try_out(server: Server, message: EmailMessage, told: Callable[[Tried], None]) -> Trial:
    """Send a message in a session of its own; ``told`` hears of each step as it ends.

    Nothing is raised for what the server or the network does; each step ends within
    ``server.seconds`` for each address that the name has.
    """
    done: list[Tried] = []
    since = monotonic()

    def add(step: Step, state: State, sentence: str) -> None:
        nonlocal since
        now = monotonic()
        ms = None if state is State.NOT_DUE else round((now - since) * 1000)
        since = now
        done.append(Tried(step=step, state=state, ms=ms, sentence=sentence))
        told(done[-1])

    def reached(step: Step, seen: str) -> None:
        state = State.OK if seen else State.NOT_DUE
        add(step, state, seen or _NOT_DUE[step])

    failed: CodedError | None = None
    try:
        with session(server, reached) as send:
            send(message)
    except CodedError as error:
        failed = error
        detail = f" ({error.detail})" if error.detail else ""
        add(list(Step)[len(done)], State.FAILED, f"{error.sentence}{detail}")
    rest = [Tried(step=step, state=State.NOT_REACHED) for step in list(Step)[len(done) :]]
    for each in rest:
        told(each)
    return Trial(steps=(*done, *rest), error=failed)
