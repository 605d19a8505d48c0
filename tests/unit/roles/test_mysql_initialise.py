# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The script that makes a data directory, run by this machine's shell on real folders, with programs of a test in the
place of the servers. What it does with the real ones is the scenario mysql_single."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import time
import typing as t

import pytest

SCRIPT = pathlib.Path(__file__).parents[3] / "roles" / "mysql" / "files" / "initialise.sh"
CHOSEN = r"it's a \back\slash"
# What a server does that matters here: it makes files, takes statements, and stops by SHUTDOWN.
SERVER = """#!/bin/sh
echo "$@" >>{root}/arguments
case " $* " in *" --version "*) echo "{name}  Ver {version}"; exit 0;; esac
for word; do case $word in --datadir=*) dir=${{word#--datadir=}};; esac; done
case " $* " in
*--initialize-insecure*) touch "$dir/mysql.ibd"; {initialising}; exit 0 ;;
esac
touch "$dir/started"
until [ -e {root}/shut ]; do sleep 0.05; done
rm -f {root}/shut
{ending}
"""
CLIENT = """#!/bin/sh
echo "$@" >>{root}/arguments
cat >{root}/said
case $(cat {root}/said) in *SHUTDOWN*) cp {root}/said {root}/statements; touch {root}/shut ;; esac
"""


class Place:
    """A volume, and an image of a test."""

    def __init__(self, root: pathlib.Path, **server: str) -> None:
        self.root = root
        self.home = root / "volume"
        self.bin = root / "bin"
        for folder in (self.home, self.bin, root / "root"):
            folder.mkdir()
        (root / "root" / "password").write_text(CHOSEN + "\n")
        text = SCRIPT.read_text(encoding="utf-8")
        for path, instead in (("/var/lib/mysql", self.home), ("/run/mysqld", root), ("/run/root", root / "root")):
            assert path in text
            text = text.replace(path, str(instead))
        self.script = root / "initialise.sh"
        self.script.write_text(text, encoding="utf-8")
        self.server("mysqld", "9.7.4 for Linux", **server)
        self.program("mysql", CLIENT.format(root=root))
        self.program("sync", "#!/bin/sh\n")

    def program(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)

    def server(self, name: str, version: str, initialising: str = ":", ending: str = ":") -> None:
        filled = {"root": self.root, "name": name, "version": version, "initialising": initialising, "ending": ending}
        self.program(name, SERVER.format(**filled))

    def mariadb(self) -> None:
        self.server("mariadbd", "10.11.19-MariaDB")
        self.program("mariadb", CLIENT.format(root=self.root))
        made = 'for word; do case $word in --datadir=*) touch "${word#--datadir=}/aria_log_control";; esac; done'
        self.program("mariadb-install-db", f'#!/bin/sh\necho "$@" >>{self.root}/arguments\n{made}\n')

    def start(self, flavour: str = "mysql", pod: str = "one", name: str = "shop-0") -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["sh", str(self.script), flavour],
            env={"PATH": f"{self.bin}:{os.environ['PATH']}", "POD_NAME": name, "POD_UID": pod},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, flavour: str = "mysql", pod: str = "one", name: str = "shop-0") -> tuple[int, str]:
        started = self.start(flavour, pod, name)
        said, complained = started.communicate(timeout=60)
        return started.returncode, said + complained

    def there(self) -> dict[str, t.Any]:
        return {path.name: sorted(inner.name for inner in path.glob("*")) for path in self.home.glob("*")}


