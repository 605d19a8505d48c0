# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Gives copies of this pod's MariaDB server to new replicas: listens on the port of copies, and runs itself with `serve`
# for each that connects. A copy is the stream of mariadb-backup, encrypted, and behind it the seal of all that was sent:
# without that the stream was cut off, or mariadb-backup failed. One copy at a time. Who has not the password of the
# Secret NAME-replication gets nothing, and starts nothing. The account is a local one, which initialise.sh makes:
#   CREATE USER 'stateful_donor'@'localhost' PASSWORD EXPIRE NEVER;
#   GRANT RELOAD, PROCESS, LOCK TABLES, BINLOG MONITOR, SLAVE MONITOR ON *.* TO 'stateful_donor'@'localhost';
# By DONOR_PORT and POD_NAME.
# shellcheck shell=sh
set -u
umask 077
# shellcheck source=/dev/null
. "${0%/*}/seal.sh"
socket=/run/mysqld/mysqld.sock
data=/var/lib/mysql/${DATA_FOLDER:-data}

if [ "${1:-}" != serve ]; then
    lacking=$(lacking)
    if [ -n "$lacking" ]; then
        # Not the end of the pod: its server does without.
        echo "No copies for new replicas can be made here: the image lacks$lacking. The public image has them." >&2
        trap 'exit 0' TERM
        sleep infinity &
        wait
        exit
    fi
    # Both families, where the kernel knows both.
    family=6
    [ -e /proc/net/if_inet6 ] || family=4
    # As keepalive has it, a taker whose node is gone is noticed within a minute.
    exec socat "TCP$family-LISTEN:$DONOR_PORT,reuseaddr,fork,max-children=16,keepalive,keepidle=30,keepintvl=10,keepcnt=3,\
setsockopt-int=6:18:120000$([ "$family" = 4 ] || echo ,ipv6only=0)" "EXEC:sh $0 serve,nofork"
fi

say() {
    echo "$(date -u +%H:%M:%S) $*" >&2
}
refuse() {
    echo "no $1"
    say "No copy for ${SOCAT_PEERADDR:-somebody}: $1."
    exit 0
}
sql() {
    timeout 10 mariadb --no-defaults --socket="$socket" --user=stateful_donor --batch --raw "$@"
}

# 1. Who asks? Only as many bytes are read as there must be.
once=$(openssl rand -hex 32)
echo "stateful-copy 1 $once"
asked=$(timeout 10 head -c 130)
theirs=${asked%% *} proof=${asked#* }
if ! is_digest "$theirs" || ! is_digest "$proof"; then
    say "What ${SOCAT_PEERADDR:-somebody} sent is no request for a copy."
    exit 0
fi
[ "$proof" = "$(seal take "$once" "$theirs")" ] ||
    refuse "the password of the Secret is another one here and there, so it was changed a moment ago, or for one alone"

# 2. Is this one fit? The lock is held by every process of a copy, so it ends with the last of them.
exec 9>/run/mysqld/donor.lock
flock -n 9 || refuse "it makes a copy for another one"
primary=$(cat /run/record/primary) || refuse "it cannot read its record"
while read -r pod token; do
    [ "$pod" != "$POD_NAME" ] || [ -e "/var/lib/mysql/copied.$token" ] || refuse "it is to take a copy itself"
done </run/record/copy
facts=$(sql --skip-column-names --execute='SELECT VERSION(), @@GLOBAL.gtid_binlog_state' 2>&1) ||
    refuse "its server takes no connection ($(echo "$facts" | tail -n 1))"
if [ "$primary" != "$POD_NAME" ]; then
    case $(sql --execute='SHOW SLAVE STATUS\G' 2>&1) in
    *Master_Host:\ "$primary".*Slave_IO_Running:\ Yes*Slave_SQL_Running:\ Yes*) ;;
    *) refuse "it is not the recorded primary, and does not replicate from it" ;;
    esac
fi
version=$(echo "$facts" | cut -f 1) state=$(echo "$facts" | cut -f 2)
size=$(du -sk --exclude='binlog.*' --exclude='relay.*' "$data" 2>/dev/null | cut -f 1)
echo "ok $version ${size:-0}"

# 3. The copy. What each part of the pipe says by its status counts, and sh tells only that of the last one. A process
# in the background does not have the standard input.
exec 3<&0
rm -rf /tmp/donor.*
work=$(mktemp -d /tmp/donor.XXXXXX) || exit 1
backup='' watch=''
cleanup() {
    kill "$watch" 2>/dev/null
    # It heeds nothing less.
    kill -KILL "$backup" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 143' TERM
mkfifo "$work/plain" "$work/sealed" "$work/copied"
# From before the copy: mariadb-backup tells the position alone.
mkdir "$work/facts"
echo "$state" >"$work/facts/stateful.gtid_binlog_state"
(
    (cd "$work/facts" && mbstream -c stateful.gtid_binlog_state) || exit
    exec mariadb-backup --defaults-file=/etc/stateful/my.cnf --backup --stream=mbstream --target-dir="$work" \
        --socket="$socket" --user=stateful_donor 2>"$work/log"
) >"$work/plain" 3<&- &
backup=$!
crypt -e <"$work/plain" >"$work/sealed" &
crypting=$!
digest <"$work/copied" >"$work/digest" &
digesting=$!
tee "$work/copied" <"$work/sealed" &
sending=$!
say "Copy for ${SOCAT_PEERADDR:-somebody}: begun, ${size:-0} kB."

# A taker sends nothing more, so whatever is read is its end. While mariadb-backup waits for a lock, nobody else notices.
# One that outlives the others would keep the connection open.
(
    reading=
    trap 'kill $reading; exit' TERM
    exec >/dev/null 9>&-
    while kill -0 $$ 2>/dev/null; do
        timeout 10 head -c 1 <&3 &
        reading=$!
        wait "$reading"
        [ $? = 124 ] || break
    done
    kill -KILL "$backup" 2>/dev/null
) &
watch=$!

failed=
wait "$backup" || failed="mariadb-backup failed"
wait "$crypting" || failed=${failed:-openssl failed}
wait "$sending" || failed=${failed:-the connection broke}
wait "$digesting" || failed=${failed:-openssl failed}
sum=$(cat "$work/digest")
is_digest "$sum" || failed=${failed:-openssl failed}
if [ -n "$failed" ]; then
    tail -n 5 "$work/log" >&2
    say "Copy for ${SOCAT_PEERADDR:-somebody}: $failed."
    exit 1
fi
seal whole "$once" "$theirs" "$sum"
say "Copy for ${SOCAT_PEERADDR:-somebody}: whole."
