r"""A filter as text: qualifiers that are typed, a sentence that is read aloud, a URL's query.

**Qualifiers**, one beside the other: ``peer:2.999.2 since:24h -outcome:ok``. A value stands as it
is or in double quotes, in which ``\`` stands before a quote or a backslash; several are joined by
commas and any of them fits; ``-`` in front excludes. Order does not matter, ``format_filter`` has
one. ``parse_filter(format_filter(f)) == f`` for every filter ``f``.

**A URL's query** has the same names and values, excluded ones as ``-outcome=ok``. Nothing about a
person is in it: such a value is there as its keyed token (``LedgerFilter.tokenized``), or the form
is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl, urlencode

from node.errors import OurFault
from node.ledger.filter import LedgerFilter, Moment, Term, personal
from node.ledger.qualifiers import QUALIFIERS, TIMES, TOKEN, Qualifier, name_of, unreadable

MAX_TEXT: Final = 8192
"""Characters of a whole filter."""

WITHHELD: Final = "(withheld)"
"""What stands for a value about a person where there is to be none."""

_WORD: Final = re.compile(
    r"""\s*(?P<excluded>-?)(?P<name>[^\s:"]+):(?P<values>(?:"(?:[^"\\]|\\.)*"|[^\s"])*)(?=\s|\Z)""",
    re.DOTALL,
)
_VALUE: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|([^,"]+)', re.DOTALL)
_PLAIN: Final = re.compile(r'[^\s,"]+')
_UNITS: Final = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60}
_UNIT_NAMES: Final = {"w": "week", "d": "day", "h": "hour", "m": "minute"}
_AGO: Final = re.compile(r"([0-9]{1,5})([mhdw])")


def parse_filter(text: str) -> LedgerFilter:
    """The filter of typed qualifiers; the empty text chooses everything.

    Raises:
        OurFault: ``filter-unreadable``, with a sentence that names what was not understood and the
            nearest that would be.
    """
    if len(text) > MAX_TEXT:
        raise unreadable(f"A filter has at most {MAX_TEXT} characters.")
    return _filter(_words(text))


def from_query(query: str) -> LedgerFilter:
    """The filter of a URL's query. An empty value is as none. Raises as ``parse_filter``."""
    if len(query) > MAX_TEXT:
        raise unreadable(f"A filter has at most {MAX_TEXT} characters.")
    words = []
    for name, values in parse_qsl(query):
        excluded = name.startswith("-")
        words.append((name_of(name.removeprefix("-")), excluded, _split(values)))
    return _filter(words)


def of_options(options: Iterable[tuple[str, str]], more: LedgerFilter) -> LedgerFilter:
    """A filter with more conditions, as (name, values as typed). Raises as ``parse_filter``."""
    words = [(name_of(name), False, _split(values)) for name, values in options]
    return _filter([*_words(format_filter(more)), *words])


def format_filter(chosen: LedgerFilter) -> str:
    """The qualifiers of a filter, each once, in the order of the table."""
    return " ".join(
        f"{'-' if excluded else ''}{name}:{','.join(_quoted(value) for value in values)}"
        for name, excluded, values in _parts(chosen)
    )


def to_query(chosen: LedgerFilter) -> str:
    """The query of a URL.

    Raises:
        OurFault: ``filter-personal`` when a value is about a person and no token.
    """
    for qualifier, term in chosen.terms():
        if any(personal(qualifier, v) and not TOKEN.fullmatch(v) for v in term.any_of):
            raise OurFault(
                "filter-personal", f"A value of {qualifier.name} cannot stand in an address."
            )
    return urlencode(
        [
            (f"{'-' if excluded else ''}{name}", ",".join(_quoted(value) for value in values))
            for name, excluded, values in _parts(chosen)
        ],
        safe=":,",  # a query may have them (RFC 3986, 3.4), and pages repeat it often
    )


def sentence(chosen: LedgerFilter, *, private: bool = False) -> str:
    """What a person reads of a filter; values about a person only if ``private``."""
    said = [*_times(chosen)]
    for qualifier, term in chosen.terms():
        values = [_shown(qualifier, value, private=private) for value in term.any_of]
        if values:
            said.append(qualifier.words.format(_either(values)))
        if term.none_of:
            said.append(qualifier.excluding.format(_either(term.none_of)))
    return f"The entries {', '.join(said)}." if said else "All entries."


def conditions(chosen: LedgerFilter, *, private: bool = False) -> dict[str, str]:
    """The fields of a filter that are set, for programs; about a person only if ``private``."""
    found = {}
    for name, moment in (("since", chosen.since), ("until", chosen.until)):
        if moment is not None:
            found[name] = _moment(moment)
    for qualifier, term in chosen.terms():
        if term.any_of:
            shown = (_shown(qualifier, value, private=private) for value in term.any_of)
            found[qualifier.field] = ",".join(dict.fromkeys(shown))
        if term.none_of:
            found[f"-{qualifier.field}"] = ",".join(term.none_of)
    return found


def ago(moment: timedelta) -> str:
    """A time span in words, such as ``24 hours``."""
    text = _moment(moment)
    count, unit = int(text[:-1]), _UNIT_NAMES[text[-1]]
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


# --- reading -------------------------------------------------------------------------------------

_Word = tuple[str, bool, tuple[str, ...]]
"""Name, whether it is excluded, values."""


def _words(text: str) -> Iterator[_Word]:
    place, number = 0, 0
    while text[place:].strip():
        number += 1
        found = _WORD.match(text, place)
        if found is None:
            raise _no_word(text[place:].split(maxsplit=1)[0], number)
        yield name_of(found["name"]), bool(found["excluded"]), _split(found["values"])
        place = found.end()


def _no_word(word: str, number: int) -> OurFault:
    name, colon, _ = word.lstrip("-").partition(":")
    if colon and name:
        return unreadable(f"{name_of(name)} has a quotation mark without its end.")
    # what is no qualifier may be a person's name: it is not repeated
    simple = re.fullmatch(r"-?[a-z-]{1,20}", word)
    told = f'"{word}"' if simple else f"Word {number}"
    return unreadable(
        f"{told} is no qualifier: write NAME:VALUE, such as peer:2.999.2 or since:24h."
    )


def _split(values: str) -> tuple[str, ...]:
    found, place = [], 0
    while place < len(values):
        match = _VALUE.match(values, place)
        if match is None:
            break
        quoted, plain = match.groups()
        found.append(plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL))
        place = match.end()
        if place < len(values):
            if values[place] != ",":
                break
            place += 1
    if place < len(values) or not found or values.endswith(","):
        raise unreadable("A qualifier has one value or more, joined by commas: outcome:ok,partial.")
    return tuple(found)


def _filter(words: Iterable[_Word]) -> LedgerFilter:
    times: dict[str, Moment] = {}
    any_of: dict[str, tuple[str, ...]] = {}
    none_of: dict[str, tuple[str, ...]] = {}
    for name, excluded, values in words:
        if name in TIMES:
            if excluded or len(values) != 1 or name in times:
                raise unreadable(f"{name} has one value, and cannot be excluded.")
            times[name] = _read_moment(name, values[0])
        else:
            part = none_of if excluded else any_of
            part[name] = part.get(name, ()) + values
    given = {
        QUALIFIERS[name].field: Term(any_of=any_of.get(name, ()), none_of=none_of.get(name, ()))
        for name in (*any_of, *none_of)
    }
    return LedgerFilter(since=times.get("since"), until=times.get("until"), **given)


def _read_moment(name: str, text: str) -> Moment:
    if span := _AGO.fullmatch(text):
        return timedelta(seconds=int(span[1]) * _UNITS[span[2]])
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise unreadable(
            f'{name} has no value "{text[:40]}". Write how long ago (30m, 24h, 7d, 2w)'
            " or when (2026-11-01, 2026-11-01T14:00, UTC)."
        ) from None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


# --- writing -------------------------------------------------------------------------------------


def _parts(chosen: LedgerFilter) -> Iterator[_Word]:
    for name, moment in (("since", chosen.since), ("until", chosen.until)):
        if moment is not None:
            yield name, False, (_moment(moment),)
    for qualifier, term in chosen.terms():
        if term.any_of:
            yield qualifier.name, False, term.any_of
        if term.none_of:
            yield qualifier.name, True, term.none_of


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _moment(moment: Moment) -> str:
    if isinstance(moment, datetime):
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    seconds = int(moment.total_seconds())
    for unit, size in (("d", _UNITS["d"]), ("h", _UNITS["h"])):
        # 24 hours is how people say it; two days and more are days
        if seconds % size == 0 and (unit != "d" or seconds > size):
            return f"{seconds // size}{unit}"
    return f"{seconds // 60}m"


def _times(chosen: LedgerFilter) -> Iterator[str]:
    match chosen.since:
        case timedelta():
            yield f"of the last {ago(chosen.since).removeprefix('1 ')}"
        case datetime():
            yield f"begun at or after {_clock(chosen.since)}"
    match chosen.until:
        case timedelta():
            yield f"begun more than {ago(chosen.until)} ago"
        case datetime():
            yield f"begun before {_clock(chosen.until)}"


def _clock(instant: datetime) -> str:
    text = instant.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")
    return f"{text.removesuffix(' 00:00:00')} UTC"


def _shown(qualifier: Qualifier, value: str, *, private: bool) -> str:
    return WITHHELD if personal(qualifier, value) and not private else value


def _either(values: Iterable[str]) -> str:
    *some, last = dict.fromkeys(values)
    return f"{', '.join(some)} or {last}" if some else last
