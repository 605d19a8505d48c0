# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What is run in a pod to copy the files of its server, and to make data of such a copy. Pure.

MariaDB's are the stream of mariadb-backup. MySQL's own image has no tar: what its clone plugin has copied is sent as
lines `dir PATH` and `file SIZE PATH`, each of the latter followed by the bytes, and `end NUMBER_OF_FILES`.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._programs import SOCKET, client, shell
from ansible_collections.stateful.kube.plugins.module_utils._mysql._gtid import MARIADB

#: the place of all data in a pod
HOME = "/var/lib/mysql"
# Kilobytes that a server needs on the volume beside what was copied.
BESIDE = 128 << 10
_END = re.compile(rb"end \d+\n\Z")
#: what copies are made and read with
PROGRAMS = {MARIADB: ("mariadb-backup", "mbstream", "mariadb", "gzip"), "mysql": ("mysql", "find", "gzip")}

# Where the connection ends, so does what is done for it. Its folder belongs to the process whose number it has; one of
# a process that is gone was left by a run that was killed. One that the plugin still copies into is left to the next.
_CLONE = r"""IFS= read -r MYSQL_PWD; export MYSQL_PWD
exec 3<&0 </dev/null
umask 077
home=$1; shift
copy=$home/cloning.backup.$$
for left in "$home"/cloning.backup.*; do
    [ "$left" != "$copy" ] && grep -q cloning.backup "/proc/${left##*.}/cmdline" 2>/dev/null || rm -rf "$left"
done
rm -f "/tmp/cloned.$$"
send() {
    cd "$copy" || return
    find . -mindepth 1 -type d | while IFS= read -r path; do echo "dir ${path#./}"; done
    find . -type f | {
        count=0
        while IFS= read -r path; do
            size=$(stat -c %s "$path") && echo "file $size ${path#./}" && cat "$path" || return
            count=$((count + 1))
        done
        [ "$count" -gt 0 ] && echo "end $count"
    }
}
work() {
    used=$(du -sk --exclude='binlog.*' --exclude='relay.*' "$home/${DATA_FOLDER:-data}" | cut -f 1)
    free=$(df -Pk "$home" | awk 'NR == 2 { print $4 }')
    if [ "$used" -gt "$free" ]; then
        echo "ERROR the files take $((used / 1024)) MiB, and the volume, where they are copied first, has" \
            "$((free / 1024)) MiB free: enlarge the claim, or make a dump" >&2
        return 1
    fi
    echo "CLONE LOCAL DATA DIRECTORY = '$copy'" | "$@" >&2 && : >"/tmp/cloned.$$" && send
}
{ work "$@" 3<&- & main=$!
{ cat <&3; kill "$main"; } >/dev/null 2>&1 & watch=$!
wait "$main"; echo "stateful-status clone $?" >&2
kill "$watch" 2>/dev/null
[ ! -e "/tmp/cloned.$$" ] || rm -rf "$copy" "/tmp/cloned.$$"; } | gzip -1 3<&-
"""
# Before the copy comes what mariadb-backup does not tell: the state of the binary log from before it.
_STREAM = r"""read -r unused
exec 3<&0 </dev/null
umask 077
work=/tmp/files.$$
for left in /tmp/files.*; do
    [ "$left" != "$work" ] && grep -q mbstream "/proc/${left##*.}/cmdline" 2>/dev/null || rm -rf "$left"
done
mkdir -p "$work/facts" || { echo "stateful-status mkdir $?" >&2; exit 1; }
produce() {
    mariadb --no-defaults --socket="$1" --user=stateful_donor --batch --skip-column-names \
        --execute='SELECT @@GLOBAL.gtid_binlog_state' >"$work/facts/stateful.gtid_binlog_state" || return
    (cd "$work/facts" && mbstream -c stateful.gtid_binlog_state) || return
    exec mariadb-backup --defaults-file=/etc/stateful/my.cnf --backup --stream=mbstream --target-dir="$work" \
        --socket="$1" --user=stateful_donor 2>"$work/log"
}
{ produce "$1" 3<&- & backup=$!
{ cat <&3; kill -KILL "$backup"; } >/dev/null 2>&1 & watch=$!
wait "$backup"; status=$?
[ "$status" = 0 ] || [ ! -e "$work/log" ] || tail -n 1 "$work/log" | sed 's/^/ERROR /' >&2
echo "stateful-status mariadb-backup $status" >&2
kill "$watch" 2>/dev/null
rm -rf "$work"; } | gzip -1 3<&-
"""
# Makes the folder $new of a copy: all that there is in it, prepared. Each part of the pipe tells how it ended.
_TAKE = r"""
fail() {
    printf '%s\n' "ERROR $1" 'stateful-status preparing 1' >&2
    exit 1
}
files() {
    count=0
    while IFS=' ' read -r kind size path; do
        case /$size/$path/ in */../*) return 1 ;; esac
        case $kind in
        dir) mkdir -p "$new/$size${path:+ $path}" || return ;;
        file)
            head -c "$size" >"$new/$path" || return
            count=$((count + 1))
            ;;
        end) [ "$size" = "$count" ]; return ;;
        *) return 1 ;;
        esac
    done
    return 1
}
take() {
    case $flavour in
    mariadb) mbstream -x -C "$new" ;;
    *) files ;;
    esac
    unpacked=$?
    echo "stateful-status unpacking $unpacked" >&2
    return "$unpacked"
}
receive() {
    free=$(df -Pk "$home" | awk 'NR == 2 { print $4 }')
    kept=
    for left in "$home"/replaced.*; do
        [ ! -e "$left" ] || kept=", which keeps the data from before the restore that came to no end too,"
    done
    [ "$needed" -le "$free" ] ||
        fail "they need $((needed / 1024)) MiB, and the volume$kept has $((free / 1024)) MiB free: enlarge the claim"
    mkdir -m 0750 "$new" || fail "no folder can be made on the volume"
    head -c "$size" <&3 | { gzip -dc && : >"$new.unzipped"; } | take || exit
    [ -e "$new.unzipped" ] || fail "what was sent is not whole"
}
prepare() {
    [ "$flavour" = mariadb ] || return 0
    if ! mariadb-backup --defaults-file=/etc/stateful/my.cnf --prepare --target-dir="$new" >"$new.log" 2>&1 ||
        ! grep -q '^backup_type = log-applied' "$new"/*_checkpoints; then
        fail "mariadb-backup cannot prepare them: $(tail -n 1 "$new.log")"
    fi
    cut -f 3 "$new"/*_binlog_info >"$new.gtid" || exit
    mv "$new/stateful.gtid_binlog_state" "$new.gtid_binlog_state" || exit
    rm -f "$new"/xtrabackup_* "$new"/mariadb_backup_* "$new/backup-my.cnf"
}
"""
# A server that nobody reaches is started on them, to recover, and is told what is this application's own: the text that
# comes before the files. Its position is all that this writes. The rename at the end makes them whole. As what was
# written since has other transactions of the same numbers, it is another server than the one that wrote those.
_UNPACK = (
    r"""read -r unused
umask 077
home=$1 flavour=$2 size=$3 length=$4 token=$5 needed=$6 ordinal=$7
new=$home/restoring.$$
own=$(head -c "$length")
exec 3<&0 </dev/null
run=/run/mysqld/restoring.$$
"""
    + _TAKE
    + r"""
sql() {
    case $flavour in mariadb) set -- mariadb "$@" ;; *) set -- mysql "$@" ;; esac
    "$@" --no-defaults --socket="$run.sock" --user=root --batch --raw --skip-column-names
}
work() {
    server=
    trap '[ -z "$server" ] || kill "$server"; exit 143' TERM
    prepare
    set -- --defaults-file=/etc/stateful/my.cnf --server-id="$((100 + ordinal))" --skip-grant-tables \
        --datadir="$new" --socket="$run.sock" --pid-file="$run.pid" --skip-networking --read-only=0 --general-log=0 \
        --slow-query-log=0 --performance-schema=OFF --innodb-buffer-pool-size=67108864 --event-scheduler=DISABLED
    case $flavour in
    mariadb) mariadbd "$@" --skip-slave-start >"$new.log" 2>&1 & ;;
    *) mysqld "$@" --skip-replica-start --super-read-only=0 >"$new.log" 2>&1 & ;;
    esac
    server=$!
    until echo 'DO 0;' | sql >/dev/null 2>&1; do
        kill -0 "$server" 2>/dev/null ||
            fail "no server starts on them: $(grep -i '\[ERROR\]' "$new.log" | head -n 1)"
        sleep 0.2
    done
    history= state=gtid_executed
    if [ "$flavour" = mariadb ]; then
        . /etc/stateful/finish_mariadb.sh
        history=$(continue_from "$new" "$(echo 'SELECT @@GLOBAL.gtid_slave_pos;' | sql)") || fail "$history"
        state=gtid_binlog_state
    fi
    # After what is its own, whoever comes anew needs a password.
    said=$(printf '%s\n' 'SET SESSION sql_log_bin = 0;' 'RESET REPLICA ALL;' "$history" \
        "SELECT CONCAT('end ', REPLACE(@@GLOBAL.$state, CHAR(10), ''));" "$own" | sql 2>&1) ||
        fail "what is this application's own cannot be told them (error $(echo "$said" |
            sed -n 's/^ERROR \([0-9]*\).*/\1/p'))"
    kill "$server" && wait "$server" || fail "the server on them did not stop as it should"
    server=
    rm -f "$new/auto.cnf" "$new".*
    random=$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')
    echo $((100 + ordinal + 1000 * (1 + random % 4000000))) >"$new/stateful_server_id"
    sync -f "$new" && mv -T "$new" "$home/restored.$token" && sync -f "$home" || exit
    echo "$said" | sed -n 's/^end //p'
}
grep -q restored /etc/stateful/initialise.sh ||
    fail "the scripts of this application are older than restores of files: run the playbook stateful.kube.mysql first"
rm -rf "$home"/restoring.* "$home"/restored.*
# Whatever it ends with: the volume is that of a server at work.
trap 'rm -rf "$new" "$new".*' EXIT
receive
work & main=$!
{ cat <&3 >/dev/null; kill "$main"; } >/dev/null 2>&1 & watch=$!
wait "$main"; status=$?
kill "$watch" 2>/dev/null
echo "stateful-status restoring $status" >&2
exit "$status"
"""
)
# For a server of its own, which waits for the file `whole`. It has no other data beside.
_PROVE = (
    r"""read -r unused
umask 077
home=$1 flavour=$2 size=$3 needed=$4
new=$home/data
exec 3<&0 </dev/null
"""
    + _TAKE
    + r"""
receive
prepare
[ ! -e "$new.gtid" ] || cat "$new.gtid"
: >"$home/whole"
"""
)
_SERVE = r"""until [ -e /var/lib/mysql/whole ]; do sleep 0.2; done
exec "$@" --defaults-file=/etc/stateful/initialise.cnf --datadir=/var/lib/mysql/data --socket={socket} \
    --pid-file=/run/mysqld/mysqld.pid --skip-networking --skip-grant-tables --event-scheduler=DISABLED \
    --performance-schema=OFF --log-bin=binlog --server-id=1
"""
# What the restore asks too.
_CONTINUES = r"""read -r unused
home=$1; shift
. /etc/stateful/finish_mariadb.sh
position=$("$@") && echo "stateful-status asking 0" >&2 || exit
said=$(continue_from "$home/data" "$position") || echo "${said:-it does not say where it continues}"
"""
_CHECK = r"""read -r unused
said=$("$@" --execute="SELECT CONCAT('CHECK TABLE \`', REPLACE(table_schema, '\`', '\`\`'), '\`.\`',
    REPLACE(table_name, '\`', '\`\`'), '\`;') FROM information_schema.tables WHERE table_type = 'BASE TABLE' AND
    table_schema NOT IN ('information_schema', 'performance_schema', 'sys')")
echo "stateful-status listing $?" >&2
printf '%s\n' "$said" | "$@"
"""


