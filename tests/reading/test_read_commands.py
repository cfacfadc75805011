"""`matih experiments` and `matih runs` on a real MLflow."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import pty
import signal
import subprocess
import sys
import threading

import pytest
from pyarrow import parquet
from tests.waiting import until

from matih_console.main import main
from matih_schemas.identity import new_run_id

T0 = 1_700_000_000_000


@pytest.fixture
def matih(seed, mlflow_url, monkeypatch, capsysbinary):
    """Runs a command as the seed's tenant; returns its exit code, stdout and stderr."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_url)
    monkeypatch.setenv("MATIH_TENANT", seed.tenant)
    monkeypatch.setenv("COLUMNS", "180")
    monkeypatch.setattr("matih_console.output.console.width", 180, raising=False)

    def run(*arguments):
        capsysbinary.readouterr()  # MLflow's client prints what it does
        code = main(list(arguments))
        out, err = capsysbinary.readouterr()
        return code, out.decode(), err.decode()

    return run


def test_experiments_are_listed(matih, seed):
    one = seed.experiment("fraud", **{"mlflow.note.content": "why not", "team": "x"})
    seed.run(one, T0)
    seed.experiment("churn")
    code, out, err = matih("experiments", "list")
    assert (code, err) == (0, "")
    assert out.index("churn") < out.index("fraud")
    assert seed.ours("fraud") in out
    assert "2 experiments" in out
    report = json.loads(matih("experiments", "list", "RAU", "--json")[1])
    (item,) = report["experiments"]
    assert report["total"] == 1
    assert {key: item[key] for key in ("id", "name", "description", "lifecycle_stage", "run_count", "tags")} == {
        "id": seed.ours("fraud"), "name": "fraud", "description": "why not", "lifecycle_stage": "active",
        "run_count": 1, "tags": {"team": "x"},
    }  # fmt: skip
    assert json.loads(matih("experiments", "list", "--tenant", "other", "--stage", "all", "--json")[1])["total"] == 0
    seed.client.delete_experiment(one)
    assert "fraud" in matih("experiments", "list", "--stage", "deleted")[1]


def test_runs_are_listed_sorted_and_filtered(matih, seed):
    experiment = seed.experiment("e")
    a = seed.run(experiment, T0, "first", end=("FINISHED", T0 + 65_000), metrics={"f1": 0.5}, params={"lr": "1"})
    b = seed.run(experiment, T0 + 1, "second", metrics={"f1": math.nan, "loss": 2.0})
    seed.run(seed.experiment("other"), T0 + 2, "third")
    code, out, err = matih("runs", "list", "-e", "e", "--sort", "metrics.f1", "-p", "lr")
    assert (code, err) == (0, "")
    rows = {line.split()[0]: line for line in out.splitlines() if len(line.split()) > 5}
    assert list(rows)[-2:] == [a, b]
    assert "first" in rows[a]
    assert "FINISHED" in rows[a]
    assert "1 min 5 s" in rows[a]
    assert rows[a].split()[-3:] == ["0.5", "-", "1"]
    assert rows[b].split()[-3:] == ["nan", "2", "-"]
    report = json.loads(matih("runs", "list", "--sort", "name", "--order", "asc", "--limit", "2", "--json")[1])
    assert [run["name"] for run in report["runs"]] == ["first", "second"]
    assert report["total"] == 3
    assert report["runs"][0]["duration_seconds"] == 65.0
    assert report["runs"][1]["metrics"] == {"f1": "NaN", "loss": 2.0}
    assert "2 runs of 3: --limit shows more" in matih("runs", "list", "--limit", "2")[1]
    assert json.loads(matih("runs", "list", "--status", "Completed", "--json")[1])["total"] == 1
    assert "lr" in matih("runs", "list", "--sort", "params.`lr`", "--experiment", seed.ours("e"))[1]


def test_a_run_is_shown(matih, seed):
    run = seed.run(seed.experiment("e"), T0, "one", end=("KILLED", T0 + 5), metrics={"m": 0.25}, params={"p": "[red]"})
    code, out, _ = matih("runs", "show", run)
    assert code == 0
    for word in (run, "one", "KILLED", "0.25", "[red]", "2023-11-14T22:13:20.000Z"):
        assert word in out
    assert json.loads(matih("runs", "show", run, "--json")[1])["params"] == {"p": "[red]"}


def test_runs_are_compared(matih, seed):
    experiment = seed.experiment("e")
    a, b = (seed.run(experiment, T0, name, metrics={"m": i}, params={"p": str(i)}) for i, name in enumerate("ab"))
    code, out, _ = matih("runs", "compare", a, b)
    assert code == 0
    lines = [line.split() for line in out.splitlines() if line.strip()]
    assert ["run", a, b] in lines
    assert ["m", "0", "1"] in lines
    report = json.loads(matih("runs", "compare", b, a, "--json")[1])
    assert [run["params"] for run in report["runs"]] == [{"p": "1"}, {"p": "0"}]


