"""The monthly and the quarterly report of a QHIN: its parts, each number with what opens its rows.

What the parts are, and what they lack, is data (``data/qhin_reports.toml``; facts: tefca 4.13).
Here the numbers are made, from counted legs, the directory and what people stated. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from node.governance.disclosures import purpose_words
from node.governance.downtime import Downtime
from node.governance.qhin_model import Basis, OfPeer, Part, Row, rules
from node.governance.qhin_period import How, Period
from node.governance.qhin_tally import Alike, Sum, Tally
from node.ledger.filter import LedgerFilter
from node.ledger.qualifiers import MAX_VALUES
from node.model import Direction, Outcome
from node.policy.purposes import Duty, purpose_register

_OUT: Final = Direction.INITIATING.value
_IN: Final = Direction.RESPONDING.value
_ERRORS: Final = frozenset(
    {Outcome.FAILED.value, Outcome.TIMED_OUT.value, Outcome.PARTIAL.value, Outcome.DECLINED.value}
)
_UNNAMED: Final = "not named"
_MINUTE: Final = timedelta(minutes=1)
ACTORS: Final = ("Initiating gateway", "Responding gateway")


def parts_of(
    how: How, basis: Basis, *, of_peer: OfPeer, own_codes: frozenset[str], period: Period
) -> tuple[Part, ...]:
    """All parts of a report, in the order of the table.

    Args:
        how: which report.
        basis: what it is made from.
        of_peer: the QHIN of a home community.
        own_codes: codes of errors and refusals of this node: what is none of them came from others.
        period: the filters are about it.
    """
    table = rules()
    counted = _Counted(basis.tally, of_peer, own_codes, period)
    makers: Mapping[str, Callable[[], Iterable[Row]]] = {
        "downtime": lambda: _down(basis.down),
        "successes": counted.successes,
        "errors": counted.errors,
        "connectivity": counted.connectivity,
        "other-errors": counted.others,
        "initiator-times": counted.initiator_times,
        "retrieved": counted.retrieved,
        "delivered": counted.delivered,
        "responder-times": counted.responder_times,
        "received": counted.received,
        "non-required": counted.not_required,
        "organizations": lambda: _stated(table["stated"]["organizations"], basis.stated),
        "levels": lambda: [Row(cells=each) for each in sorted(basis.levels.items())],
        "people": lambda: _stated(table["stated"]["people"], basis.stated),
    }
    return tuple(
        Part(
            code=row["code"],
            title=row["title"],
            source=row["source"],
            columns=tuple(row["columns"]),
            rows=tuple(makers[row["code"]]()),
            missing=row.get("missing"),
            verify=row.get("verify", False),
        )
        for row in table[how.value]
    )


class _Counted:
    """The parts that are counted legs."""

    def __init__(
        self, tally: Tally, of_peer: OfPeer, own_codes: frozenset[str], period: Period
    ) -> None:
        self._tally = tally
        self._of_peer = of_peer
        self._own = own_codes
        self._span = period.span
        table = rules()
        self._messages: Mapping[str, str] = table["messages"]
        self._success = frozenset(table["codes"]["success"])
        self._reach = frozenset(table["codes"]["connectivity"])
        self._standards: Mapping[str, str] = table["standards"]

    def successes(self) -> Iterator[Row]:
        """Per responding QHIN, purpose and message."""
        found = self._by(
            _OUT,
            lambda alike: (
                (alike.purpose, self._message(alike)) if alike.outcome in self._success else None
            ),
        )
        for (qhin, purpose, message), (alikes, total) in found:
            cells = (qhin.words, _purpose(purpose), message, total.legs)
            yield Row(cells=cells, rows=self._filter(_OUT, alikes, outcome=self._success))

    def errors(self) -> Iterator[Row]:
        """Per responding QHIN and IHE error code."""
        yield from self._reasons(lambda reason: reason not in self._own | self._reach)

    def connectivity(self) -> Iterator[Row]:
        """Per responding QHIN."""
        found = self._by(
            _OUT, lambda alike: () if _fails(alike) and alike.reason in self._reach else None
        )
        for (qhin,), (alikes, total) in found:
            rows = self._filter(_OUT, alikes, reason={each.reason for each in alikes})
            yield Row(cells=(qhin.words, total.legs), rows=rows)

    def others(self) -> Iterator[Row]:
        """Per responding QHIN and code of ours, those without a code too."""
        yield from self._reasons(lambda reason: reason in self._own - self._reach)

    def initiator_times(self) -> Iterator[Row]:
        """Per responding QHIN and message, over what was answered."""
        found = self._by(
            _OUT, lambda alike: (self._message(alike),) if _is_answered(alike) else None
        )
        for (qhin, message), (alikes, total) in found:
            cells = (qhin.words, message, round(total.took / total.legs), total.legs)
            yield Row(cells=cells, rows=self._filter(_OUT, alikes, outcome=_ANSWERED))

    def retrieved(self) -> Iterator[Row]:
        """Documents retrieved per purpose."""
        yield from self._documents("DR")

    def delivered(self) -> Iterator[Row]:
        """Documents delivered per purpose."""
        yield from self._documents("MD")

    def received(self) -> Iterator[Row]:
        """Deliveries to us, per HCID that sent them."""
        groups: dict[tuple[str], tuple[list[Alike], Sum]] = {}
        for alike, row in self._tally.chosen(_IN):
            if self._message(alike) == "MD":
                _join(groups, (alike.peer or _UNNAMED,), alike, row)
        for (hcid,), (alikes, total) in sorted(groups.items()):
            yield Row(cells=(hcid, total.legs), rows=self._filter(_IN, alikes))

    def _documents(self, message: str) -> Iterator[Row]:
        """Documents that a message moved, per purpose."""
        sums: defaultdict[str | None, int] = defaultdict(int)
        kept: defaultdict[str | None, list[Alike]] = defaultdict(list)
        for alike, row in self._tally.chosen(_OUT):
            given = alike.outcome in self._success
            if self._message(alike) == message and given and row.documents:
                sums[alike.purpose] += row.documents
                kept[alike.purpose].append(alike)
        for purpose in sorted(sums, key=str):
            rows = self._filter(_OUT, kept[purpose], peer=False)
            yield Row(cells=(_purpose(purpose), sums[purpose]), rows=rows)

    def responder_times(self) -> Iterator[Row]:
        """Per HCID that asked, and message."""
        groups: dict[tuple[str, str], tuple[list[Alike], Sum]] = {}
        for alike, row in self._tally.chosen(_IN):
            message = self._message(alike)
            if message is not None and _is_answered(alike):
                _join(groups, (alike.peer or _UNNAMED, message), alike, row)
        for (hcid, message), (alikes, total) in sorted(groups.items()):
            cells = (hcid, message, round(total.took / total.legs), total.legs)
            yield Row(cells=cells, rows=self._filter(_IN, alikes, outcome=_ANSWERED))

    def not_required(self) -> Iterator[Row]:
        """Per purpose to which no answer is required."""
        groups: dict[tuple[str], list[tuple[Alike, Sum]]] = {}
        for alike, row in self._tally.rows.items():
            known = purpose_register().by_code(alike.purpose or "")
            if alike.purpose is None or (known is not None and known.duty is Duty.MUST):
                continue
            if self._message(alike) is not None:
                groups.setdefault((alike.purpose,), []).append((alike, row))
        for (code,), rows in sorted(groups.items()):
            messages = {str(self._message(alike)) for alike, _ in rows}
            cells = (
                code,
                purpose_words(code),
                len({alike.peer for alike, _ in rows}),
                sum(row.legs for alike, row in rows if alike.direction == _OUT),
                sum(row.legs for alike, row in rows if alike.direction == _IN),
                ", ".join(sorted({self._standards[each] for each in messages})),
            )
            chosen = LedgerFilter(since=self._span.begin, until=self._span.end, purpose=code)
            yield Row(cells=cells, rows=chosen)

    def _reasons(self, is_kind: Callable[[str | None], bool]) -> Iterator[Row]:
        found = self._by(
            _OUT,
            lambda alike: (
                (alike.reason or "no code",)
                if _fails(alike) and is_kind(alike.reason or "")
                else None
            ),
        )
        for (qhin, reason), (alikes, total) in found:
            coded = all(each.reason for each in alikes)
            rows = self._filter(_OUT, alikes, reason={reason}) if coded else None
            yield Row(cells=(qhin.words, reason, total.legs), rows=rows)

    def _by(
        self, direction: str, group: Callable[[Alike], tuple[Any, ...] | None]
    ) -> list[tuple[tuple[Any, ...], tuple[list[Alike], Sum]]]:
        """The rows of a direction by QHIN and what ``group`` says; ``None`` leaves one out."""
        groups: dict[tuple[Any, ...], tuple[list[Alike], Sum]] = {}
        for alike, row in self._tally.chosen(direction):
            more = group(alike)
            if more is not None and self._message(alike) is not None:
                _join(groups, (self._of_peer(alike.peer), *more), alike, row)
        return sorted(groups.items(), key=lambda item: (item[0][0].words, str(item[0][1:])))

    def _message(self, alike: Alike) -> str | None:
        """What a leg is called; ``None`` for a step that these reports do not count."""
        return self._messages.get(alike.transaction)

    def _filter(
        self,
        direction: str,
        alikes: list[Alike],
        *,
        peer: bool = True,
        **more: Iterable[str | None],
    ) -> LedgerFilter | None:
        """The legs behind a number; ``None`` where no filter says it."""
        values: dict[str, Any] = {
            "transaction": {each.transaction for each in alikes},
            "outcome": {each.outcome for each in alikes},
            **more,
        }
        if peer:
            values["peer"] = {each.peer for each in alikes}
        purposes = {each.purpose for each in alikes}
        if len(purposes) == 1:
            values["purpose"] = purposes
        for name, given in values.items():
            chosen = tuple(given)
            if None in chosen or len(chosen) > MAX_VALUES:
                return None
            values[name] = chosen
        return LedgerFilter(
            since=self._span.begin, until=self._span.end, direction=direction, **values
        )


_ANSWERED: Final = frozenset(each.value for each in Outcome if each.answered)


def _is_answered(alike: Alike) -> bool:
    return alike.outcome in _ANSWERED


def _fails(alike: Alike) -> bool:
    """Whether a leg counts as an error: a partial answer does by the error that it names."""
    if alike.outcome not in _ERRORS:
        return False
    return alike.outcome != Outcome.PARTIAL.value or alike.reason is not None


def _join(
    groups: dict[Any, tuple[list[Alike], Sum]], key: tuple[Any, ...], alike: Alike, row: Sum
) -> None:
    alikes, total = groups.setdefault(key, ([], Sum()))
    alikes.append(alike)
    total.legs += row.legs
    total.took += row.took


def _purpose(code: str | None) -> str:
    return code or "none given"


def _down(down: Downtime | None) -> Iterator[Row]:
    if down is None:
        return
    for actor in ACTORS:
        yield Row(cells=(actor, down.planned // _MINUTE, down.unplanned // _MINUTE))


def _stated(names: Mapping[str, str], stated: Mapping[str, int]) -> Iterator[Row]:
    for code, words in names.items():
        if code in stated:
            yield Row(cells=(words, stated[code], "stated"))
        else:
            yield Row(cells=(words, "not stated", ""))
