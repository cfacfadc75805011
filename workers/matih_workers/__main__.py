"""`python -m matih_workers` is `matih worker`."""

import sys

from matih_console.main import main

if __name__ == "__main__":
    sys.exit(main(["worker", *sys.argv[1:]]))
