"""Forks, signal handlers and destructors in the middle of everything."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading

import pytest
from tests.waiting import until

from matih_tracking.journal.errors import JournalBusy, JournalClosed, JournalError
from matih_tracking.journal.listing import owner_state
from matih_tracking.journal.ownership import State

from .reading import read_all

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="fork and signals are POSIX's")


def in_child(work):
    """Runs `work` in a forked child; its exit code is 0 if that returned true."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            code = 0 if work() else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_forked_child_lets_go_and_the_parent_keeps_its_lock(writer):
    writer.append(b"parent")

    def child():
        writer.after_fork_in_child()
        with pytest.raises(JournalClosed):
            writer.append(b"child")
        writer.close()
        return True

    assert in_child(child) == 0
    assert owner_state(writer.path) is State.HELD
    writer.append(b"parent again")
    assert read_all(writer.path).payloads == [b"parent", b"parent again"]


def test_the_lock_is_free_after_the_parents_end_though_the_child_lives_on(writer):
    release, gate = os.pipe()
    pid = os.fork()
    if not pid:
        writer.after_fork_in_child()
        os.close(gate)
        os.read(release, 1)
        os._exit(0)
    os.close(release)
    writer.close()
    until(lambda: owner_state(writer.path) is State.FREE, "the child lets go")
    os.close(gate)
    os.waitpid(pid, 0)


def test_a_fork_that_nobody_told_of_is_noticed(writer):
    writer.append(b"parent")

    def child():
        with pytest.raises(JournalClosed):
            writer.check()
        with pytest.raises(JournalClosed):
            writer.append(b"child")
        return True

    assert in_child(child) == 0
    assert owner_state(writer.path) is State.HELD
    assert read_all(writer.path).payloads == [b"parent"]


def test_a_fork_while_another_thread_appends_leaves_no_lock_held(writer):
    stop = threading.Event()

    def busy():
        while not stop.is_set():
            writer.append(b"busy")

    thread = threading.Thread(target=busy)
    thread.start()

    def child():
        writer.after_fork_in_child()
        with pytest.raises(JournalClosed):
            writer.append_reserved(b"child", timeout=5)
        return True

    try:
        assert [in_child(child) for _ in range(20)] == [0] * 20
    finally:
        stop.set()
        thread.join()


class Interrupts:
    """A real-time timer whose handler logs, or raises, whatever the main thread is doing."""

    def __init__(self, handler, seconds=0.0002):
        self.handler, self.seconds, self.times = handler, seconds, 0

    def _handle(self, *_):
        self.times += 1
        self.handler(self.times)

    def __enter__(self):
        self.before = signal.signal(signal.SIGALRM, self._handle)
        signal.setitimer(signal.ITIMER_REAL, self.seconds, self.seconds)
        return self

    def __exit__(self, *_):
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self.before)


def test_a_signal_handler_may_log_at_any_moment(writer):
    logged, refused = {}, []

    def log(text):
        try:
            logged[writer.append(text)] = text
        except JournalBusy:
            refused.append(text)

    with Interrupts(lambda nth: log(b"handler %d " % nth * 20)) as interrupts:
        nth = 0
        while interrupts.times < 600:
            log(b"main %d " % nth * 10)
            nth += 1
    found = read_all(writer.path).payloads
    assert found == [logged[number] for number in range(len(found))]
    assert len(found) == writer.count == nth + interrupts.times - len(refused)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # one that hit a destructor
def test_an_exception_from_a_signal_handler_leaves_the_journal_whole_and_unlocked(writer):
    logged, interrupted = {}, 0
    inside = False

    class Stop(Exception):
        pass

    def stop(_):
        nonlocal inside
        if inside:
            inside = False  # one exception a call: no code can clean up if each step of that is interrupted too
            raise Stop

    nth = 0
    gc.disable()  # test tools run code of their own after each collection, and don't expect an exception there
    try:
        with Interrupts(stop, seconds=0.001):
            while interrupted < 500:
                nth += 1
                text = b"main %d " % nth * 10
                try:
                    inside = True
                    number = writer.append(text)
                    inside = False
                    logged[number] = text
                except Stop:
                    inside = False
                    interrupted += 1
    finally:
        gc.enable()
    other = threading.Thread(target=writer.append, args=(b"from another thread",))
    other.start()
    other.join(10)
    assert not other.is_alive()
    found = read_all(writer.path).payloads
    assert found.pop() == b"from another thread"
    assert all(found[number] == text for number, text in logged.items())
    # What was interrupted after it was written has no number that anybody knows, but it's whole.
    unknown = [text for number, text in enumerate(found) if number not in logged]
    assert len(unknown) <= interrupted
    assert all(text.startswith(b"main ") for text in unknown)


def test_a_destructor_may_log_in_the_middle_of_an_append(writer):
    class Logs:
        def __init__(self):
            self.itself = self

        def __del__(self):
            numbers.append(writer.append(b"destructor"))

    numbers, plain = [], []
    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(2000):
            Logs()
            plain.append(writer.append(b"plain"))
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    found = read_all(writer.path).payloads
    assert len(numbers) == 2000
    assert [found[number] for number in plain] == [b"plain"] * 2000
    assert [found[number] for number in numbers] == [b"destructor"] * 2000


def test_the_last_entry_does_not_wait_for_a_thread_that_never_goes_on(writer):
    held, go_on = threading.Event(), threading.Event()

    def hold():
        with writer._appender.lock:
            held.set()
            go_on.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    with pytest.raises(JournalBusy, match="another thread"):
        writer.append_reserved(b"killed", timeout=0.05)
    go_on.set()
    thread.join()
    assert writer.append_reserved(b"killed", timeout=0.05) == 0


def test_a_write_that_fails_leaves_no_trace(make_writer, monkeypatch):
    writer = make_writer(journal="write")
    writer.append(b"before")
    broken, fd = os.pipe()
    good = writer._appender._window._fd
    writer._appender._window._fd = broken
    for _ in range(3):
        with pytest.raises(JournalError, match="refuses to write"):
            writer.append(b"lost")
    writer._appender._window._fd = good
    assert writer.append(b"after") == 1
    assert read_all(writer.path).payloads == [b"before", b"after"]
    os.close(broken), os.close(fd)


def test_an_orphan_that_inherited_the_lock_does_not_keep_a_dead_writer_alive(spool, tmp_path):
    """A child forked by C code holds the lock; the record in the file says who took it."""
    from .test_processes import start

    process = start("append_then_fork", spool)
    journal, orphan = process.stdout.readline().split()
    process.kill()
    process.wait()
    process.stdout.close()
    try:
        from pathlib import Path

        until(lambda: owner_state(Path(journal.decode())) is State.FREE, "the dead writer's lock counts as free")
        os.kill(int(orphan), 0)
    finally:
        os.kill(int(orphan), signal.SIGKILL)
