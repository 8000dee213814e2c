"""The highest time that somebody we trust vouched for: a lower bound of the true time (pki A10).

A clock that is earlier than a signature is wrong. It would make expired certificates good again and
old lists fresh, so the bound outlives the process, and while the clock is behind it no exchange is
begun. The bound is kept in one small file of the node home; today the timestamps of the signed
network list raise it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from trust.errors import TrustError
from trust.files import write_file
from trust.key_floor import Finding

SKEW = timedelta(seconds=300)
_MAX_BYTES = 100


def trusted_time(file: Path) -> datetime | None:
    """The highest time kept, or ``None`` where nobody vouched for any.

    Raises:
        TrustError: ``trusted-time-damaged``.
    """
    try:
        with file.open("rb") as opened:
            text = opened.read(_MAX_BYTES).decode("ascii").strip()
        return datetime.fromisoformat(text).astimezone(UTC)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise TrustError(
            "trusted-time-damaged",
            "The highest time that was vouched for cannot be read.",
            where=str(file),
        ) from error


def keep_trusted_time(file: Path, moment: datetime) -> bool:
    """Keeps a time that somebody signed, if it is higher; whether it was.

    The caller has made sure that the clock is not behind it: else a signer who is ahead of time
    could stop the node.

    Raises:
        TrustError: ``trusted-time-damaged``, ``file-not-written``.
    """
    held = trusted_time(file)
    if held is not None and moment <= held:
        return False
    text = moment.astimezone(UTC).replace(microsecond=0).isoformat()
    write_file(file, f"{text}\n".encode("ascii"), replace=True)
    return True


def clock_behind(now: datetime, trusted: datetime | None) -> Finding | None:
    """What is wrong with a clock, or ``None``."""
    if trusted is None or now >= trusted - SKEW:
        return None
    return Finding(
        code="clock-behind",
        sentence=f"This machine's clock says {now:%Y-%m-%d %H:%M} UTC, but "
        f"{trusted:%Y-%m-%d %H:%M} UTC has been signed already.",
    )


def require_clock(now: datetime, trusted: datetime | None) -> None:
    """Refuses to go on with a clock that is behind.

    Raises:
        TrustError: ``clock-behind``.
    """
    finding = clock_behind(now, trusted)
    if finding is not None:
        raise TrustError(finding.code, finding.sentence)
