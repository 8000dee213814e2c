"""One person before one request of an app: which step is next, and what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from starlette.responses import Response

from node.console.apps.patients import ShownPatient
from node.console.apps.site import AppSite, origin
from node.console.apps.wording import in_words
from node.gateway.oauth.app_token import approve, granted_to
from node.gateway.oauth.asking_app import AskingApp
from node.gateway.oauth.attempt import Attempt
from node.gateway.oauth.authorize_request import AppRequest
from node.gateway.oauth.refusal import Refused
from node.gateway.oauth.server import may_open_apps
from node.gateway.oauth.token import digest_of
from node.ledger.trust_change import TrustChange
from node.model import Authorization, Outcome
from node.users.model import User
from node.users.sessions import Session
from node.wire.fhir.problem import FhirProblem

_FORBIDDEN = 403


@dataclass(frozen=True, slots=True, kw_only=True)
class AppVisit:
    """A person who is signed in, and the request that they answer."""

    site: AppSite
    handle: str
    session: Session
    asked: AppRequest
    app: AskingApp

    @property
    def user(self) -> User:
        """Who it is."""
        return self.session.user

    async def next(self) -> Response:
        """The page of the step that is next."""
        asked = self.asked
        if not may_open_apps(self.user):
            return self._page(
                "app-problem.html",
                title="Not yours to open",
                status=_FORBIDDEN,
                sentence="Your role does not open apps. Your administrator gives roles.",
            )
        if asked.login not in (None, self.user.login):
            return self._page(
                "app-problem.html",
                title="Opened by somebody else",
                status=_FORBIDDEN,
                sentence="The EHR opened this app for another user. Sign in as that user.",
            )
        if asked.needs_patient:
            return self._page("app-patient.html", title="Choose a patient", problem=None, found=())
        patient = await self.site.patients.one(asked.patient) if asked.patient else None
        if asked.patient and patient is None:
            return self._page(
                "app-problem.html",
                title="No such patient",
                sentence="There is no such patient here, or the record may not be shown.",
            )
        if patient is not None:
            await asyncio.to_thread(self._note, {"patient": patient.id})
        return self._approval_page(patient)

    async def took(self, form: Mapping[str, str]) -> Response:
        """What a form asks for."""
        match form.get("do"):
            case "decline":
                return await self._declined()
            case "find" if self._may_go_on:
                return await self._find(form)
            case "choose" if self._may_go_on:
                return await self._choose(form.get("patient", ""))
            case "approve" if self._may_go_on and not self.asked.needs_patient:
                return await self._approved()
        return await self.next()

    @property
    def _may_go_on(self) -> bool:
        return may_open_apps(self.user) and self.asked.login in (None, self.user.login)

    # --- the patient ------------------------------------------------------------------------------

    async def _find(self, form: Mapping[str, str]) -> Response:
        family, born = form.get("family", "")[:100], form.get("born", "")[:10]
        await asyncio.to_thread(self._note, {"family": family, "birth_date": born})
        try:
            found = await self.site.patients.found(family, born, self.site.server.clock.now())
        except FhirProblem:
            found = None
        problem = None
        if found is None:
            problem = "Type a family name and a date of birth."
        elif not found:
            problem = "There is no such patient here. The name may begin otherwise."
        return self._page(
            "app-patient.html", title="Choose a patient", problem=problem, found=found or ()
        )

    async def _choose(self, patient: str) -> Response:
        if self.asked.launched and self.asked.patient is not None:
            return await self.next()
        shown = await self.site.patients.one(patient)
        if shown is None:
            return await self.next()
        asked = self.asked.for_patient(shown.id)
        await asyncio.to_thread(
            self.site.server.approvals.change_request, digest_of(self.handle), asked.as_json()
        )
        return await replace(self, asked=asked).next()

    def _note(self, private: dict[str, object]) -> None:
        """Write down what the person looked for, before it is shown."""
        about = {"client": self.app.name, **private}
        self.site.console.recorder(self.user).fact(TrustChange(act="app-patient", private=about))

    # --- the decision -----------------------------------------------------------------------------

    async def _approved(self) -> Response:
        site, attempt = self.site, self._attempt()
        shown = await site.patients.one(self.asked.patient) if self.asked.patient else None
        if self.asked.patient and shown is None:
            return await self.next()
        if not await self._ended():
            return site.problem("This request was answered already.")
        try:
            code, approval = await asyncio.to_thread(
                approve, site.server, self.asked, self.user, attempt
            )
        except Refused as refused:
            return await self._refused(attempt, refused)
        try:
            await site.server.log.enter(
                attempt,
                directory_version=site.server.peers.version,
                response=None,
                outcome=Outcome.OK,
            )
        except BaseException:
            await asyncio.shield(asyncio.to_thread(site.server.approvals.end, approval.id))
            raise
        return site.to_app(self.asked.redirect_uri, self.asked.state, {"code": code})

    async def _declined(self) -> Response:
        if not await self._ended():
            return self.site.problem("This request was answered already.")
        declined = Refused("person-declined", "The person did not open the app.")
        return await self._refused(self._attempt(), declined)

    async def _refused(self, attempt: Attempt, refused: Refused) -> Response:
        await self.site.answering.enter_refusal(attempt, refused, None, Outcome.DECLINED)
        return self.site.back(self.asked.redirect_uri, self.asked.state, refused)

    async def _ended(self) -> bool:
        take = self.site.server.approvals.take_request
        return await asyncio.to_thread(take, digest_of(self.handle))

    def _attempt(self) -> Attempt:
        attempt = self.site.server.log.begin(Authorization.APP_APPROVAL)
        attempt.proved = True
        server = self.site.server
        client = self.app.client
        attempt.peer = (
            server.own.entry()
            if self.app.is_ours
            else server.peers.by_organization_id(client.organization_id)
        )
        attempt.purpose = self.app.purpose
        attempt.who |= {"subject_id": self.user.name, "user_id": self.user.login}
        attempt.asked |= {
            "client_id": self.asked.client_id,
            "client": self.app.name,
            "asked": " ".join(self.asked.scope),
            "launched": self.asked.launched,
        }
        if self.asked.patient is not None:
            attempt.asked["patient"] = self.asked.patient
        return attempt

    # --- pages ------------------------------------------------------------------------------------

    def _approval_page(self, patient: ShownPatient | None) -> Response:
        register = self.site.server.rules.register
        purpose = register.by_code(self.app.purpose)
        return self._page(
            "app-approve.html",
            title=f"Open {self.app.title}?",
            patient=patient,
            lines=in_words(granted_to(self.asked, self.user)),
            purpose=purpose.code.display or purpose.code.code if purpose else self.app.purpose,
            target=origin(self.asked.redirect_uri),
        )

    def _page(self, template: str, **context: Any) -> Response:
        return self.site.page(
            template,
            self.asked.redirect_uri,
            app=self.app.title,
            organization=self.app.organization,
            user=self.user,
            form=self.session.form,
            here=f"{self.site.console.root}/{self.handle}",
            **{"code": ""} | context,
        )
