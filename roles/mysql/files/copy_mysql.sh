# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Copies the data of one MySQL into the folder COPY, by its clone plugin: what is given and expected is in the README of
# this role. A server is needed that takes the copy. It is made for that alone, and has nothing but its plugin.
# shellcheck shell=sh
set -eu
taker=$COPY.taker
socket=/run/mysqld/taker.sock
# All this gets of the settings is what the donor's files are made with, which have to be alike.
settings=/etc/stateful/initialise.cnf
password=$(cat /run/replication/password)
quoted=$(printf %s "$password" | sed -e 's/\\/\\\\/g' -e "s/'/''/g")

pid=
trap 'kill $pid 2>/dev/null; exit 143' TERM
fail() {
    [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
    echo "$1" >&2
    exit 1
}

# A replica that stands still has an old copy to give, and one that is being made none.
said=$(mysql --defaults-extra-file=/dev/fd/3 --host="$DONOR_HOST" --port="$PORT" --user=stateful_replication \
    --connect-timeout=5 --ssl-mode=REQUIRED --batch --vertical \
    --execute='SELECT @@version AS version; SHOW REPLICA STATUS' 2>&1 3<<SETTINGS
[client]
password="$(printf %s "$password" | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g')"
SETTINGS
) || fail "$DONOR gives no copy: $(printf %s "$said" | sed -n '$p')"
if [ -z "$DONOR_IS_PRIMARY" ]; then
    case $said in
    *"Source_Host: $PRIMARY."*'Replica_IO_Running: Yes'*'Replica_SQL_Running: Yes'*) ;;
    *"Source_Host: $PRIMARY."*'Replica_IO_Running: Connecting'*'Replica_SQL_Running: Yes'*) ;;
    *) fail "$DONOR gives no copy: it is neither the primary nor a replica that replicates from it." ;;
    esac
fi

mkdir -m 0750 "$taker"
small="--innodb-redo-log-capacity=8388608 --innodb-buffer-pool-size=67108864 --skip-log-bin"
# shellcheck disable=SC2086
mysqld --defaults-file="$settings" --datadir="$taker" $small --initialize-insecure >"$COPY.log" 2>&1 &
pid=$!
wait "$pid" || fail "The server that takes the copy cannot be made: $(grep -F '[ERROR]' "$COPY.log" | sed -n 1p)"
# shellcheck disable=SC2086
mysqld --defaults-file="$settings" --datadir="$taker" --socket="$socket" --pid-file=/run/mysqld/taker.pid $small \
    --skip-networking --plugin-load-add=mysql_clone.so --clone-valid-donor-list="$DONOR_HOST:$PORT" >"$COPY.log" 2>&1 &
pid=$!
sql() {
    mysql --no-defaults --socket="$socket" --user=root --batch
}
until echo 'DO 0;' | sql >/dev/null 2>&1; do
    kill -0 "$pid" 2>/dev/null || fail "The server that takes the copy does not start: $(sed -n '$p' "$COPY.log")"
    sleep 0.2
done
echo "Copying the data of $DONOR ..."
# By standard input: a command line is there for all to read.
said=$(sql 2>&1 <<SQL
CLONE INSTANCE FROM 'stateful_replication'@'$DONOR_HOST':$PORT IDENTIFIED BY '$quoted' DATA DIRECTORY = '$COPY' REQUIRE SSL;
SQL
) || fail "$DONOR gives no copy: $(printf %s "$said" | grep -F ERROR | sed -n 1p)"
echo 'SHUTDOWN;' | sql
wait "$pid" || true
pid=
rm -rf "$taker"
