"""`matih tenants create|list|token|revoke`: works on the tokens' file that the API reads."""

from __future__ import annotations

import difflib
import sys
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.table import Table

from matih_api.auth import editing
from matih_api.auth.durations import InvalidDuration, duration
from matih_api.auth.principal import Role
from matih_api.auth.roles import check_actor, grant_in
from matih_api.auth.settings import auth_settings
from matih_api.auth.token_file import TokensFileUnusable, change, read
from matih_api.auth.token_records import TokensFile
from matih_console.errors import CommandFailed, WrongUse
from matih_console.output import JsonOption, console, note, print_json
from matih_kafka.errors import InvalidSettings
from matih_kafka.recording import Reason, Unrecorded, reason_for, record_if_there_is_kafka
from matih_schemas.errors import InvalidName
from matih_schemas.identity import DEPLOYMENT, check_tenant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from matih_api.auth.token_records import TokenRecord

T = TypeVar("T")
tenants = typer.Typer(
    add_completion=False,
    help="Tenants and their tokens, in the file that MATIH_API_TOKENS_FILE names, else in MATIH_HOME/tokens.json.",
)


@tenants.command()
def create(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="The tenant's name.")],
    reason: Reason = None,
    unrecorded: Unrecorded = False,
    json: JsonOption = False,
) -> None:
    """Note a tenant, so that tokens can be made for it. One that is there already stays as it is."""
    path, name, why = _path(), _valid(_own_name, tenant), reason_for("tenants create", reason)

    def edit(file: TokensFile) -> tuple[TokensFile, bool]:
        after, made = editing.with_tenant(file, name, _now())
        if made:
            _record("tenants.create", f"tenant {name}", why, [name], {}, unrecorded=unrecorded)
        return after, made

    made = _change(path, edit)
    if json:
        print_json({"tenant": name, "created": made, "file": path})
    else:
        console.print(f"tenant {name}: {'created' if made else 'is there already'}", markup=False)


@tenants.command(name="list")
def list_(json: JsonOption = False) -> None:
    """The tenants and the tokens, without the secrets: they are not kept."""
    path = _path()
    file = _read(path)
    if json:
        print_json(editing.as_json(file, _now()) | {"file": path})
        return
    _print_tenants(file)
    _print_tokens(file)


@tenants.command()
def token(
    grants: Annotated[
        list[str], typer.Argument(metavar="TENANT[:ROLE]...", help="reader (the default), writer or admin, by tenant.")
    ],
    name: Annotated[str | None, typer.Option(metavar="ACTOR", help="Who uses it: stands in events and logs.")] = None,
    expires: Annotated[str | None, typer.Option(metavar="90d", help="How long it is good: 12h, 90d, 4w.")] = None,
    reason: Reason = None,
    unrecorded: Unrecorded = False,
    json: JsonOption = False,
) -> None:
    """Make a token and print it, once: only its hash is kept."""
    path, why = _path(), reason_for("tenants token", reason)
    roles = dict(_valid(lambda text: grant_in(text, Role.READER), text) for text in grants)
    if len(roles) < len(grants):
        raise WrongUse("a tenant is named twice: name each once, with its greatest role")
    actor, now = None if name is None else _valid(check_actor, name), _now()
    expires_at = None if expires is None else now + _valid(duration, expires)

    def edit(file: TokensFile) -> tuple[TokensFile, editing.Made]:
        after, made = editing.with_token(file, actor, roles, now, expires_at)
        until = {} if expires_at is None else {"expires_at": expires_at.isoformat()}
        _record_token("tenants.token", made.token_id, made.record, why, until, unrecorded=unrecorded)
        return after, made

    made = _change(path, edit)
    if json:
        print_json(made.as_json() | {"token": made.token})
        return
    sys.stdout.write(f"{made.token}\n")
    note(f"token {made.token_id} of {made.record.name}: this is the only time that it is shown; {path} has its hash")