def path(flavour: str) -> str:
    """What the file of such a backup is called."""
    return "data.mbstream.gz" if flavour == MARIADB else "data.files.gz"


def copy(flavour: str, user: str) -> list[str]:
    """Writes a copy of the files, compressed."""
    if flavour == MARIADB:
        return shell(_STREAM, SOCKET)
    return shell(_CLONE, HOME, "mysql", "--no-defaults", f"--socket={SOCKET}", f"--user={user}", "--batch")


def unpack(flavour: str, size: int, own: bytes, token: str, room: int, ordinal: int) -> list[str]:
    """Takes ``own`` and a compressed copy of this many bytes, and makes the folder restored.TOKEN beside the data."""
    return shell(_UNPACK, HOME, flavour, str(size), str(len(own)), token, str(_needed(room)), str(ordinal))


def prove(flavour: str, size: int, room: int) -> list[str]:
    """Takes a compressed copy of this many bytes for the server that `serve` runs. Writes the position of MariaDB's."""
    return shell(_PROVE, HOME, flavour, str(size), str(_needed(room)))


def serve(flavour: str) -> list[str]:
    return shell(_SERVE.replace("{socket}", SOCKET), "mariadbd" if flavour == MARIADB else "mysqld")


def check(flavour: str) -> list[str]:
    """Reads every table, and writes what the server says of each."""
    return shell(_CHECK, *_asker(flavour))


