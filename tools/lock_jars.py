"""Resolves `local/matih_local/jars.lock` anew: coordinate, sha256 and size of each jar, no repository's address.

The broker's own dependencies name the log API only; Kafka's archive adds this back end for it, in Log4j's version.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import jgo

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "local" / "matih_local" / "jars.lock"
WANTED = ("org.apache.kafka:kafka_2.13:4.3.0", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4")
HEADER = f"# {' + '.join(WANTED)}, resolved by tools/lock_jars.py: coordinate, sha256, bytes\n"


def resolve(endpoint: str, folder: Path) -> dict[str, str]:
    """The lock's line of each jar that an endpoint needs, by `group:artifact`."""
    environment = jgo.build(endpoint, cache_dir=folder, update=True)
    sizes = {path.name: path.stat().st_size for path in Path(environment.path).rglob("*.jar")}
    return {
        f"{jar.groupId}:{jar.artifactId}": f"{jar.groupId}:{jar.artifactId}:{jar.version} {jar.sha256} "
        f"{sizes[f'{jar.artifactId}-{jar.version}.jar']}\n"
        for jar in environment.lockfile.dependencies
    }


def main() -> None:
    """Writes the lock, sorted by coordinate. Resolved one by one: together, the back end's parent changes versions."""
    with tempfile.TemporaryDirectory() as folder:
        broker, backend = (resolve(endpoint, Path(folder)) for endpoint in WANTED)
    lines = sorted((backend | broker).values())
    LOCK.write_text(HEADER + "".join(lines))
    print(f"{LOCK.relative_to(ROOT)}: {len(lines)} jars")


if __name__ == "__main__":
    main()
