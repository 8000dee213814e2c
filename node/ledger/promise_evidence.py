"""A log promise that was not kept, as a file that anybody can check with public keys alone. Pure.

The file is JSON. What it proves depends on what the peer itself signed:

=================== ==========================================================================
``proved``          the promise, and the log's own word, later than the delay, that it has no
                    entry of the message
``asserted``        the promise; that the entry was not shown is our word, with when we asked and
                    what came: whoever doubts it asks the log for the entry
=================== ==========================================================================

The checkpoint is the newest that the log had signed when we asked: a log that shows the entry later
must show it under a checkpoint that begins with this one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from node.errors import LogError
from node.ledger import leaf
from node.ledger.peer_log import PeerLog, without_year
from node.ledger.promise import parse_absence, parse_promise, verify_absence, verify_promise
from node.ledger.tlog.checkpoint import Checkpoint
from node.ledger.tlog.note import VerifierKey
from node.ledger.tlog.policy import accept, of_log

MAX_EVIDENCE: Final = 4 * 1024 * 1024
"""Bytes of the longest file."""

FORMAT: Final = "exchange-log-promise-evidence/v1"


class Evidence(BaseModel):
    """What the file holds; nothing is verified yet.

    ``asked`` is when we asked for the entry, ``answer`` the HTTP status, or an error's code where
    there was no answer; ``absence`` is the log's signed word where it gave one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["exchange-log-promise-evidence/v1"] = FORMAT
    promise: Annotated[str, Field(max_length=512)]
    delay_hours: Annotated[float, Field(ge=0, le=168)]
    asked: datetime
    answer: Annotated[str, Field(max_length=64)]
    absence: Annotated[str, Field(max_length=4096)] | None = None
    checkpoint: Annotated[str, Field(max_length=524_288)] | None = None
    asker: Annotated[str, Field(max_length=64)]
    request: Annotated[str, Field(max_length=64)] | None = None

    def __bytes__(self) -> bytes:
        return orjson.dumps(self.model_dump(mode="json"), option=orjson.OPT_INDENT_2) + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What evidence comes to: ``proved`` or not, in words, and the checkpoint that goes with it."""

    log: str
    message_id: str
    promised: datetime
    due: datetime
    proved: bool
    sentence: str
    checkpoint: Checkpoint | None


def read_evidence(data: bytes) -> Evidence:
    """Read a file; nothing is verified.

    Raises:
        LogError: ``log-evidence-invalid``.
    """
    if len(data) > MAX_EVIDENCE:
        raise _invalid(f"The file is longer than {MAX_EVIDENCE} bytes.")
    try:
        found = Evidence.model_validate_json(data)
    except ValidationError as error:
        raise _invalid("The file is not evidence about a log promise.") from error
    if found.asked.tzinfo is None:
        raise _invalid("The time of asking has no time zone.")
    return found


def judge(evidence: Evidence, keys: Iterable[VerifierKey]) -> Judged:
    """Check evidence by the log's public keys.

    Args:
        evidence: as read.
        keys: of the log, under its name with or without a year.

    Raises:
        LogError: ``log-promise-invalid`` when the promise or the log's word is not signed by it;
            ``log-evidence-invalid`` when the parts do not belong together or nothing was due;
            as ``policy.accept`` for the checkpoint.
    """
    promise = parse_promise(evidence.promise)
    log = PeerLog(
        name=promise.name,
        keys=tuple(
            VerifierKey(name=promise.name, kind=key.kind, public=key.public)
            for key in keys
            if without_year(key.name) == promise.name
        ),
    )
    verify_promise(promise, log.keys)
    due = promise.time + timedelta(hours=evidence.delay_hours)
    if evidence.asked < due:
        raise _invalid("The entry was asked for before the promise was due.")
    point = None
    if evidence.checkpoint is not None:
        origin = evidence.checkpoint.partition("\n")[0]
        point = accept(of_log(*_of_year(log, origin)), evidence.checkpoint.encode()).checkpoint
    if evidence.absence is None:
        return Judged(
            log=log.name,
            message_id=promise.message_id,
            promised=promise.time,
            due=due,
            proved=False,
            sentence="The promise is the log's own. That its entry was not shown is the word of "
            f"{evidence.asker} (asked {leaf.from_time(evidence.asked)}, {evidence.answer}).",
            checkpoint=point,
        )
    absence = parse_absence(evidence.absence.encode())
    verify_absence(absence, _of_year(log, absence.origin))
    if absence.message_id != promise.message_id:
        raise _invalid("The log's word is about another message than its promise.")
    if absence.time < due:
        raise _invalid("The log gave its word before the promise was due.")
    return Judged(
        log=log.name,
        message_id=promise.message_id,
        promised=promise.time,
        due=due,
        proved=True,
        sentence="The log promised the entry and says itself, after it was due, that it has none.",
        checkpoint=point,
    )


def _of_year(log: PeerLog, origin: str) -> tuple[VerifierKey, ...]:
    keys = log.of_year(origin)
    if not keys:
        raise _invalid("The file has a part of another log than the promise.")
    return keys


def _invalid(sentence: str) -> LogError:
    return LogError("log-evidence-invalid", sentence)