def test_runs_are_exported_whole(matih, seed, tmp_path):
    experiment = seed.experiment("e")
    odd = 'a "quoted",\nname'
    a = seed.run(experiment, T0, odd, end=("FINISHED", T0 + 5), metrics={"m": math.inf}, params={"p": "ä"})
    b = seed.run(experiment, T0 + 1, "b", metrics={"n": 0.1}, stored={"mine": "1"})
    code, out, _ = matih("runs", "export")
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["run_id"] for row in rows] == [a, b]
    assert rows[0]["name"] == 'a "quoted",\nname'
    assert [rows[0][key] for key in ("metrics.m", "metrics.n", "params.p", "tags.mine")] == ["inf", "", "ä", ""]
    assert (rows[0]["start_time"], rows[1]["end_time"]) == ("2023-11-14T22:13:20.000Z", "")
    assert (rows[1]["metrics.n"], rows[1]["tags.mine"]) == ("0.1", "1")
    file = tmp_path / "runs.parquet"
    code, out, err = matih("runs", "export", "--format", "parquet", "-o", str(file), "--sort", "name", "--limit", "1")
    assert (code, out, err) == (0, "", f"matih: 1 runs are in {file}\n")
    table = parquet.read_table(file).to_pydict()
    assert table["run_id"] == [a]
    assert table["metrics.m"] == [math.inf]
    assert table["start_time"][0].timestamp() * 1000 == T0
    assert list(tmp_path.iterdir()) == [file]


def test_all_points_are_exported(matih, seed, tmp_path):
    run = seed.run(seed.experiment("e"), T0, "r", metrics={"other": 1.0})
    (mlflow_id,) = (found.info.run_id for found in seed.client.search_runs(
        [seed.client.get_experiment_by_name(f"{seed.tenant}/e").experiment_id]))  # fmt: skip
    points = [(i / 7, T0 + i, i) for i in range(40)] + [(math.nan, T0 + 99, 99)]
    seed.log(mlflow_id, "m", points)
    rows = list(csv.DictReader(io.StringIO(matih("runs", "export", "--history", "-m", "m")[1])))
    assert [(row["run_id"], row["metric"], int(row["step"]), row["value"]) for row in rows] == [
        (run, "m", step, repr(value)) for value, _, step in points
    ]
    file = tmp_path / "points.parquet"
    report = json.loads(matih("runs", "export", "--history", "--format", "parquet", "-o", str(file), "--json")[1])
    assert report["rows"] == 42
    table = parquet.read_table(file).to_pydict()
    assert table["metric"] == ["m"] * 41 + ["other"]
    assert table["value"][:40] == [value for value, *_ in points[:40]]
    assert [at.timestamp() * 1000 for at in table["timestamp"][:3]] == [T0, T0 + 1, T0 + 2]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["runs", "show", "a" * 32], 1, "has no run"),
        (["runs", "list", "-e", "none"], 1, "has no experiment 'none': see `matih experiments list`"),
        (["runs", "list", "--sort", "loss"], 2, "--sort 'loss': use metrics.KEY"),
        (["runs", "list", "--order", "up"], 2, "use asc or desc"),
        (["runs", "list", "--status", "odd"], 2, "use one of running"),
        (["runs", "list", "--tenant", "a/b"], 2, "tenant 'a/b'"),
        (["runs", "list", "--limit", "0"], 2, "see `matih runs --help`"),
        (["runs", "export", "--metric", "m"], 2, "--history"),
        (["runs", "export", "-o", "/no/such/folder/x.csv"], 1, "can't be written"),
    ],
)
def test_errors_are_one_line_that_says_what_to_do(matih, arguments, code, words):
    got, out, err = matih(*arguments)
    assert (got, out) == (code, "")
    assert err.startswith("matih: ")
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["experiments", "list"], ["runs", "list"], ["runs", "watch", "a" * 32]])
def test_no_mlflow_is_one_line(monkeypatch, capsys, arguments):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:s3cret@127.0.0.1:9")
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("matih: MLflow at http://127.0.0.1:9 can't be reached")
    assert err.count("\n") == 1
    assert "s3cret" not in err


def watching(seed, url, *arguments, **options):
    environment = {**os.environ, "MLFLOW_TRACKING_URI": url, "MATIH_TENANT": seed.tenant, "TERM": "xterm"}
    command = [sys.executable, "-m", "matih_console.main", "runs", "watch", *arguments, "--interval", "0.2"]
    return subprocess.Popen(command, env=environment, **options)


def test_watch_draws_until_the_run_ends(seed, mlflow_url):
    run = seed.run(seed.experiment("e"), T0, "watched", metrics={"loss": 3.0})
    (mlflow_id,) = (found.info.run_id for found in seed.client.search_runs(
        [seed.client.get_experiment_by_name(f"{seed.tenant}/e").experiment_id]))  # fmt: skip
    master, slave = pty.openpty()
    process = watching(seed, mlflow_url, run, stdout=slave, stderr=slave)
    os.close(slave)
    seen = bytearray()

    def collect():
        try:
            while chunk := os.read(master, 65536):
                seen.extend(chunk)
        except OSError:
            pass  # the other end is closed

    thread = threading.Thread(target=collect)
    thread.start()
    until(lambda: b"loss 3 at step 0" in seen, "the first point is drawn")
    seed.log(mlflow_id, "loss", [(1.5, T0 + 1, 10)])
    until(lambda: b"loss 1.5 at step 10" in seen, "the new point is drawn")
    seed.client.set_terminated(mlflow_id, "FAILED")
    assert process.wait(30) == 0
    thread.join()
    os.close(master)
    assert b"FAILED" in seen


def test_watch_as_json_is_a_line_per_change_and_ctrl_c_ends_it(seed, mlflow_url):
    run = seed.run(seed.experiment("e"), T0, metrics={"loss": 3.0})
    process = watching(seed, mlflow_url, run, "--json", stdout=subprocess.PIPE, text=True)
    first = json.loads(process.stdout.readline())
    assert first["metrics"] == {"loss": {"value": 3.0, "step": 0}}
    assert first["status"] == "RUNNING"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[0] == ""
    assert process.returncode == 0


def test_an_unknown_run_is_not_watched(matih):
    assert matih("runs", "watch", new_run_id())[0] == 1
