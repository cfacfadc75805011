"""Resolves the locks in requirements/ anew: names, versions and hashes, no index's address."""

from __future__ import annotations

import shutil

from set_up import bootstrapped_uv, client_environment, run

COMMON = ["--quiet", "--generate-hashes", "--no-emit-index-url", "--no-header"]
OLDEST = "3.10"
IMAGE = "3.11"
SERVERS = "requirements/servers.txt"
DEV = ["pyproject.toml", "--all-extras", "--group", "dev"]


def main() -> None:
    """dev.txt for every Python we support, lowest.txt the lower bounds for this one, uv.txt for the bootstrap.

    servers.txt (the worker and the API) and mlflow.txt are for the images.
    """
    uv = shutil.which("uv") or bootstrapped_uv()
    env = client_environment()
    compile_ = [uv, "pip", "compile", *COMMON]
    run(*compile_, *DEV, "--universal", "--python-version", OLDEST, "-o", "requirements/dev.txt", env=env)
    run(*compile_, *DEV, "--resolution", "lowest-direct", "-o", "requirements/lowest.txt", env=env)
    image = ["--universal", "--python-version", IMAGE]
    servers = ["pyproject.toml", "--extra", "workers", "--extra", "api", "--extra", "bucket", "--group", "build"]
    # The releases that the tests run with.
    run(*compile_, *servers, *image, "--constraints", "requirements/dev.txt", "-o", SERVERS, env=env)
    run(*compile_, "requirements/mlflow.in", *image, "-o", "requirements/mlflow.txt", env=env)
    run(*compile_, "requirements/uv.in", "--universal", "-o", "requirements/uv.txt", env=env)


if __name__ == "__main__":
    main()
