# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The script that makes or copies a data directory, run by this machine's shell on real folders, with programs of a
test in the place of the servers. What it does with the real ones is in the scenarios mysql_single and mysql."""

from __future__ import annotations

import os
import pathlib
import shutil
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


# What a script that copies does: a folder, or nothing. It notes whom it was to ask.
COPY = """echo "$DONOR $DONOR_HOST $DONOR_IS_PRIMARY" >>{root}/asked
case " {givers} " in *" $DONOR "*) ;; *) exit 1 ;; esac
mkdir "$COPY"
touch "$COPY/mysql.ibd" "$COPY/auto.cnf" "$COPY/of-$DONOR"
"""


class Place:
    """A volume, and an image of a test."""

    def __init__(self, root: pathlib.Path, **server: str) -> None:
        self.root = root
        self.home = root / "volume"
        self.bin = root / "bin"
        self.etc = root / "etc"
        for folder in (self.home, self.bin, self.etc):
            folder.mkdir()
        for folder in ("root", "replication", "record", "mysqld"):
            (root / "run" / folder).mkdir(parents=True)
        for secret in ("root", "replication"):
            (root / "run" / secret / "password").write_text(CHOSEN + "\n")
        self.record()
        text = SCRIPT.read_text(encoding="utf-8")
        for path, instead in (("/var/lib/mysql", self.home), ("/run/", root / "run"), ("/etc/stateful", self.etc)):
            assert path in text
            text = text.replace(path, f"{instead}/" if path.endswith("/") else str(instead))
        self.script = root / "initialise.sh"
        self.script.write_text(text, encoding="utf-8")
        self.server("mysqld", "9.7.4 for Linux", **server)
        self.program("mysql", CLIENT.format(root=root))
        self.program("sync", "#!/bin/sh\n")
        self.program("sleep", f"#!/bin/sh\ntouch {root}/slept\nexec /bin/sleep 0.05\n")

    def record(self, **changed: str) -> None:
        usual = {"epoch": "0", "primary": "shop-0", "members": "3", "copy": "", "primaries": "shop-0"}
        for name, value in {**usual, **changed}.items():
            (self.root / "run" / "record" / name).write_text(value)

    def givers(self, *pods: str) -> None:
        (self.etc / "copy_mysql.sh").write_text(COPY.format(root=self.root, givers=" ".join(pods)))

    def asked(self) -> list[str]:
        return [line.split()[0] for line in (self.root / "asked").read_text().splitlines()]

    def data(self, *names: str) -> None:
        (self.home / "data").mkdir()
        for name in ("mysql.ibd", *names):
            (self.home / "data" / name).touch()

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

    def start(
        self, flavour: str = "mysql", pod: str = "one", name: str = "shop-0", **more: str
    ) -> subprocess.Popen[str]:
        environment = {
            "POD_NAMESPACE": "ns",
            "SERVICE": "shop",
            "CLUSTER_DOMAIN": "local",
            "KEEPS_NOTHING": "0",
            **more,
        }
        return subprocess.Popen(
            ["sh", str(self.script), flavour],
            env={"PATH": f"{self.bin}:{os.environ['PATH']}", "POD_NAME": name, "POD_UID": pod, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, flavour: str = "mysql", pod: str = "one", name: str = "shop-0", **more: str) -> tuple[int, str]:
        started = self.start(flavour, pod, name, **more)
        said, complained = started.communicate(timeout=60)
        return started.returncode, said + complained

    def there(self) -> dict[str, t.Any]:
        return {path.name: sorted(inner.name for inner in path.glob("*")) for path in self.home.glob("*")}


@pytest.fixture
def place(tmp_path: pathlib.Path) -> Place:
    return Place(tmp_path)


def test_data_in_another_folder_is_data_where_that_is_declared(place: Place) -> None:
    place.data()
    (place.home / "data").rename(place.home / "mysql")
    rc, said = place.run()
    assert rc
    assert "has no folder data, so no server is made on it. It holds: mysql." in said
    assert place.run(DATA_FOLDER="mysql") == (0, "There is a data directory already: nothing to do.\n")
    assert list(place.there()) == ["mysql"]


def test_a_copy_goes_into_the_folder_that_is_declared(place: Place) -> None:
    place.record(epoch="1")
    place.givers("shop-0")
    rc, _said = place.run(name="shop-1", DATA_FOLDER="mysql")
    assert (rc, list(place.there())) == (0, ["mysql"])


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
    assert ("REQUIRE SSL" in statements) is (flavour == "mysql")
    assert "INSERT INTO" not in statements
    # No command line and no output holds it.
    assert "slash" not in (place.root / "arguments").read_text() + said


def test_data_is_left_alone(place: Place) -> None:
    assert place.run()[0] == 0
    before = {path: path.stat().st_mtime_ns for path in place.home.rglob("*")}
    (place.root / "arguments").unlink()
    assert place.run(pod="two") == (0, "There is a data directory already: nothing to do.\n")
    assert {path: path.stat().st_mtime_ns for path in place.home.rglob("*")} == before
    assert (place.root / "arguments").read_text().split() == ["--no-defaults", "--version"]


def test_settings_of_the_user_are_not_in_force_while_data_is_made(place: Place) -> None:
    assert place.run()[0] == 0
    assert {word for word in (place.root / "arguments").read_text().split() if "defaults-file" in word} == {
        f"--defaults-file={place.etc}/initialise.cnf"
    }


@pytest.mark.parametrize("name", ["shop-1", "shop-10"])
def test_another_pod_than_the_first_copies_from_replicas_before_the_primary(place: Place, name: str) -> None:
    place.record(members="12", primary="shop-4", epoch="7")
    place.givers("shop-4")
    rc, said = place.run(name=name)
    assert (rc, said.splitlines()[-1]) == (0, "The data directory is complete.")
    replicas = [f"shop-{ordinal}" for ordinal in reversed(range(12)) if ordinal != 4]
    assert place.asked() == [pod for pod in replicas if pod != name] + ["shop-4"]
    assert (place.root / "asked").read_text().splitlines()[-1] == "shop-4 shop-4.shop.ns.svc.local 1"
    # The donor's identity is not the copy's.
    assert place.there() == {"data": ["mysql.ibd", "of-shop-4", "started"]}
    statements = (place.root / "statements").read_text()
    assert "RESET REPLICA ALL;" in statements
    assert "DELETE FROM stateful_kube.own;" in statements
    assert "--skip-replica-start" in (place.root / "arguments").read_text()


@pytest.mark.parametrize("primaries", ["shop-1", "shop-2 shop-1 shop-0"])
def test_who_was_primary_before_its_copy_is_another_server_after_that(place: Place, primaries: str) -> None:
    place.record(epoch="3", primaries=primaries)
    place.givers("shop-2")
    assert place.run(name="shop-1")[0] == 0
    number = int((place.home / "data" / "stateful_server_id").read_text())
    assert 1000 < number < 2**32
    assert number % 1000 == 101


def test_donors_are_asked_until_one_gives(place: Place) -> None:
    place.givers()
    started = place.start(name="shop-1")
    waited_for((place.root / "slept").exists)
    place.givers("shop-2")
    _said, complained = started.communicate(timeout=60)
    assert (started.returncode, complained) == (0, complained)
    assert place.asked()[:2] == ["shop-2", "shop-0"]
    assert place.there() == {"data": ["mysql.ibd", "of-shop-2", "started"]}


@pytest.mark.parametrize(("epoch", "primary"), [("1", "shop-0"), ("0", "shop-1")])
def test_a_primary_whose_data_is_gone_makes_no_new_one_and_takes_no_copy(
    place: Place, epoch: str, primary: str
) -> None:
    place.record(epoch=epoch, primary=primary)
    place.givers("shop-2")
    rc, said = place.run(name=primary)
    assert rc == 1
    assert f"names {primary} as primary, and its volume has no data" in said
    assert place.there() == {}


def test_who_has_become_the_primary_meanwhile_takes_no_copy(place: Place) -> None:
    place.record(epoch="1")
    place.givers()
    started = place.start(name="shop-1")
    waited_for((place.root / "asked").exists)
    place.record(epoch="2", primary="shop-1")
    said, complained = started.communicate(timeout=60)
    assert started.returncode == 1
    assert "names shop-1 as primary" in said + complained


@pytest.mark.parametrize(("members", "keeps_nothing", "made"), [("1", "1", True), ("1", "0", False), ("3", "1", False)])
def test_only_a_lone_server_that_keeps_nothing_begins_anew(
    place: Place, members: str, keeps_nothing: str, made: bool
) -> None:
    place.record(epoch="5", members=members)
    rc, _said = place.run(KEEPS_NOTHING=keeps_nothing)
    assert (rc == 0, "data" in place.there()) == (made, made)
    if made:
        assert "INSERT INTO stateful_kube.own VALUES (1, 'shop-0', 5);" in (place.root / "statements").read_text()


def test_a_new_copy_takes_the_place_of_data_once_for_each_token(place: Place) -> None:
    place.data("old")
    place.record(epoch="3", copy="shop-20 other\nshop-1 first\n")
    place.givers("shop-2")
    assert place.run(name="shop-1")[0] == 0
    copied = {"data": ["mysql.ibd", "of-shop-2", "started"], "copied.first": []}
    assert place.there() == copied
    assert place.run(name="shop-1")[1] == "There is a data directory already: nothing to do.\n"
    # The primary first: a replica may lack the same.
    assert place.asked() == ["shop-0", "shop-2"]
    place.record(epoch="3", copy="shop-1 second\n")
    place.givers("shop-0")
    assert place.run(name="shop-1")[0] == 0
    assert place.there() == {"data": ["mysql.ibd", "of-shop-0", "started"], "copied.second": []}


@pytest.mark.parametrize("left", [["data", "restored.3.abc"], ["restored.3.abc", "replaced.3.abc"]])
def test_the_primary_puts_restored_files_in_the_place_of_its_data_also_after_it_was_killed(
    place: Place, left: list[str]
) -> None:
    for name in left:
        (place.home / name).mkdir()
        (place.home / name / "mysql.ibd").touch()
        (place.home / name / name).touch()
    place.record(epoch="3", swap="3.abc")
    before = [name for name in left if not name.startswith("restored")]
    for _start in range(2):
        assert place.run()[0] == 0
        assert place.there() == {
            "data": ["mysql.ibd", "restored.3.abc"],
            "replaced.3.abc": sorted([*before, "mysql.ibd"]),
        }


def test_what_a_newer_record_may_name_than_the_one_that_is_mounted_stays(place: Place) -> None:
    place.data("own")
    for left in ("restored.10.abc", "restored.9.abc"):
        (place.home / left).mkdir()
    place.record(epoch="9")
    assert place.run()[0] == 0
    assert place.there() == {"data": ["mysql.ibd", "own"], "restored.10.abc": []}


def test_who_is_to_take_a_copy_itself_is_no_donor(place: Place) -> None:
    place.record(epoch="4", copy="shop-1 first\nshop-2 other\n", members="4")
    place.givers("shop-2", "shop-3")
    assert place.run(name="shop-1")[0] == 0
    assert place.asked() == ["shop-0", "shop-3"]


@pytest.mark.parametrize(
    "left",
    [
        {"data": "half", "restored.4.def": "new", "replaced.3.abc": "first"},
        {"data": "half", "restored.4.def": "new", "replaced.4.def": "first"},
        {"restored.4.def": "new", "replaced.4.def": "first", "discarded.4.def": "half"},
        # The one between came to nothing at all.
        {"data": "half", "restored.4.def": "new", "replaced.2.old": "first"},
        {"data": "first", "restored.4.def": "new"},
        {"restored.4.def": "new", "replaced.4.def": "first"},
    ],
)
def test_a_restore_that_begins_anew_keeps_what_the_first_one_replaced_wherever_it_is_killed(
    place: Place, left: dict[str, str]
) -> None:
    for name, what in left.items():
        (place.home / name).mkdir()
        (place.home / name / "mysql.ibd").touch()
        (place.home / name / what).touch()
    place.record(epoch="4", swap="4.def", swap_before="2.old 3.abc")
    for _start in range(2):
        assert place.run()[0] == 0
        assert place.there() == {"data": ["mysql.ibd", "new"], "replaced.4.def": ["first", "mysql.ibd"]}


def test_what_the_first_restore_replaced_stays_where_the_files_of_the_next_are_not_there(place: Place) -> None:
    place.data("half")
    (place.home / "replaced.3.abc").mkdir()
    place.record(epoch="4", swap="4.def", swap_before="3.abc")
    assert place.run()[0] == 0
    assert place.there() == {"data": ["half", "mysql.ibd"], "replaced.4.def": []}


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("shop-1", {"swap": "3.abc"}),
        ("shop-0", {"swap": "2.abc"}),
        ("shop-0", {"swap": ""}),
        ("shop-0", {"swap": "3.other"}),
        ("shop-0", {}),
    ],
)
def test_what_was_unpacked_and_is_not_asked_for_is_removed(place: Place, name: str, record: dict[str, str]) -> None:
    place.data("own")
    for left in ("restored.2.abc", "restored.3.abc", "restoring.7", "replaced.2.old", "replaced.4.old"):
        (place.home / left).mkdir()
    place.record(epoch="3", **record)
    assert place.run(name=name)[0] == 0
    assert place.there() == {"data": ["mysql.ibd", "own"]}


def test_while_files_are_restored_a_copy_counts_of_the_primary_that_has_them_alone(place: Place) -> None:
    place.data("old")
    place.record(epoch="3", copy="shop-1 first\n", swap="3.abc")
    place.givers("shop-2")
    started = place.start(name="shop-1")
    waited_for((place.root / "slept").exists)
    assert set(place.asked()) == {"shop-0"}
    place.givers("shop-0", "shop-2")
    said, complained = started.communicate(timeout=60)
    assert started.returncode == 1
    assert "The copy is of data that shop-0 had before a restore" in said + complained
    assert place.there()["data"] == ["mysql.ibd", "old"]
    told = CLIENT.format(root=place.root) + f'case $(cat {place.root}/said) in *CONCAT*) echo "shop-0 3" ;; esac\n'
    place.program("mysql", told)
    assert place.run(name="shop-1", pod="two")[0] == 0
    assert place.there() == {"data": ["mysql.ibd", "of-shop-0", "started"], "copied.first": []}
    # As of one that is new.
    shutil.rmtree(place.home)
    place.home.mkdir()
    assert place.run(name="shop-2", pod="three")[0] == 0
    assert set(place.asked()) == {"shop-0"}


@pytest.mark.parametrize("copy", ["shop-0 first", "shop-10 first", ""])
def test_the_primary_and_others_keep_their_data(place: Place, copy: str) -> None:
    place.data("own")
    place.record(epoch="3", copy=copy)
    place.givers("shop-2")
    assert place.run(name="shop-0")[0] == 0
    assert place.there() == {"data": ["mysql.ibd", "own"]}


def test_half_a_copy_is_thrown_away_and_begun_anew(place: Place) -> None:
    for left in ("cloning.before", "cloning.before.taker"):
        (place.home / left).mkdir()
    (place.home / "cloning.before.log").touch()
    text = 'mkdir "$COPY" "$COPY.taker"; touch "$COPY/mysql.ibd" "$COPY.log"; exec /bin/sleep 60\n'
    (place.etc / "copy_mysql.sh").write_text(text)
    killed = place.start(name="shop-1")
    waited_for((place.home / "cloning.one.log").exists)
    assert sorted(place.there()) == ["cloning.one", "cloning.one.log", "cloning.one.taker"]
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    place.givers("shop-2")
    assert place.run(name="shop-1", pod="two")[0] == 0
    assert place.there() == {"data": ["mysql.ibd", "of-shop-2", "started"]}


@pytest.mark.parametrize("name", ["shop-0", "shop-1"])
def test_a_pod_that_is_told_to_end_ends(tmp_path: pathlib.Path, name: str) -> None:
    place = Place(tmp_path, initialising="exec /bin/sleep 600")
    (place.etc / "copy_mysql.sh").write_text('mkdir "$COPY"; touch "$COPY/mysql.ibd"; exec /bin/sleep 600\n')
    told = place.start(name=name)
    waited_for(lambda: any(inner == ["mysql.ibd"] for inner in place.there().values()))
    told.send_signal(signal.SIGTERM)
    try:
        assert told.wait(timeout=60) == 143
    finally:
        os.killpg(told.pid, signal.SIGKILL)


@pytest.mark.parametrize("record", [{"epoch": ""}, {"epoch": "one"}, {"members": "-1"}])
def test_a_record_that_is_none_is_refused(place: Place, record: dict[str, str]) -> None:
    place.record(**record)
    rc, said = place.run()
    assert (rc, "has no whole number as epoch or members" in said, place.there()) == (1, True, {})


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


@pytest.mark.parametrize("secret", ["root", "replication"])
def test_no_server_is_made_without_a_password(place: Place, secret: str) -> None:
    (place.root / "run" / secret / "password").write_text("\n")
    rc, said = place.run()
    assert (rc, "is empty" in said, place.there()) == (1, True, {})


def test_one_that_is_killed_is_begun_anew(tmp_path: pathlib.Path) -> None:
    place = Place(tmp_path, initialising="/bin/sleep 60")
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
