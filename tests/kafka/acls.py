"""ACLs as docs/guides/kafka-acls.md lists them, and how to give and take them on a real broker."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest

from matih_kafka.admin import admin_client
from matih_schemas.topics import catalogue

if TYPE_CHECKING:
    from matih_kafka.settings import KafkaSettings

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "kafka-acls.md"
# Kafka's codes: org.apache.kafka.common.resource.ResourceType, PatternType, acl.AclOperation, acl.AclPermissionType.
RESOURCES = {"Topic": 2, "Group": 3}
OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Delete": 6, "Describe": 8, "DescribeConfigs": 10}
LITERAL = ALLOW = 3


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
    async with admin_client(settings) as admin:
        for kind, acls in ((CreateAclsRequest, given), (DeleteAclsRequest, taken)):
            for acl in acls:
                request = kind(
                    *(RESOURCES[acl.resource], acl.name, LITERAL, f"User:{user}", "*", OPERATIONS[acl.operation], ALLOW)
                )
                response = await admin._client.send(admin._client.get_random_node(), request)
                assert not response.to_object().get("creation_responses", [{}])[0].get("error_code"), response
