"""Runs the benchmarks whose name contains one of the words given, or all.

    python -m benchmarks [WORD ...] [-- ARGUMENT ...]

Each is a module beside this one with a `main()`, and gets a process of its own, and the arguments. So the cases of
`kafka_to_mlflow` on a table of 20 million rows, which are not among all, are

    make bench ARGS="kafka_to_mlflow -- full"
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
HELPERS = {"__init__", "__main__", "filling", "measure"}


def chosen(words: list[str]) -> list[str]:
    """The names of the benchmarks to run."""
    names = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in HELPERS)
    return [name for name in names if not words or any(word in name for word in words)]


def divided(words: list[str]) -> tuple[list[str], list[str]]:
    """What chooses the benchmarks, and what they are given."""
    end = words.index("--") if "--" in words else len(words)
    return words[:end], words[end + 1 :]


def main(line: list[str]) -> int:
    """Runs them one after the other; the exit code is 1 if one failed, 2 if there is none of that name."""
    words, given = divided(line)
    if {"-h", "--help"} & set(words):
        print(__doc__, f"\nThere are: {', '.join(chosen([]))}")
        return 0
    names = chosen(words)
    if not names:
        print(f"no benchmark's name contains {' or '.join(words)}; there are: {', '.join(chosen([]))}", file=sys.stderr)
        return 2
    failed = []
    for name in names:
        print(f"\n== {name}", flush=True)
        start = time.monotonic()
        if subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}", *given], cwd=HERE.parent, check=False
        ).returncode:
            failed.append(name)
        print(f"({time.monotonic() - start:.0f} s)", flush=True)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
