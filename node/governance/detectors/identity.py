"""Detectors about who asks for a peer: D12, and tefca 11.2 identity (kin) and protocol (users)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from node.governance.detectors.asking import asked_of_us
from node.governance.detectors.model import (
    About,
    Finding,
    Limits,
    Seen,
    fresh,
    percent,
    rests_on,
)

_NPI_PREFIX = "80840"
_NPI_LENGTH = 10
_NEWEST = 20


def provider(rows: Sequence[Seen], about: About, limits: Limits) -> list[Finding]:
    """D12: asserted provider identifiers that are none, or one that many people share."""
    new = asked_of_us(fresh(rows, about))
    with_npi = [row for row in new if row.npi]
    wrong = [row for row in with_npi if not is_npi(str(row.npi))]
    found = []
    if len(wrong) >= limits["wrong"]:
        values = {"n": len(wrong), "of": len(with_npi)}
        found.append(Finding(values=values, entries=rests_on(wrong)))
    users: dict[str, set[str]] = defaultdict(set)
    for row in with_npi:
        if row.user and row.npi not in about.npis:
            users[str(row.npi)].add(row.user)
    shared = {npi for npi, of in users.items() if len(of) >= limits["people"]}
    if shared:
        behind = [row for row in with_npi if row.npi in shared]
        values = {"n": max(len(users[npi]) for npi in shared)}
        found.append(Finding(sentence="shared", values=values, entries=rests_on(behind)))
    return found


def kin(rows: Sequence[Seen], about: About, _limits: Limits) -> list[Finding]:
    """T08: shares keys, hosts, identifiers or contacts with a peer that is suspended."""
    new = fresh(rows, about)
    if not about.kin or not new:
        return []
    values = {"what": "; ".join(about.kin)}
    return [Finding(values=values, entries=rests_on(new[-_NEWEST:]))]


def nobody_named(rows: Sequence[Seen], about: About, limits: Limits) -> list[Finding]:
    """T11: treatment requests that name no person, or nearly all the same one."""
    new = [row for row in asked_of_us(fresh(rows, about)) if row.purpose in about.treatment]
    if len(new) < limits["asked"]:
        return []
    unnamed = [row for row in new if row.user is None]
    if len(unnamed) >= limits["share"] * len(new):
        values = {"share": percent(len(unnamed), len(new)), "of": len(new)}
        return [Finding(values=values, entries=rests_on(unnamed))]
    users = Counter(row.user for row in new if row.user)
    user, times = users.most_common(1)[0] if users else (None, 0)
    if times < limits["share"] * len(new):
        return []
    values = {"share": percent(times, len(new)), "of": len(new)}
    behind = [row for row in new if row.user == user]
    return [Finding(sentence="same", values=values, entries=rests_on(behind))]


def is_npi(text: str) -> bool:
    """Whether a text has the form of an NPI: ten digits that end in their Luhn check digit.

    The check digit is that of ``80840`` and the number (CMS, NPI check digit calculation).
    """
    if len(text) != _NPI_LENGTH or not (text.isascii() and text.isdecimal()):
        return False
    total = 0
    for place, digit in enumerate(reversed(_NPI_PREFIX + text)):
        value = int(digit) * (1 + place % 2)
        total += value // 10 + value % 10
    return total % 10 == 0
