# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Starts the server, and decides whether it may be written to:
#   start.sh mysql|mariadb
# Every server starts read-only. One is made writable while it starts if the record of the set names its pod as primary,
# and its own data says the same, for the same epoch. One without the other is an old record, or the data of another pod.
# shellcheck shell=sh
set -eu
case $1 in
mariadb) server=mariadbd writable='read_only = 0' waits='rpl_semi_sync_master_enabled = 1' ;;
# Said first, or it is put back once the server is up.
*) server=mysqld writable='super_read_only = 0, read_only = 0' waits='rpl_semi_sync_source_enabled = 1' ;;
esac
# Only a primary waits for its replicas: what a replica applies would wait for replicas of its own.
if grep -q '^rpl_semi_sync' /etc/stateful/my.cnf; then
    writable="$waits, GLOBAL $writable"
fi
statements=/run/mysqld/start.sql
set --
epoch=$(cat /run/record/epoch)
primary=$(cat /run/record/primary)
case $epoch in
'' | *[!0-9]*)
    echo "The record of the set says \"$epoch\" where the number of its epoch belongs: see the ConfigMap whose name ends \
in -record." >&2
    exit 1
    ;;
esac

# A server reads them a line at a time. The table is not in data that was made elsewhere, and is not asked for there.
if [ "$primary" = "$POD_NAME" ]; then
    cat <<SQL
SET @sql = IF((SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'stateful_kube' AND table_name = \
'own') = 1, 'SELECT COUNT(*) INTO @own FROM stateful_kube.own WHERE pod = ''$POD_NAME'' AND epoch = $epoch', \
'SET @own = 0');
PREPARE ask FROM @sql;
EXECUTE ask;
SET @sql = IF(@own = 1, 'SET GLOBAL $writable', 'DO 0');
PREPARE ask FROM @sql;
EXECUTE ask;
SQL
else
    echo 'DO 0;'
fi >"$statements"
# One that took its copy in place of data that it wrote is another server than before.
data=/var/lib/mysql/${DATA_FOLDER:-data}
id=$((100 + ${POD_NAME##*-}))
[ ! -s "$data/stateful_server_id" ] || id=$(cat "$data/stateful_server_id")
# One that was adopted as a replica goes on with its relay logs, under the name that a server gives them by itself.
[ ! -e "$data/$POD_NAME-relay-bin.index" ] || set -- --relay-log="$POD_NAME-relay-bin"
# With it on, a MariaDB before 10.6.19, 10.11.9 and 11.4.3 cuts off what it has not committed from its binary log when it
# recovers, as somebody who is to become a replica: a primary that crashed would lose what a replica has acknowledged.
if [ "$server" = mariadbd ] && [ "$primary" = "$POD_NAME" ] && grep -q '^rpl_semi_sync' /etc/stateful/my.cnf; then
    set -- "$@" --rpl-semi-sync-slave-enabled=0
    echo 'SET GLOBAL rpl_semi_sync_slave_enabled = 1;' >>"$statements"
fi
# While data is imported only the source's own databases come, and nothing that is timed runs twice.
if [ -s /run/record/importing ]; then
    set -- "$@" --event-scheduler=OFF
    for schema in mysql sys stateful_kube; do
        set -- "$@" "--replicate-wild-ignore-table=$schema.%"
    done
fi
# An event that runs on restored files would change what binary logs are yet to be applied to. The restore switches them
# on at its end, on the primary alone.
case $(cat /run/record/swap 2>/dev/null || :) in
"$epoch".*) [ "$primary" != "$POD_NAME" ] || set -- "$@" --event-scheduler=OFF ;;
esac
# A primary that was cut off acknowledges nothing for as long as nobody replicates from it. Whoever starts with data of
# before could do that, so it is told by the next run, or by the autopilot, from whom to replicate.
if [ "$(cat /run/record/cut_off 2>/dev/null)" = "$epoch true" ] && [ "$primary" != "$POD_NAME" ]; then
    case $server in
    mariadbd) set -- "$@" --skip-slave-start ;;
    *) set -- "$@" --skip-replica-start ;;
    esac
fi
set -- "$server" --defaults-file=/etc/stateful/my.cnf --init-file="$statements" --server-id="$id" \
    --report-host="$POD_NAME.$SERVICE.$POD_NAMESPACE.svc.$CLUSTER_DOMAIN" "$@"
if [ "$server" = mariadbd ] || ! grep -q '^rpl_semi_sync' /etc/stateful/my.cnf; then
    exec "$@"
fi

# A MySQL that is told to stop tells clients whose commits wait for a replica that they are committed, where no replica is
# there (seen with 9.7: it switches semi-synchronous replication off first). A primary that was cut off, whose node comes
# back, would so acknowledge what nobody else will ever have. One that is killed acknowledges nothing, and recovers.
# So first it takes no writes any more, which waits a second for commits that are under way: where that succeeds none
# waits, and none comes between the question and the end. Where it does not, the server may be read_only all the same,
# but not super_read_only, which a replica is from its start on. A server that was not let take writes since this
# version of the role has no such procedure, and one that has a long statement under way does not succeed: those are
# asked alone.
# shellcheck disable=SC2329 # by the trap
asked() {
    # What is started from here ignores TERM too. After an error the client goes on with the next line, and not within one.
    printf '%s;\n' 'CALL stateful_kube.take_no_writes()' "SELECT 'super_read_only', @@GLOBAL.super_read_only" \
        "SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync_source_clients'" \
        "SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync_source_wait_sessions'" |
        timeout -s KILL 4 mysql --no-defaults --socket=/run/mysqld/mysqld.sock --user=stateful_health \
            --connect-timeout=3 --batch --skip-column-names --force 2>&1
}
# shellcheck disable=SC2329
stop() {
    # A server that is not there yet is told once it is.
    told=1
    [ -n "$child" ] || return 0
    trap '' TERM
    signal=KILL
    said=$(asked | tr '\t\n' '= ')
    case $said in
    # Who takes no writes, who has replicas and no commit that waits, and who does not take connections yet (no socket,
    # or nobody who listens).
    *'super_read_only=1 '* | *'_clients='[1-9]*'_wait_sessions=0 ' | *'ERROR 2002 '*'(2)'* | *'ERROR 2002 '*'(111)'*)
        signal=TERM
        ;;
    *) echo "Commits may wait for a replica, so the server is killed: it must not acknowledge them. It said: $said" >&2 ;;
    esac
    kill -"$signal" "$child" 2>/dev/null || :
}
signal='' told='' child=''
trap stop TERM
"$@" &
child=$!
[ -z "$told" ] || [ -n "$signal" ] || stop
status=0
wait "$child" || status=$?
# That may have been ended by the signal alone.
if [ -n "$signal" ]; then
    status=0
    wait "$child" || status=$?
fi
exit "$status"
