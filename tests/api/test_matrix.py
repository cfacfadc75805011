"""Every endpoint of the OpenAPI document, asked with every kind of credential: who may do what, and what is told."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from tests.api.auth.issuer import AUDIENCE, ISSUER, Issuer, signed
from tests.api.servers import ApiServer, Bench, fresh, ok

from matih_api.auth import editing
from matih_api.auth.principal import Role
from matih_api.auth.token_file import change
from matih_schemas.event_batch import CONTENT_TYPE

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

OURS, FOREIGN = "team-a", "team-b"
NOW = datetime.now(timezone.utc)
E, R, ML = "/api/v1/experiments", "/api/v1/experiments/runs", "/api/v1/ml/experiments"
MISSING = {"e": "00000000-0000-4000-8000-000000000000", "r": "0" * 31 + "f"}


class Row(NamedTuple):
    """One endpoint, and what it answers whom.

    Attributes:
        path: with `{e}` for an experiment's id and `{r}` for a run's.
        body: with them too.
        needs: the least role; None: nobody has to log in.
        done: what it answers when it may.
    """

    path: str
    needs: Role | None
    done: tuple[int, ...]
    body: Any = None

    @property
    def on_id(self) -> bool:
        return "{" in self.path or (self.body is not None and "{" in json.dumps(self.body).replace("{}", "")[1:])


W, D = Role.WRITER, Role.READER
ROWS = {
    "POST /api/v1/experiments": Row(E, W, (201, 202), {"name": "NEW"}),
    "GET /api/v1/experiments": Row(E, D, (200,)),
    "GET /api/v1/experiments/{id}": Row(E + "/{e}", D, (200,)),
    "PATCH /api/v1/experiments/{id}": Row(E + "/{e}", W, (200,), {"description": "d"}),
    "DELETE /api/v1/experiments/{id}": Row(E + "/{e}", W, (204,)),
    "POST /api/v1/experiments/{id}/restore": Row(E + "/{e}/restore", W, (200,)),
    "POST /api/v1/experiments/runs": Row(R, W, (201, 202), {"experiment_id": "{e}"}),
    "GET /api/v1/experiments/runs": Row(R + "?experiment_id={e}", D, (200,)),
    "POST /api/v1/experiments/runs/compare": Row(R + "/compare", D, (200,), {"run_ids": ["{r}"]}),
    "GET /api/v1/experiments/runs/{id}": Row(R + "/{r}", D, (200,)),
    "DELETE /api/v1/experiments/runs/{id}": Row(R + "/{r}", W, (204,)),
    "POST /api/v1/experiments/runs/{id}/restore": Row(R + "/{r}/restore", W, (200,)),
    "POST /api/v1/experiments/runs/{id}/log-metrics": Row(R + "/{r}/log-metrics", W, (202,), {"metrics": {"m": 1}}),
    "POST /api/v1/experiments/runs/{id}/log-params": Row(R + "/{r}/log-params", W, (202,), {"params": {"p": 1}}),
    "POST /api/v1/experiments/runs/{id}/log-batch": Row(
        R + "/{r}/log-batch", W, (202,), {"tags": [{"key": "k", "value": "v"}]}
    ),
    "POST /api/v1/experiments/runs/{id}/end": Row(R + "/{r}/end", W, (200,)),
    "POST /api/v1/ml/experiments": Row(ML, W, (201, 202), {"name": "NEW"}),
    "GET /api/v1/ml/experiments": Row(ML, D, (200,)),
    "GET /api/v1/ml/experiments/{id}/runs": Row(ML + "/{e}/runs", D, (200,)),
    "POST /api/v1/ml/experiments/{id}/compare": Row(ML + "/{e}/compare", D, (200,), {"run_ids": ["{r}"]}),
    "GET /api/v1/ml/experiments/{id}/runs/{run}/metrics/{metric}": Row(ML + "/{e}/runs/{r}/metrics/m", D, (200,)),
    "POST /api/v1/events": Row("/api/v1/events", W, (200,)),
    "GET /healthz": Row("/healthz", None, (200,)),
    "GET /readyz": Row("/readyz", None, (200,)),
    "GET /metrics": Row("/metrics", None, (200,)),
}
"""A new endpoint needs its row here."""


def unsigned() -> str:
    """A good JWT but for `alg: none`, without a signature."""
    head = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT", "kid": "one"}).encode()).rstrip(b"=")
    return f"{head.decode()}.{signed(tenant_id=OURS, role='admin').split('.')[1]}."


class Served(NamedTuple):
    """The API, the credentials by what they are, and both tenants' ids."""

    api: ApiServer
    tokens: dict[str, str | None]
    ours: dict[str, str]
    theirs: dict[str, str]


