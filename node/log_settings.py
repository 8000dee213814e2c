"""The sections of ``node.toml`` about the log, and about messages kept beside it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from node.settings_section import Section


class LogSection(Section):
    """``[log]``: how the log is sealed.

    ``origin`` is the log's name without the year; empty: ``log.``, host and port of ``public_url``,
    ``/exchange``. ``signed`` is the folder that remembers what was signed: on another disk it shows
    that a whole home was restored from an older copy. ``readers`` are the keys (SHA-256 of the
    SPKI, hex) that may read the log's entries over the gateway. A serving node compares a random
    bundle with its rows every ``sample_minutes``, and everything every ``compare_days`` (0: never;
    then ``log fsck`` is for a timer of the operator's).

    A year's log is kept ``retention_years`` whole years after its own; entries about minors until
    they come of age (``majority``: a row of ``ledger/data/minors.toml``) and ``minor_years`` more.

    ``witness`` is the name of our own witness; empty: ``witness.``, host and port of
    ``public_url``. Those who witness our log are asked every ``witness_seconds``, each for at most
    ``witness_timeout_seconds``; ``witness_quorum`` of them must have signed, all if they are fewer.

    ``reconcile`` compares the log with those of peers each day, ``reconcile_after_minutes`` after
    its end (UTC); statements are made for ``reconcile_days`` back and have ``reconcile_rows`` at
    most; a call ends after ``reconcile_seconds``. A log promise is due after ``merge_delay_hours``;
    ``promise_checks`` of them are looked into each day.

    What the log says of each peer is counted by day; the last ``tally_days`` are kept.
    """

    origin: Annotated[
        str, Field(pattern=r"^([A-Za-z0-9.:_-]+(/[A-Za-z0-9._~-]+)*)?$", max_length=200)
    ] = ""
    signed: str = "signed"
    seal_seconds: Annotated[float, Field(gt=0, le=10)] = 5
    heartbeat_minutes: Annotated[float, Field(gt=0, le=10)] = 10
    sample_minutes: Annotated[float, Field(ge=0, le=1440)] = 60
    compare_days: Annotated[float, Field(ge=0, le=366)] = 7
    retention_years: Annotated[int, Field(ge=1, le=100)] = 10
    majority: str = "default"
    minor_years: Annotated[int, Field(ge=0, le=50)] = 6
    readers: tuple[Annotated[str, Field(pattern="^[0-9a-f]{64}$")], ...] = ()
    witness: Annotated[str, Field(pattern=r"^[!-*,-~]*$", max_length=200)] = ""
    witness_seconds: Annotated[float, Field(gt=0, le=300)] = 60
    witness_timeout_seconds: Annotated[float, Field(gt=0, le=10)] = 1
    witness_quorum: Annotated[int, Field(gt=0, le=64)] = 2
    reconcile: bool = True
    reconcile_after_minutes: Annotated[float, Field(ge=10, le=1380)] = 30
    reconcile_days: Annotated[int, Field(ge=1, le=366)] = 31
    reconcile_rows: Annotated[int, Field(gt=0)] = 1_000_000
    reconcile_seconds: Annotated[float, Field(gt=0, le=3600)] = 300
    merge_delay_hours: Annotated[float, Field(ge=0, le=168)] = 24
    promise_checks: Annotated[int, Field(ge=0, le=100_000)] = 100
    tally_days: Annotated[int, Field(ge=90, le=366)] = 100


class CaptureSection(Section):
    """``[capture]``: messages kept as they were on the wire, for some days; none by default.

    ``transactions`` are those whose messages are kept (their SOAP parts, without documents), of
    ``peers`` (home community ids; empty: of all). Each is kept up to ``message_bytes``, all of them
    up to ``total_bytes``; what is beyond is counted. They are deleted after ``days``.
    """

    transactions: tuple[Annotated[str, Field(pattern="^ITI-(38|39|55)$")], ...] = ()
    peers: tuple[Annotated[str, Field(pattern=r"^urn:oid:[0-9.]+$", max_length=64)], ...] = ()
    days: Annotated[float, Field(gt=0, le=30)] = 7
    message_bytes: Annotated[int, Field(gt=0, le=1024 * 1024)] = 256 * 1024
    total_bytes: Annotated[int, Field(gt=0)] = 1024 * 1024 * 1024