@tenants.command()
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="The token's id, as `list` shows it.")],
    reason: Reason = None,
    unrecorded: Unrecorded = False,
    json: JsonOption = False,
) -> None:
    """Take a token back. The running API refuses it within a second."""
    path, why = _path(), reason_for("tenants revoke", reason)

    def edit(file: TokensFile) -> tuple[TokensFile, TokenRecord]:
        after, record = editing.without_token(file, token_id)
        _record_token("tenants.revoke", token_id, record, why, {}, unrecorded=unrecorded)
        return after, record

    record = _change(path, edit)
    if json:
        print_json({"revoked": token_id, "name": record.name})
    else:
        console.print(f"token {token_id} of {record.name} is revoked", markup=False)


def _record_token(
    action: str, token_id: str, record: TokenRecord, why: str, more: dict[str, str], *, unrecorded: bool
) -> None:
    """Records what happens to a token, by its id: the token itself stands nowhere."""
    roles = " ".join(f"{tenant}:{word}" for tenant, word in sorted(record.grants.items()))
    details = {"token_id": token_id, "name": record.name, "roles": roles} | more
    _record(action, f"token {token_id}", why, record.grants, details, unrecorded=unrecorded)


def _record(
    action: str, target: str, why: str, tenants: Iterable[str], details: dict[str, str], *, unrecorded: bool
) -> None:
    """Has it recorded while nobody else can change the file, and before it is written."""
    from matih_kafka.admin_actions import Deed

    deed = Deed(action, target, why, frozenset(tenants), details)
    record_if_there_is_kafka(deed, unrecorded=unrecorded)


def _own_name(tenant: str) -> str:
    if check_tenant(tenant) == DEPLOYMENT:
        raise InvalidName(f"tenant {tenant!r} stands for the deployment in the events of its admins: take another name")
    return tenant


def _now() -> datetime:
    return datetime.now(timezone.utc).replace(microsecond=0)


def _path() -> Path:
    try:
        return auth_settings().tokens_path
    except InvalidSettings as error:
        raise WrongUse(str(error)) from error


def _valid(check: Callable[[str], T], text: str) -> T:
    try:
        return check(text)
    except (InvalidName, InvalidDuration) as error:
        raise WrongUse(str(error)) from error


def _read(path: Path) -> TokensFile:
    try:
        return read(path)[1] if path.exists() else TokensFile()
    except (TokensFileUnusable, OSError) as error:
        raise CommandFailed(str(error)) from error


def _change(path: Path, edit: Callable[[TokensFile], tuple[TokensFile, T]]) -> T:
    try:
        return change(path, edit)
    except TokensFileUnusable as error:
        raise CommandFailed(str(error)) from error
    except editing.NoSuchTenant as error:
        raise CommandFailed(f"{error}{_meant(error)}") from error
    except editing.NoSuchToken as error:
        raise CommandFailed(f"{error}: see `matih tenants list`") from error


def _meant(error: editing.NoSuchTenant) -> str:
    near = difflib.get_close_matches(error.tenant, error.known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _print_tenants(file: TokensFile) -> None:
    table = Table("tenant", "created", "tokens")
    for name, tenant in sorted(file.tenants.items()):
        count = sum(name in token.grants for token in file.tokens.values())
        table.add_row(name, f"{tenant.created_at:%Y-%m-%d}", str(count))
    console.print(table if file.tenants else "no tenants: `matih tenants create TENANT --reason TEXT` makes one")


def _print_tokens(file: TokensFile) -> None:
    if not file.tokens:
        return
    table = Table("token", "name", "good for", "created", "expires")
    now = _now()
    for token_id, record in file.tokens.items():
        roles = " ".join(f"{tenant}:{word}" for tenant, word in record.grants.items())
        until = f"{record.expires_at:%Y-%m-%d %H:%M}Z" if record.expires_at else "never"
        until = f"{until} (expired)" if record.expired(now) else until
        table.add_row(token_id, record.name, roles, f"{record.created_at:%Y-%m-%d}", until)
    console.print(table)