def make_tokens(bench: Bench) -> dict[str, str | None]:
    wanted: dict[str, tuple[dict[str, Role], timedelta | None]] = {
        "reader": ({OURS: Role.READER}, None),
        "writer": ({OURS: Role.WRITER}, None),
        "admin": ({OURS: Role.ADMIN}, None),
        "expired": ({OURS: Role.ADMIN}, timedelta(seconds=-1)),
        "foreign": ({FOREIGN: Role.ADMIN}, None),
    }

    def edit(file: Any) -> Any:
        made: dict[str, str | None] = {}
        for tenant in (OURS, FOREIGN):
            file = editing.with_tenant(file, tenant, NOW)[0]
        for name, (grants, lasts) in wanted.items():
            file, one = editing.with_token(file, name, grants, NOW, lasts and NOW + lasts)
            made[name] = one.token
        return file, made

    found: dict[str, str | None] = change(bench.folder / "tokens.json", edit)
    good = {"tenant_id": OURS, "role": "admin"}
    return found | {
        "none": None,
        "garbage": "garbage-in-a-header",
        "jwt": signed(**good),
        "jwt expired": signed(**good, exp=1_700_000_000),
        "jwt wrong issuer": signed(**good, iss="https://elsewhere.example.org"),
        "jwt wrong audience": signed(**good, aud="another"),
        "jwt wrong key": signed(nth=1, algorithm="ES256", **good),
        "jwt alg none": unsigned(),
        "jwt reader": signed(tenant_id=OURS, role="reader"),
    }


@pytest.fixture(scope="module")
def served(shared_bench: Bench) -> Iterator[Served]:
    issuer = Issuer()
    tokens = make_tokens(shared_bench)
    api = shared_bench.api(
        MATIH_API_TOKENS_FILE=str(shared_bench.folder / "tokens.json"),
        MATIH_API_JWKS_URL=issuer.url,
        MATIH_API_JWT_ISSUER=ISSUER,
        MATIH_API_JWT_AUDIENCE=AUDIENCE,
        MATIH_API_VISIBLE_TIMEOUT="0",  # no worker: what was acknowledged is found without one
    )
    api.ready()
    found = Served(api, tokens, {}, {})
    for who, ids in (("admin", found.ours), ("foreign", found.theirs)):
        made = ok(send(found, "POST", E, who, {"name": fresh("matrix")}), 202)
        ids["e"] = made["id"]
        ids["r"] = ok(send(found, "POST", R, who, {"experiment_id": ids["e"]}), 202)["id"]
        ok(send(found, "POST", f"{R}/{ids['r']}/log-metrics", who, {"metrics": {"m": 1}}), 202)
    yield found
    issuer.close()


def send(served: Served, method: str, path: str, who: str, body: Any = None, **headers: str) -> httpx.Response:
    token = served.tokens[who]
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    if path == "/api/v1/events":
        return served.api.client.post(path, content=b"", headers={**headers, "Content-Type": CONTENT_TYPE})
    return served.api.client.request(method, path, json=body, headers=headers)


def ask(served: Served, endpoint: str, who: str, ids: dict[str, str], **headers: str) -> httpx.Response:
    row = ROWS[endpoint]
    body = json.dumps(row.body).replace("NEW", fresh("made")) if row.body is not None else None
    for name, value in ids.items():
        body = body and body.replace("{" + name + "}", value)
    path = row.path.format(**ids)
    return send(served, endpoint.partition(" ")[0], path, who, json.loads(body) if body else None, **headers)


def test_every_endpoint_has_its_row(served: Served) -> None:
    document = ok(served.api.client.get("/openapi.json"), 200)
    known = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert known == set(ROWS)


NOBODY = ["none", "garbage", "expired", "jwt expired", "jwt wrong issuer", "jwt wrong audience", "jwt wrong key"]


@pytest.mark.parametrize("who", [*NOBODY, "jwt alg none"])
def test_who_is_not_known_gets_401_everywhere(served: Served, who: str) -> None:
    for endpoint, row in ROWS.items():
        answer = ask(served, endpoint, who, served.ours)
        wanted = (401,) if row.needs is not None else row.done
        assert answer.status_code in wanted, (endpoint, answer.text)
        if row.needs is not None:
            assert answer.headers["www-authenticate"].startswith("Bearer"), endpoint
            assert answer.json()["type"] == "urn:matih:problem:unauthorized", endpoint
    check_no_token(served)