def is_bad(line: str) -> bool:
    """Whether this line of that says that something is wrong: its fields are table, operation, kind and text."""
    fields = line.split("\t")
    return len(fields) < 4 or fields[2].lower() in ("error", "warning") or (fields[2] == "status" and fields[3] != "OK")


def ask(flavour: str, statement: str) -> list[str]:
    """Writes what the server that `serve` runs answers."""
    asking = 'read -r unused\n"$@"\necho "stateful-status $1 $?" >&2'
    return shell(asking, *_asker(flavour), f"--execute={statement}")


def continues() -> list[str]:
    """Writes why nobody can tell where the copy of a MariaDB continues; nothing where that is known."""
    own = [client(MARIADB), "--no-defaults", f"--socket={SOCKET}", "--user=root", "--batch", "--skip-column-names"]
    return shell(_CONTINUES, HOME, *own, "--execute=SELECT @@GLOBAL.gtid_slave_pos")


def _asker(flavour: str) -> list[str]:
    program = [client(flavour), "--no-defaults", f"--socket={SOCKET}", "--user=root"]
    return [*program, "--batch", "--raw", "--skip-column-names"]


def is_there(token: str) -> list[str]:
    """Ends well where that folder is there."""
    return ["test", "-d", f"{HOME}/restored.{token}"]


