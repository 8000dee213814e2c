"""From the log's entries about one patient to the disclosures in them. Pure.

An entry is a disclosure when something about the patient left this organisation: an answer of ours
with something in it, or a question of ours that was sent. Each one is either accounted for or left
out by one exclusion of ``node.governance.accounting``; what is neither (nothing was held, refused,
never sent) is counted by its outcome. When in doubt, it is accounted for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from node.governance.accounting import Accounting, Exclusion
from node.model import Direction, Outcome, Transaction
from node.policy.purposes import purpose_register

MOST_ITEMS: Final = 50
"""Documents or resources of one disclosure that are named; of the others the number is said."""

_GAVE: Final = frozenset({Outcome.OK.value, Outcome.PARTIAL.value})
_ANSWERED: Final = _GAVE | {Outcome.OK_EMPTY.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """An entry about the patient, with what its private part says of documents.

    Attributes:
        fields: of the leaf.
        docs: the private group, if it is there.
        erased: the private groups that were erased.
    """

    seq: int
    time: datetime
    fields: Mapping[str, str | int]
    docs: object = None
    erased: frozenset[str] = frozenset()

    def text(self, name: str) -> str | None:
        """A field of the leaf."""
        value = self.fields.get(name)
        return None if value is None else str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """Who got it; ``address`` is a postal one, where the directory has one."""

    name: str
    home_community_id: str | None = None
    organization_id: str | None = None
    address: str | None = None


Named = Callable[[str | None, str | None], Recipient]
"""The recipient with an organisation id and a home community id, as the directory knows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """One disclosure.

    Attributes:
        what: in words; ``items`` are the documents or resources, ``more`` those not named.
        purpose: the code of the exchange purpose; ``purpose_words`` say it.
        authority: the rules of our policy by which it was made.
        exclusion: why it is not owed in an accounting; ``None``: it is accounted for.
        erased: private groups of the entry that were erased.
        transaction: as in the leaf; ``is_ours`` when we asked.
    """

    seq: int
    exchange: str
    time: datetime
    to: Recipient
    what: str
    items: tuple[str, ...]
    more: int
    purpose: str | None
    purpose_words: str
    authority: tuple[str, ...]
    exclusion: Exclusion | None
    erased: frozenset[str]
    transaction: str
    is_ours: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounted:
    """Every entry in one of the three.

    Attributes:
        disclosures: accounted for, oldest first.
        excluded: left out by an exclusion, oldest first.
        nothing: entries in which nothing left this organisation, by the reason in words.
    """

    disclosures: tuple[Disclosure, ...]
    excluded: tuple[Disclosure, ...]
    nothing: Mapping[str, int]

    @property
    def by_exclusion(self) -> tuple[tuple[Exclusion, int], ...]:
        """How many disclosures each exclusion leaves out."""
        rows = {each.exclusion.code: each.exclusion for each in self.excluded if each.exclusion}
        found = Counter(each.exclusion.code for each in self.excluded if each.exclusion)
        return tuple((rows[code], number) for code, number in sorted(found.items()))


def account(facts: Iterable[Fact], rules: Accounting, named: Named) -> Accounted:
    """Tell disclosures from the rest, and which of them are owed.

    Args:
        facts: the patient's entries of the period, of kind ``exchange``, in any order.
        rules: as this node applies them.
        named: whom the directory knows by the ids of an entry.
    """
    owed: list[Disclosure] = []
    excluded: list[Disclosure] = []
    nothing: Counter[str] = Counter()
    for fact in sorted(facts, key=lambda each: (each.time, each.seq)):
        why = _nothing(fact, rules)
        if why is not None:
            nothing[why] += 1
            continue
        made = _disclosure(fact, rules, named)
        (owed if made.exclusion is None else excluded).append(made)
    return Accounted(
        disclosures=tuple(owed), excluded=tuple(excluded), nothing=dict(sorted(nothing.items()))
    )


def _nothing(fact: Fact, rules: Accounting) -> str | None:
    """Why nothing left this organisation; ``None`` when something did."""
    outcome, unfit = fact.text("outcome") or "", (fact.text("unfit") or "").split(",")
    if rules.is_inside(fact.text("txn") or ""):
        return "a step of our own systems"
    is_named = bool({"peer", "org"} & ({*fact.fields} | {*unfit}))
    if not is_named or fact.text("peer") == fact.text("own"):
        return "read by our own systems" if outcome in _ANSWERED else "not answered"
    if fact.text("dir") == Direction.INITIATING.value:
        return None if "c_req" in fact.fields or outcome in _ANSWERED else "a question never sent"
    if outcome in _GAVE:
        return None
    return _NOT_GIVEN.get(outcome, "not answered")


_NOT_GIVEN: Final = {
    Outcome.OK_EMPTY.value: "asked, and nothing was held",
    Outcome.DECLINED.value: "asked, and refused",
}


def _disclosure(fact: Fact, rules: Accounting, named: Named) -> Disclosure:
    direction = fact.text("dir") or ""
    purpose = fact.text("purpose")
    # what an answer to us named, or a peer sent us, is nothing that we gave away
    is_ours = direction == Direction.INITIATING.value
    gave = is_ours == (fact.text("txn") == Transaction.ITI_80)
    rows = fact.docs if isinstance(fact.docs, list) and gave else []
    items = [text for row in rows if (text := _item(row))]
    return Disclosure(
        seq=fact.seq,
        exchange=fact.text("exch") or "",
        time=fact.time,
        to=named(fact.text("org"), fact.text("peer")),
        what=rules.what(direction, fact.text("txn") or ""),
        items=tuple(items[:MOST_ITEMS]),
        more=len(items[MOST_ITEMS:]),
        purpose=purpose,
        purpose_words=purpose_words(purpose),
        authority=tuple(rule for rule in (fact.text("pol") or "").split(",") if rule),
        exclusion=rules.behind(purpose, fact.time.date()),
        erased=fact.erased,
        transaction=fact.text("txn") or "",
        is_ours=is_ours,
    )


def _item(row: object) -> str | None:
    """A document or resource, with its type where the entry has one."""
    if not isinstance(row, dict) or not isinstance(row.get("id"), str):
        return None
    kind = row.get("type")
    return f"{row['id']} (type {kind})" if isinstance(kind, str) else str(row["id"])


def purpose_words(code: str | None) -> str:
    """What an exchange purpose is called; of none, that none was given."""
    if code is None:
        return "No purpose was given"
    known = purpose_register().by_code(code)
    return known.code.display or code if known else code