@pytest.mark.parametrize("who", ["reader", "jwt reader", "writer", "admin", "jwt"])
def test_a_role_may_do_what_it_is_for(served: Served, who: str) -> None:
    role = {"reader": Role.READER, "jwt reader": Role.READER, "writer": Role.WRITER}.get(who, Role.ADMIN)
    for endpoint, row in ROWS.items():
        answer = ask(served, endpoint, who, served.ours)
        wanted = row.done if row.needs is None or role >= row.needs else (403,)
        assert answer.status_code in wanted, (endpoint, answer.status_code, answer.text)
        if endpoint.startswith("DELETE") and role >= Role.WRITER:  # what comes next finds it as it was
            ok(ask(served, f"POST {endpoint.partition(' ')[2]}/restore", who, served.ours), 200)
    check_no_token(served)


@pytest.mark.parametrize("who", ["reader", "writer", "admin", "jwt", "jwt reader"])
def test_a_tenant_that_is_not_granted_is_403_in_the_header_and_in_the_query(served: Served, who: str) -> None:
    for endpoint, row in ROWS.items():
        if row.needs is None or endpoint == "POST /api/v1/events":  # its events name their tenants
            continue
        for ids in (served.ours, served.theirs):
            answer = ask(served, endpoint, who, ids, **{"X-Tenant-ID": FOREIGN})
            assert answer.status_code == 403, (endpoint, answer.status_code, answer.text)
        answer = ask(served, endpoint, who, served.ours, **{"X-Tenant-ID": OURS})
        assert answer.status_code in (*row.done, 403), (endpoint, answer.text)
        if endpoint.startswith("DELETE") and answer.status_code == 204:
            ok(ask(served, f"POST {endpoint.partition(' ')[2]}/restore", who, served.ours), 200)
    both = {"X-Tenant-ID": OURS}
    ok(send(served, "GET", f"{E}?tenant_id={FOREIGN}", who, **both), 400)
    ok(send(served, "GET", f"{E}?tenant_id={FOREIGN}", who), 403)


@pytest.mark.parametrize("who", ["reader", "writer", "admin", "jwt"])
def test_another_tenants_object_is_answered_as_a_missing_one(served: Served, who: str) -> None:
    for endpoint, row in ROWS.items():
        if row.needs is None or not row.on_id:
            continue
        foreign, missing = (ask(served, endpoint, who, ids) for ids in (served.theirs, MISSING))
        assert (foreign.status_code, missing.status_code) == (404, 404), (endpoint, foreign.text, missing.text)
        assert plain(foreign, served.theirs) == plain(missing, MISSING), endpoint
        assert set(foreign.headers) == set(missing.headers), endpoint
    check_no_token(served)


def test_another_tenants_run_is_missing_in_an_experiment_of_ours(served: Served) -> None:
    for endpoint in ("POST /api/v1/ml/experiments/{id}/compare", next(name for name in ROWS if "{metric}" in name)):
        answers = [
            (ask(served, endpoint, "admin", {"e": served.ours["e"], "r": ids["r"]}), ids)
            for ids in (served.theirs, MISSING)
        ]
        assert [answer.status_code for answer, _ in answers] == [404, 404]
        told = [plain(answer, {"r": ids["r"]}) for answer, ids in answers]
        assert told[0] == told[1]


def test_another_tenants_experiments_and_runs_are_in_no_list(served: Served) -> None:
    for path in (E, ML, R):
        for who, ids, others in (("reader", served.ours, served.theirs), ("foreign", served.theirs, served.ours)):
            found = send(served, "GET", path, who).text
            assert ids["e"] in found, path
            assert others["e"] not in found, path


def plain(answer: httpx.Response, ids: dict[str, str]) -> str:
    """The body without the ids that the request named and that it has itself."""
    said = answer.json()
    assert said.pop("request_id") == answer.headers["x-request-id"]
    text = json.dumps(said)
    for name, value in ids.items():
        text = text.replace(value, name)
    return text


def check_no_token(served: Served) -> None:
    """Neither whole nor in parts that would do for a guess."""
    log = served.api.log()
    assert '"status":401' in log.replace(" ", "")
    for who, token in served.tokens.items():
        if token is not None:
            for part in token.split("."):
                assert len(part) < 12 or part not in log, who
                assert len(part) < 24 or part[:24] not in log or part.startswith("eyJhbGci"), who


def test_no_body_repeats_a_credential(served: Served) -> None:
    for who, token in served.tokens.items():
        if token is None:
            continue
        for endpoint in ROWS:
            if endpoint.startswith("GET"):
                assert token not in ask(served, endpoint, who, served.theirs).text
        asked = served.api.client.get(f"{E}/{token}", headers={"Authorization": f"Basic {token}"})
        assert asked.status_code == 401
        assert token not in asked.headers.get("www-authenticate", "")