def forget() -> list[str]:
    """Removes the data that others were put in the place of."""
    return shell('rm -rf "$1"/replaced.*', HOME)


def _needed(room: int) -> int:
    return (room >> 10) + BESIDE


def whole(flavour: str, tail: bytes) -> bool:
    """Whether what was written has its end; that of mariadb-backup is known by how it ended alone."""
    return flavour == MARIADB or bool(_END.search(tail))


def own(flavour: str, pod: str, epoch: int, root: tuple[str, str], replication: tuple[str, str]) -> bytes:
    """Statements that make the copy this application's: who may write to it, and the passwords of its Secrets."""
    maria = flavour == MARIADB
    see = "BINLOG MONITOR, SLAVE MONITOR" if maria else "REPLICATION CLIENT"
    ssl = "" if maria else " REQUIRE SSL"
    donor = (
        [
            "CREATE USER IF NOT EXISTS 'stateful_donor'@'localhost' PASSWORD EXPIRE NEVER",
            f"GRANT RELOAD, PROCESS, LOCK TABLES, {see} ON *.* TO 'stateful_donor'@'localhost'",
        ]
        if maria
        else ["GRANT BACKUP_ADMIN ON *.* TO 'stateful_replication'@'%'"]
    )
    accounts = [
        *_account(root, ""),
        f"GRANT ALL PRIVILEGES ON *.* TO {_name(root[0])} WITH GRANT OPTION",
        *_account(replication, ssl),
        f"GRANT REPLICATION SLAVE, {see} ON *.* TO {_name(replication[0])}",
        f"GRANT SELECT ON stateful_kube.* TO {_name(replication[0])}",
        "CREATE USER IF NOT EXISTS 'stateful_health'@'localhost' PASSWORD EXPIRE NEVER",
        f"GRANT {see} ON *.* TO 'stateful_health'@'localhost'",
        "GRANT SELECT ON stateful_kube.own TO 'stateful_health'@'localhost'",
        *donor,
    ]
    statements = [
        "SET SESSION sql_mode = ''",
        "CREATE DATABASE IF NOT EXISTS stateful_kube",
        "CREATE TABLE IF NOT EXISTS stateful_kube.own (id TINYINT PRIMARY KEY, pod VARCHAR(253) NOT NULL, "
        "epoch BIGINT UNSIGNED NOT NULL) ENGINE = InnoDB CHARACTER SET ascii",
        "DELETE FROM stateful_kube.own",
        f"INSERT INTO stateful_kube.own VALUES (1, {_text(pod)}, {epoch})",  # noqa: S608
        # Accounts are not known to a server that asks for no password, until it is told to read them.
        "FLUSH PRIVILEGES",
        *accounts,
    ]
    return "".join(f"{one};\n" for one in statements).encode()


def _account(who: tuple[str, str], how: str) -> t.Iterator[str]:
    user, password = who
    yield f"CREATE USER IF NOT EXISTS {_name(user)}"
    yield f"ALTER USER {_name(user)} IDENTIFIED BY {_text(password)}{how} PASSWORD EXPIRE NEVER ACCOUNT UNLOCK"


def _name(user: str) -> str:
    return f"{_text(user)}@'%'"


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
