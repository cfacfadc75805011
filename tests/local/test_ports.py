"""Ports are chosen once, kept, and never shared by two homes."""

import json

from matih_local.ports import is_free, ports_of


def test_a_home_keeps_its_ports_and_new_names_get_new_ones(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    first = ports_of(home, ("kafka", "mlflow"), tmp_path)
    more = ports_of(home, ("kafka", "worker"), tmp_path)
    assert more["kafka"] == first["kafka"]
    assert len({*first.values(), *more.values()}) == 3
    assert all(is_free(port) for port in {*first.values(), *more.values()})


def test_no_two_homes_have_a_port_in_common_even_if_nothing_listens(tmp_path, monkeypatch):
    monkeypatch.setattr("matih_local.ports._FIRST", 21_000)
    monkeypatch.setattr("matih_local.ports._LAST", 21_060)
    homes = [tmp_path / str(number) for number in range(10)]
    chosen = []
    for home in homes:
        home.mkdir()
        chosen += ports_of(home, ("kafka", "mlflow"), tmp_path).values()
    assert len(set(chosen)) == 20


def test_a_removed_home_gives_its_ports_back(tmp_path, monkeypatch):
    monkeypatch.setattr("matih_local.ports._FIRST", 21_100)
    monkeypatch.setattr("matih_local.ports._LAST", 21_101)
    gone, new = tmp_path / "gone", tmp_path / "new"
    gone.mkdir()
    new.mkdir()
    port = ports_of(gone, ("kafka",), tmp_path)["kafka"]
    (gone / "ports.json").unlink()
    gone.rmdir()
    assert ports_of(new, ("kafka",), tmp_path) == {"kafka": port}
    assert json.loads((tmp_path / "homes.json").read_text()) == [str(new)]
