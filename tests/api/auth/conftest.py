"""An issuer, a tokens' file, and authenticators on them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from tests.api.auth.issuer import AUDIENCE, ISSUER, Issuer

from matih_api.auth import editing
from matih_api.auth.opening import make_authenticator
from matih_api.auth.principal import Role
from matih_api.auth.settings import AuthSettings
from matih_api.auth.token_file import change

NOW = datetime.now(timezone.utc).replace(microsecond=0)


@pytest.fixture
def issuer():
    made = Issuer()
    yield made
    made.close()


@pytest.fixture
def tokens_file(tmp_path):
    return tmp_path / "tokens.json"


@pytest.fixture
def new_token(tokens_file):
    """Makes a token in the file and gives it."""

    def make(name="ada", expires_in=None, **grants):
        roles = {
            tenant.replace("_", "-"): Role[word.upper()] for tenant, word in (grants or {"team_a": "reader"}).items()
        }

        def edit(file):
            for tenant in roles:
                file = editing.with_tenant(file, tenant, NOW)[0]
            return editing.with_token(file, name, roles, NOW, expires_in and NOW + timedelta(seconds=expires_in))

        return change(tokens_file, edit)

    return make


@pytest.fixture
def jwt_settings(issuer, tmp_path):
    def make(**changes):
        given = {
            "home": tmp_path / "home",
            "api_jwks_url": issuer.url,
            "api_jwt_issuer": ISSUER,
            "api_jwt_audience": AUDIENCE,
        }
        return AuthSettings(**(given | changes))

    return make


@pytest.fixture
def jwts(jwt_settings):
    return make_authenticator(jwt_settings())


@pytest.fixture
def tokens(new_token, tokens_file):
    new_token()
    return make_authenticator(AuthSettings(api_tokens_file=tokens_file))


@pytest.fixture
def both(new_token, tokens_file, jwt_settings):
    new_token()
    return make_authenticator(jwt_settings(api_tokens_file=tokens_file))
