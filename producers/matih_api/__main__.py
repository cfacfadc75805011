"""`python -m matih_api`: the same as `matih api`."""

from __future__ import annotations

import sys

from matih_console.main import main

sys.exit(main(["api", *sys.argv[1:]]))