@pytest.fixture
def place(tmp_path: pathlib.Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize("flavour", ["mysql", "mariadb"])
def test_a_new_volume_gets_a_data_directory_with_the_password(place: Place, flavour: str) -> None:
    (place.home / "lost+found").mkdir()
    place.mariadb()
    rc, said = place.run(flavour)
    assert (rc, said.splitlines()[-1]) == (0, "The data directory is complete.")
    own = "aria_log_control" if flavour == "mariadb" else "mysql.ibd"
    assert place.there() == {"data": sorted([own, "started"]), "lost+found": []}
    statements = (place.root / "statements").read_text()
    assert r"ALTER USER 'root'@'localhost' IDENTIFIED BY 'it''s a \\back\\slash';" in statements
    assert ("DELETE FROM mysql.global_priv" in statements) is (flavour == "mariadb")
    # No command line and no output holds it.
    assert "slash" not in (place.root / "arguments").read_text() + said


def test_data_is_left_alone(place: Place) -> None:
    assert place.run()[0] == 0
    before = {path: path.stat().st_mtime_ns for path in place.home.rglob("*")}
    (place.root / "arguments").unlink()
    assert place.run(pod="two") == (0, "There is a data directory already: nothing to do.\n")
    assert {path: path.stat().st_mtime_ns for path in place.home.rglob("*")} == before
    assert (place.root / "arguments").read_text().split() == ["--no-defaults", "--version"]


@pytest.mark.parametrize("name", ["shop-1", "shop-10"])
def test_another_pod_than_the_first_makes_no_server(place: Place, name: str) -> None:
    rc, said = place.run(name=name)
    assert rc == 1
    assert f"{name} is another pod than the first" in said
    assert place.there() == {}


def test_a_folder_that_cannot_be_read_is_not_taken_for_an_empty_one(place: Place) -> None:
    (place.home / "data").mkdir()
    place.program("ls", "#!/bin/sh\necho 'Permission denied' >&2\nexit 2\n")
    rc, said = place.run()
    assert rc == 1
    assert "cannot be read by user" in said
    assert place.there() == {"data": []}


@pytest.mark.parametrize("found", ["ibdata1", "mysql", "photos of the children"])
def test_a_volume_with_anything_of_anybody_is_refused(place: Place, found: str) -> None:
    (place.home / found).mkdir()
    rc, said = place.run()
    assert rc == 1
    assert "The volume is not empty" in said
    assert said.rstrip().partition(" It holds: ")[2].startswith(found)
    assert list(place.there()) == [found]


@pytest.mark.parametrize(("flavour", "theirs"), [("mysql", "aria_log_control"), ("mariadb", "mysql.ibd")])
def test_the_data_of_the_other_flavour_is_refused(place: Place, flavour: str, theirs: str) -> None:
    place.mariadb()
    (place.home / "data").mkdir()
    (place.home / "data" / theirs).touch()
    rc, said = place.run(flavour)
    assert (rc, "one cannot read the other's" in said) == (1, True)
    assert place.there() == {"data": [theirs]}


def test_a_folder_that_waits_for_the_data_gets_it(place: Place) -> None:
    (place.home / "data").mkdir()
    assert place.run()[0] == 0
    assert place.there() == {"data": ["mysql.ibd", "started"]}


def test_what_lies_in_that_folder_and_is_no_data_directory_is_refused(place: Place) -> None:
    (place.home / "data").mkdir()
    (place.home / "data" / ".dump").touch()
    rc, said = place.run()
    assert (rc, "holds something that is no data directory of mysql" in said) == (1, True)
    assert [path.name for path in (place.home / "data").iterdir()] == [".dump"]


def test_an_image_of_the_other_flavour_is_refused(place: Place) -> None:
    place.server("mysqld", "11.8.2-MariaDB")
    assert "The server of the image is no mysql" in place.run()[1]
    place.server("mariadbd", "9.7.4")
    assert "The server of the image is no mariadb" in place.run("mariadb")[1]
    (place.bin / "mariadbd").unlink()
    assert "The image has no mariadbd that runs" in place.run("mariadb")[1]
    assert place.there() == {}


def test_no_server_is_made_without_a_password(place: Place) -> None:
    (place.root / "root" / "password").write_text("\n")
    rc, said = place.run()
    assert (rc, "is empty" in said, place.there()) == (1, True, {})


def test_one_that_is_killed_is_begun_anew(tmp_path: pathlib.Path) -> None:
    place = Place(tmp_path, initialising="sleep 60")
    killed = place.start()
    waited_for(lambda: place.there() == {"initialising.one": ["mysql.ibd"]})
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    place.server("mysqld", "9.7.4")
    assert place.run(pod="two")[0] == 0
    assert place.there() == {"data": ["mysql.ibd", "started"]}


@pytest.mark.parametrize("server", [{"initialising": "exit 1"}, {"ending": "exit 1"}])
def test_what_a_server_did_not_finish_never_becomes_the_data(tmp_path: pathlib.Path, server: dict[str, str]) -> None:
    place = Place(tmp_path, **server)
    assert place.run()[0] != 0
    assert "data" not in place.there()


def test_of_two_pods_one_makes_the_data(tmp_path: pathlib.Path) -> None:
    place = Place(tmp_path, initialising=f"until [ -e {tmp_path}/go ]; do sleep 0.05; done")
    slow = place.start(pod="slow")
    waited_for(lambda: place.there() == {"initialising.slow": ["mysql.ibd"]})
    place.server("mysqld", "9.7.4")
    assert place.run(pod="fast")[0] == 0
    finished = place.there()
    (tmp_path / "go").touch()
    slow.communicate(timeout=60)
    assert slow.returncode != 0
    assert place.there() == finished == {"data": ["mysql.ibd", "started"]}


def waited_for(holds: t.Callable[[], bool]) -> None:
    limit = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.02)
