"""ACLs as docs/guides/kafka-acls.md lists them, and how to give and take them on a real broker."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest

from matih_kafka.admin import admin_client
from matih_schemas.topics import catalogue

if TYPE_CHECKING:
    from matih_kafka.settings import KafkaSettings

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "kafka-acls.md"
# Kafka's codes: org.apache.kafka.common.resource.ResourceType, PatternType, acl.AclOperation, acl.AclPermissionType.
RESOURCES = {"Topic": 2, "Group": 3}
OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Delete": 6, "Describe": 8, "DescribeConfigs": 10}
LITERAL = ALLOW = 3
ANY = 1


class Acl(NamedTuple):
    resource: str
    name: str
    operation: str


def listed(component: str, topic: str, group: str) -> list[Acl]:
    """A component's lines of the guide, for that topic and group."""
    events, letters = catalogue(topic)
    rows = re.findall(r"^\| ([\w ]+) \| (\w+) \| (\S+) \| (\w+) \|$", GUIDE.read_text(), re.MULTILINE)
    names = {"EVENTS": events.name, "LETTERS": letters.name, "GROUP": group, "GROUP-reaper": f"{group}-reaper"}
    return [
        Acl(resource, names.get(name, name), operation) for who, resource, name, operation in rows if who == component
    ]


async def change(settings: KafkaSettings, user: str, given: list[Acl], taken: list[Acl]) -> None:
    """Gives and takes, and waits until the broker goes by it: it hears of it a moment later."""
    async with admin_client(settings) as admin:
        for kind, acls in ((CreateAclsRequest, given), (DeleteAclsRequest, taken)):
            for acl in acls:
                await _send(admin, kind, RESOURCES[acl.resource], acl.name, LITERAL, user, OPERATIONS[acl.operation])
        for _ in range(200):
            known = await _known(admin, user)
            if set(given) <= known and not set(taken) & known:
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"the broker does not go by them: {known}")


async def _known(admin: Any, user: str) -> set[Acl]:
    found = set()
    for kind, code in RESOURCES.items():
        response = await _send(admin, DescribeAclsRequest, code, None, ANY, user, ANY, permission=ANY)
        names = {number: name for name, number in OPERATIONS.items()}
        for resource in response.to_object()["resources"]:
            found |= {Acl(kind, resource["resource_name"], names[acl["operation"]]) for acl in resource["acls"]}
    return found


async def _send(admin: Any, kind: Any, *what: Any, permission: int = ALLOW) -> Any:
    resource, name, pattern, user, operation = what
    host = None if kind is DescribeAclsRequest else "*"
    request = kind(resource, name, pattern, f"User:{user}", host, operation, permission)
    response = await admin._client.send(admin._client.get_random_node(), request)
    assert "error_code=0" in str(response) or "error_code" not in str(response), response
    return response
