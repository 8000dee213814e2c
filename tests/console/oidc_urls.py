"""The addresses and claims of the real provider: Django reads this module once it is set up."""

from __future__ import annotations

from django.contrib.auth import authenticate, login
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import include, path
from oauth2_provider.oauth2_validators import OAuth2Validator

from tests.console.oidc_provider import PEOPLE


class Claims(OAuth2Validator):
    """What ID Tokens say beside the protocol's own."""

    oidc_claim_scope = None

    def get_additional_claims(self, request):
        name, groups = PEOPLE[request.user.username]
        return {
            "sub": f"person-{request.user.pk}",
            "preferred_username": request.user.username,
            "name": name,
            "groups": groups,
        }


def sign_in(request):
    """The provider's own page for passwords."""
    if request.method == "GET":
        return HttpResponse("Who are you?")
    user = authenticate(request, username=request.POST["u"], password=request.POST["p"])
    if user is None:
        return HttpResponse("No.", status=403)
    login(request, user)
    return HttpResponseRedirect(request.GET["next"])


urlpatterns = [
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    path("login/", sign_in),
]
