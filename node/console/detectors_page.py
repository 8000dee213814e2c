"""The detectors: how each is set and how good it was; one with its flags, history and a try."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from starlette.responses import Response

from node.console.case_forms import actor_of
from node.console.detector_words import (
    MARKS,
    STATES,
    day_words,
    hours_words,
    limits_words,
    sweep_words,
    written,
)
from node.console.guard import missing
from node.console.parts import Visit
from node.console.rendering import page, see
from node.errors import OurFault
from node.governance.detectors.backtest import DAYS, Tried, backtest
from node.governance.detectors.catalogue import SAMPLE, State, detectors, unfed
from node.governance.detectors.flags import WHICH, Suppression, flags, suppressions
from node.governance.detectors.model import Subject
from node.governance.detectors.scoreboard import Score, scoreboard
from node.governance.detectors.store import Setting, checked, history, settings
from node.governance.detectors.trying import of_try

PAGE: Final = 25
_AT: Final = "/review"
_NUMBER: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
_COUNTED: Final = 100
_EXAMPLES: Final = 5
_SUBJECTS: Final = {Subject.ACTOR: ("person", "people"), Subject.PEER: ("peer", "peers")}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """What became of a form: a problem, or what a detector would have flagged."""

    problem: str | None = None
    tried: Tried | None = None
    limits: str = ""


def detector_list(visit: Visit) -> Response:
    """``GET /detectors``."""
    scores = scoreboard(visit.console.engine, reader=visit.mark, now=visit.now)
    return page(
        visit,
        "detectors.html",
        title="Detectors",
        at=_AT,
        rows=[_score(each) for each in scores],
        unfed=unfed(),
        sweep=sweep_words(visit),
        on=sum(each.setting.state is State.ON for each in scores),
        shadow=sum(each.setting.state is State.SHADOW for each in scores),
    )


def detector_page(visit: Visit) -> Response:
    """``GET /detectors/{code}``."""
    return _shown(visit)


def detector_set(visit: Visit) -> Response:
    """``POST /detectors/{code}``: change it, or try it with the limits of the form."""
    code = str(visit.request.path_params["code"])
    setting = settings(visit.console.engine).get(code)
    if setting is None:
        return missing(visit, "There is no such detector.")
    try:
        limits = checked(setting.detector, _typed(visit.form, setting))
        if visit.form.get("do") == "try":
            return _shown(visit, _try(visit, replace(setting, limits={**setting.limits, **limits})))
        typed = visit.form.get("state", "")
        visit.console.watching.detectors.set(
            code,
            actor_of(visit).author,
            login=visit.user.login,
            state=State(typed) if typed in list(State) else None,
            limits=limits,
            reason=visit.form.get("reason", ""),
            now=visit.now,
        )
    except OurFault as fault:
        return _shown(visit, _Done(problem=fault.sentence), status=400)
    return see(f"/detectors/{code}#history")


def _try(visit: Visit, setting: Setting) -> _Done:
    console = visit.console
    tried = backtest(console.engine, console.watching.looking(), setting, now=visit.now)
    console.recorder(visit.user).fact(
        of_try(setting.detector, setting.limits, subjects=tried.subjects, flags=tried.flags)
    )
    return _Done(tried=tried, limits=limits_words(setting.limits))


def _typed(form: Mapping[str, str], setting: Setting) -> dict[str, float]:
    """The limits of a form.

    Raises:
        OurFault: ``detector-limit-invalid`` for one that is no number.
    """
    found = {}
    for name in setting.detector.limits:
        text = form.get(f"limit-{name}", "").strip().replace(",", ".")
        if not text:
            continue
        try:
            found[name] = float(text)
        except ValueError:
            raise OurFault("detector-limit-invalid", f"{name} is a number.") from None
    return {name: value for name, value in found.items() if value != setting.limits[name]}


def _shown(visit: Visit, done: _Done | None = None, *, status: int = 200) -> Response:
    code = str(visit.request.path_params["code"])
    console = visit.console
    if code not in detectors():
        return missing(visit, "There is no such detector.")
    scores = scoreboard(console.engine, reader=visit.mark, now=visit.now)
    score = next(each for each in scores if each.setting.detector.id == code)
    asked = visit.request.query_params
    which = asked.get("flags", "")
    which = which if which in WHICH else "all"
    before = asked.get("before", "")
    found = flags(
        console.engine,
        reader=visit.mark,
        detector=code,
        which=which,
        now=visit.now,
        before=int(before) if _NUMBER.fullmatch(before) else None,
        limit=PAGE + 1,
    )
    shown = found[:PAGE]
    last = shown[-1].id if len(found) > PAGE else None
    names = {user.login: user.name for user in console.users.all()}
    done = done or _Done()
    return page(
        visit,
        "detector.html",
        title=f"Detector {code}",
        at=_AT,
        status=status,
        score=_score(score),
        setting=score.setting,
        detector=score.setting.detector,
        about="one of our people" if score.setting.detector.subject is Subject.ACTOR else "a peer",
        states=[(state.value, words) for state, words in STATES.items()],
        may_set=visit.may("detectors"),
        untried=detectors()[code].untried,
        sample="/reports/sample" if code == SAMPLE else None,
        problem=done.problem,
        typed=defaultdict(str, visit.form),
        tried=_tried(visit, done) if done.tried else None,
        changes=_changes(visit, code, names),
        flags=[_flag(visit, each) for each in shown],
        in_all="" if shown else _in_all(visit, code),
        paged=bool(before),
        which=which,
        kinds=WHICH.items(),
        older=f"/detectors/{code}?flags={which}&before={last}#flags" if last else None,
        suppressed=[_suppression(visit, each, names) for each in _standing(visit, code)],
        sweep=sweep_words(visit),
        days=DAYS,
    )


def _in_all(visit: Visit, code: str) -> str:
    """How many flags a detector has of every kind; empty where it has none."""
    found = flags(visit.console.engine, reader=visit.mark, detector=code, limit=_COUNTED + 1)
    return f"{min(len(found), _COUNTED)}{'+' if len(found) > _COUNTED else ''}" if found else ""


def _standing(visit: Visit, code: str) -> tuple[Suppression, ...]:
    return suppressions(visit.console.engine, now=visit.now, reader=visit.mark, detector=code)


def _score(score: Score) -> Mapping[str, Any]:
    setting = score.setting
    return {
        "setting": setting,
        "detector": setting.detector,
        "state": STATES[setting.state],
        "mark": MARKS[setting.state],
        "limits": limits_words(setting.limits),
        "changed": bool(setting.changed),
        "score": score,
        "precision": f"{100 * score.precision:.0f} %"
        if score.precision is not None
        else "none yet",
        "wrong": _share_words(score),
        "median": hours_words(score.median_hours),
        "sample": "/reports/sample" if setting.detector.id == SAMPLE else None,
    }


def _share_words(score: Score) -> str:
    """The share of flags that were nothing, and between which shares it lies at 95 %."""
    if score.wrong is None:
        return "none judged yet"
    low, high = (round(100 * each) for each in score.wrong)
    return f"{100 * score.dismissed / score.judged:.0f} % (95 %: {low} to {high} %)"


def _flag(visit: Visit, flag: Any) -> Mapping[str, Any]:
    return {"flag": flag, "sentence": visit.console.watching.names.sentence(flag)}


def _changes(visit: Visit, code: str, names: Mapping[str, str]) -> list[Mapping[str, Any]]:
    console = visit.console
    found: list[Mapping[str, Any]] = []
    for each in history(console.engine, code):
        wire = written(console.engine, console.key, each.entry)
        before, after = (wire.get(name) for name in ("before", "after"))
        found.append(
            {
                "t": each.t,
                "who": names.get(each.who, each.who),
                "entry": each.entry,
                "reason": str(wire.get("reason") or "not readable any more"),
                "what": _differences(before, after),
            }
        )
    return found


def _differences(before: object, after: object) -> str:
    """Such as ``shadow to on, asked 20 to 30``."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return "not readable any more"
    pairs = [("", before.get("state"), after.get("state"))]
    old, new = before.get("limits") or {}, after.get("limits") or {}
    pairs += [(f"{name} ", old.get(name), new.get(name)) for name in new]
    words = [f"{name}{_plain(a)} to {_plain(b)}" for name, a, b in pairs if a != b]
    return ", ".join(words) or f"{after.get('state')}, as before"


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _suppression(visit: Visit, each: Suppression, names: Mapping[str, str]) -> Mapping[str, Any]:
    console = visit.console
    wire = written(console.engine, console.key, each.entry)
    about = console.peer_name(each.about) if each.subject == Subject.PEER else None
    return {
        "row": each,
        "about": about or f"{each.subject} {each.about[:24]}",
        "who": names.get(each.who, each.who),
        "reason": str(wire.get("reason") or "not readable any more"),
    }


def _tried(visit: Visit, done: _Done) -> Mapping[str, Any] | None:
    tried = done.tried
    if tried is None:
        return None
    detector, console = tried.setting.detector, visit.console
    examples = []
    for whom, t, finding in tried.examples:
        if whom.about == visit.mark:
            continue
        name = console.peer_name(whom.about) if whom.subject is Subject.PEER else None
        sentence = detector.sentence(finding).replace(
            f"{{{whom.subject}}}", name or f"{whom.subject.value} {whom.about[:12]}"
        )
        exchanges = list(dict.fromkeys(exchange for _, exchange in finding.entries))
        examples.append(
            {
                "day": day_words(visit, datetime.fromtimestamp((t - 1) / 1000, UTC)),
                "sentence": sentence,
                "exchange": exchanges[-1],
                "count": len(exchanges),
            }
        )
    return {
        "tried": tried,
        "limits": done.limits,
        "examples": examples[:_EXAMPLES],
        "subjects": _SUBJECTS[detector.subject][tried.subjects != 1],
    }
