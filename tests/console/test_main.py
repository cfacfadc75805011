"""The shell of the command line: what it prints where, and its exit codes."""

import json
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest
import typer

from matih_console import commands, main
from matih_console.errors import CommandFailed, WrongUse
from matih_console.output import JsonOption, note, print_json


@pytest.fixture
def register(monkeypatch):
    """Puts a function or a typer app in the place of a command's entry point."""

    def put(name, target):
        monkeypatch.setattr(commands, "load", lambda asked: target if asked == name else pytest.fail(asked))

    return put


def test_help_is_grouped_and_imports_no_command():
    code = "import sys; from matih_console.main import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"typer", "rich", "aiokafka", "matih_tracking", "matih_kafka"} & set(done.stderr.split())
    places = [done.stdout.index(word) for word in ("\nuse\n", "  run ", "\noperate\n", "  topics ")]
    assert places == sorted(places)


def test_every_entry_point_stands_in_the_help_under_its_purpose():
    assert all(command.purpose != "more" for command in commands.known().values())


def test_no_command_is_wrong_use_and_prints_the_help(capsys):
    assert main.main([]) == 2
    assert "Usage: matih COMMAND" in capsys.readouterr().out


def test_version(capsys):
    assert main.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("matih ")


def test_unknown_command(capsys):
    assert main.main(["dance"]) == 2
    assert capsys.readouterr().err == "matih: no command 'dance': see `matih --help`\n"


@pytest.mark.parametrize(("error", "code"), [(CommandFailed("it broke: mend it"), 1), (WrongUse("not so: so"), 2)])
def test_errors_are_one_line_and_an_exit_code(register, capsys, error, code):
    def broken():
        raise error

    register("broken", broken)
    assert main.main(["broken"]) == code
    assert capsys.readouterr() == ("", f"matih: {error}\n")


@pytest.mark.parametrize("arguments", [["--colour"], ["one"], ["--times", "many"]])
def test_arguments_that_a_command_does_not_take_are_one_line(register, capsys, arguments):
    def once(times: int = 1):
        pass

    register("once", once)
    assert main.main(["once", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("matih: ")
    assert err.endswith("(see `matih once --help`)\n")
    assert err.count("\n") == 1


@pytest.mark.parametrize(("end", "code"), [(None, 0), (0, 0), (1, 1), (143, 143)])
def test_what_a_command_returns_is_the_exit_code(register, end, code):
    register("end", lambda: end)
    assert main.main(["end"]) == code


def test_exit_and_interrupt(register):
    def leave():
        raise typer.Exit(3)

    def interrupted():
        raise KeyboardInterrupt

    register("leave", leave)
    assert main.main(["leave"]) == 3
    register("interrupted", interrupted)
    assert main.main(["interrupted"]) == 130


def test_a_group_of_commands_with_json(register, capsys):
    app = typer.Typer()

    @app.command()
    def show(json: JsonOption = False):
        note("looking")
        print_json({"json": json, "odd": {1}})

    @app.command()
    def hide(): ...

    register("group", app)
    assert main.main(["group", "show", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"json": True, "odd": "{1}"}
    assert err == "matih: looking\n"


def test_a_bug_is_not_hidden(register):
    def bug():
        raise KeyError("x")

    register("bug", bug)
    with pytest.raises(KeyError):
        main.main(["bug"])


def test_a_missing_library_names_the_extra(monkeypatch, capsys):
    monkeypatch.setattr(
        commands, "_entry_point", lambda name: EntryPoint(name, "faust_is_not_here:app", commands.GROUP)
    )
    assert main.main(["worker"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("matih: `matih worker` needs faust_is_not_here, which is not installed: pip install ")
    assert told.endswith("'matih-tracking[workers]'\n")


def test_installed_command():
    done = subprocess.run(
        [sys.executable, "-m", "matih_console.main", "--help"], capture_output=True, text=True, check=True
    )
    assert "matih run -- python train.py" in done.stdout
