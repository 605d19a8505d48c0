# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What is run in a pod: the server's own programs, and the shell that feeds them. Pure.

The first line of each one's input is the password, so that no command line shows it.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mysql._gtid import MARIADB

SOCKET = "/run/mysqld/mysqld.sock"
#: held by the session that loads data, so that whoever comes later finds one that a killed run left
LOCK = "stateful_kube_restore"
#: where a load says how far the server was at its end
FAR = (
    "CREATE TABLE IF NOT EXISTS stateful_kube.restored (id TINYINT PRIMARY KEY, begun VARCHAR(40) NOT NULL, "
    "executed LONGTEXT NOT NULL) ENGINE = InnoDB CHARACTER SET ascii"
)
_STATUS = re.compile(r"^stateful-status (\S+) (\d+)$", re.MULTILINE)

# Where the connection ends the dump ends too: it may be waiting for a lock that keeps others from writing.
_DUMP = r"""IFS= read -r MYSQL_PWD; export MYSQL_PWD
exec 3<&0 </dev/null
{ "$@" 3<&- & dump=$!
{ cat <&3; kill "$dump"; } >/dev/null 2>&1 & watch=$!
wait "$dump"; echo "stateful-status $1 $?" >&2
kill "$watch" 2>/dev/null; } | gzip -1 3<&-
"""
_FETCH = r"""read -r unused
{ cat "$1"; echo "stateful-status cat $?" >&2; } | gzip -1
"""
# By its size, because not every API server can close an input.
_UNPACK = r"""head -c "$size" | { gzip -dc; echo "stateful-status gzip $?" >&2; }"""
# However it ends, and whoever has gone by then, how far the server was at that moment is said to itself.
_LOAD = rf"""IFS= read -r MYSQL_PWD; export MYSQL_PWD
size=$1 said=$2; shift 2
{{ echo "DO GET_LOCK('{LOCK}', 0);"; {_UNPACK}; }} | "$@"
status=$?
[ -z "$said" ] || echo "SET SESSION sql_log_bin = 0; $said" | "$@"
exit "$status"
"""
# Which server a transaction is of, and its number, are for the server that takes it now to say. Statements about
# accounts are left out: the passwords of here stay those of here. In the output of the program a statement begins after
# a line that ends in the delimiter, or after comments.
_REPLAY = rf"""IFS= read -r MYSQL_PWD; export MYSQL_PWD
export TZ=UTC LC_ALL=C
size=$1 until=$2 client=$3 user=$4 said=$5; shift 5
[ -z "$until" ] || set -- "$@" --stop-datetime="$until"
{{ echo "DO GET_LOCK('{LOCK}', 0);"
{_UNPACK} | {{ "$@" -; echo "stateful-status $1 $?" >&2; }} | awk '
BEGIN {{ begins = 1 }}
/^\/\*M?!100001 SET @@session\.(server_id|gtid_seq_no)=[0-9]+\*\/\/\*!\*\/;$/ {{ next }}
begins && !/^#/ {{
    first = toupper($0)
    leave = first ~ /^[ \t]*(CREATE|ALTER|DROP|RENAME)[ \t]+(OR[ \t]+REPLACE[ \t]+)?(USER|ROLE)([ \t]|$)/ ||
        first ~ /^[ \t]*(GRANT|REVOKE|SET[ \t]+PASSWORD|SET[ \t]+DEFAULT[ \t]+ROLE)([ \t]|$)/
    begins = 0
}}
!leave {{ print }}
/\/\*!\*\/;$/ {{ leave = 0; begins = 1 }}'; }} |
"$client" --no-defaults --socket={SOCKET} --user="$user" --binary-mode --max-allowed-packet=1G
status=$?
[ -z "$said" ] || echo "SET SESSION sql_log_bin = 0; $said" |
    "$client" --no-defaults --socket={SOCKET} --user="$user"
exit "$status"
"""


def shell(script: str, *words: str) -> list[str]:
    return ["sh", "-c", script, "sh", *words]


def client(flavour: str) -> str:
    return "mariadb" if flavour == MARIADB else "mysql"


def dump(flavour: str, user: str, databases: t.Sequence[str]) -> list[str]:
    """Writes the dump, compressed."""
    maria = flavour == MARIADB
    own = ["mariadb-dump", "--no-defaults"] if maria else ["mysqldump", "--no-defaults", "--set-gtid-purged=OFF"]
    own += ["--master-data=2" if maria else "--source-data=2", f"--socket={SOCKET}", f"--user={user}"]
    if databases:
        own += ["--routines", "--events", "--triggers", "--databases", "--", *databases]
    else:
        # Nothing but the place in the binary log.
        own += ["--no-create-db", "--no-create-info", "--no-data", "--skip-triggers", "--databases", "--", "mysql"]
    how = ["--single-transaction", "--hex-blob", "--skip-dump-date", "--default-character-set=utf8mb4"]
    return shell(_DUMP, *own[:2], *how, "--max-allowed-packet=1G", *own[2:])


def fetch(path: str) -> list[str]:
    """Writes a file, compressed."""
    return shell(_FETCH, path)


def far(flavour: str, begun: str) -> str:
    """What is said at the end of that which was begun so: how far the server is."""
    variable = "gtid_binlog_state" if flavour == MARIADB else "gtid_executed"
    return f"REPLACE INTO stateful_kube.restored (id, begun, executed) VALUES (1, '{begun}', @@GLOBAL.{variable})"  # noqa: S608


def load(flavour: str, user: str, size: int, said: str = "") -> list[str]:
    """Takes a compressed dump of this many bytes."""
    own = [client(flavour), "--no-defaults", f"--socket={SOCKET}", f"--user={user}", "--binary-mode"]
    return shell(_LOAD, str(size), said, *own, "--default-character-set=utf8mb4", "--max-allowed-packet=1G")


def lacking(programs: t.Iterable[str]) -> list[str]:
    """Writes which of these programs the image lacks."""
    return shell('for one in "$@"; do command -v "$one" >/dev/null || printf "%s " "$one"; done', *programs)


def reader(flavour: str) -> str:
    """Of binary logs."""
    return "mariadb-binlog" if flavour == MARIADB else "mysqlbinlog"


def replay(flavour: str, user: str, until: str, after: str, size: int, said: str = "") -> list[str]:
    """Takes a compressed binary log of this many bytes, and applies what is behind ``after`` and before ``until``."""
    maria = flavour == MARIADB
    read = [reader(flavour), "--no-defaults", "--verify-binlog-checksum"]
    if maria:
        read += [f"--start-position={after}"] if after else []
    else:
        read += ["--skip-gtids", *([f"--exclude-gtids={after}"] if after else [])]
    stop = until.replace("T", " ").rstrip("Z")
    return shell(_REPLAY, str(size), stop, client(flavour), user, said, *read)


def statuses(complaints: str) -> dict[str, int]:
    """With what each program of a pipe has ended."""
    return {name: int(status) for name, status in _STATUS.findall(complaints)}


def last_words(complaints: str) -> str:
    """What a server or client said, or else the last thing that anybody did, for people."""
    lines = [line.strip() for line in complaints.splitlines() if line.strip() and not _STATUS.match(line)]
    said = next((line for line in lines if line.startswith("ERROR ")), "") or (lines[-1] if lines else "")
    return said[:300] or "it said nothing"
