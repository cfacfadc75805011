"""Jars: the lock, the download, the check before use, and what is said when they can't be had."""

import hashlib
import http.server
import threading

import pytest
from tests.local.shell import Matih

from matih_local import jars
from matih_local.errors import JarsMissing
from matih_local.jars import Jar, JarCache, ensure_jars, locked_jars, read_lock

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def repository(tmp_path):
    """A Maven repository with three jars, and their lock's text."""
    root = tmp_path / "repository"
    lines = []
    for number in range(3):
        content = bytes([number]) * 300_000
        folder = root / "org" / "example" / f"jar{number}" / "1.0"
        folder.mkdir(parents=True)
        (folder / f"jar{number}-1.0.jar").write_bytes(content)
        lines.append(f"org.example:jar{number}:1.0 {hashlib.sha256(content).hexdigest()} {len(content)}\n")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=root)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield root, f"http://127.0.0.1:{server.server_port}", read_lock("# comment\n" + "".join(lines))
        server.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path):
    return JarCache(tmp_path / "cache")


def files(cache):
    return sorted(path.name for path in cache.folder.rglob("*") if path.is_file())


def test_the_lock_names_the_broker_and_a_back_end_for_its_log_and_no_host():
    names = {jar.artifact for jar in locked_jars()}
    assert {"kafka_2.13", "log4j-slf4j-impl", "log4j-core"} <= names
    assert "://" not in jars.LOCK.read_text()
    assert len({jar.sha256 for jar in locked_jars()}) == len(locked_jars()) == len(names)


def test_jars_are_fetched_once_and_every_byte_is_told(repository, cache):
    _root, address, wanted = repository
    told = []
    cache.fetch(wanted, address, told.append)
    assert cache.missing(wanted) == ()
    assert files(cache) == ["jar0-1.0.jar", "jar1-1.0.jar", "jar2-1.0.jar"]
    assert sum(told) == sum(jar.size for jar in wanted)


def test_a_jar_with_another_sha256_is_refused_and_nothing_of_it_is_left(repository, cache):
    root, address, wanted = repository
    (root / wanted[1].repository_path).write_bytes(b"something else")
    with pytest.raises(JarsMissing, match=r"jar1-1.0.jar from .* is not what the lock names .*MATIH_MAVEN_REPO"):
        cache.fetch(wanted, address)
    assert wanted[1] in cache.missing(wanted)
    assert "jar1-1.0.jar" not in files(cache)
    assert not [name for name in files(cache) if name.startswith(".partial")]


def test_a_jar_that_was_changed_in_the_cache_counts_as_missing(repository, cache):
    _root, address, wanted = repository
    cache.fetch(wanted, address)
    path = cache.path(wanted[0])
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert cache.missing(wanted) == (wanted[0],)


def test_a_jar_that_the_repository_does_not_have_is_said_with_its_address(cache, repository, monkeypatch):
    _, address, wanted = repository
    monkeypatch.setattr(jars, "locked_jars", lambda: (*wanted, Jar("org.example", "none", "1.0", "0" * 64, 1)))
    with pytest.raises(JarsMissing, match=r"1 of 4 .* answered 404"):
        ensure_jars(cache, address)


def test_class_path_refuses_to_run_what_is_not_there(cache):
    with pytest.raises(JarsMissing, match=f"{len(locked_jars())} of {len(locked_jars())}"):
        jars.class_path(cache)


def test_no_network_and_no_jars_is_one_line_that_says_what_to_do(matih, tmp_path):
    offline = Matih(matih.home, MATIH_CACHE_DIR=str(tmp_path / "empty"), MATIH_MAVEN_REPO=NOBODY)
    done = offline.run("up")
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("matih: ")]
    assert f"Kafka's jars are missing: {len(locked_jars())} of {len(locked_jars())}" in line
    assert NOBODY in line
    assert "MATIH_MAVEN_REPO" in line
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "empty" / "jars").exists() or not [*(tmp_path / "empty" / "jars").rglob("*.jar")]
