# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Gives a pod's volume its data directory, and leaves one that is there alone:
#   initialise.sh mysql|mariadb
# The first pod of a new set makes one, every other pod copies one; the record of the set in /run/record says which. It
# comes into being elsewhere on the same volume and becomes the data directory by one rename. So there is never half a
# one, and what is not finished is nobody's data. Of two pods that do this at once one wins.
# shellcheck shell=sh
set -eu
flavour=$1
home=/var/lib/mysql
folder=${DATA_FOLDER:-data}
data=$home/$folder
# The init container of a pod, so nothing of that name is in use.
socket=/run/mysqld/initialise.sock

fail() {
    echo "$1" >&2
    exit 1
}

# This is the first process here, which ignores signals that it has no trap for. A shell heeds a trap once what it waits
# for in the foreground is over, so whatever may take long runs beside it. With the first process all others end.
pid=
trap 'kill $pid 2>/dev/null; exit 143' TERM
run() {
    "$@" &
    pid=$!
    wait "$pid"
}

case $flavour in
mariadb) server=mariadbd client=mariadb other=MySQL ;;
*) server=mysqld client=mysql other=MariaDB ;;
esac
version=$($server --no-defaults --version) ||
    fail "The image has no $server that runs: it is no image of $flavour. Correct mysql_image, or mysql_flavour."
case $flavour:$version in
mariadb:*MariaDB*) ;;
mysql:*MariaDB* | mariadb:*)
    fail "The server of the image is no $flavour but: $version. Correct mysql_image, or mysql_flavour."
    ;;
esac

read_record() {
    epoch=$(cat /run/record/epoch)
    primary=$(cat /run/record/primary)
    members=$(cat /run/record/members)
    case $epoch:$members in
    :* | *: | *[!0-9:]*) fail "The record of the set has no whole number as epoch or members: see the ConfigMap whose \
name ends in -record." ;;
    esac
    # Restored files, which the primary of this epoch puts in the place of its data.
    swap=$(cat /run/record/swap 2>/dev/null || :)
    case $swap in "$epoch".*) ;; *) swap= ;; esac
    before=$(cat /run/record/swap_before 2>/dev/null || :)
}

# What an earlier try left. Renamed first, so that whoever is at it still cannot finish what is half gone.
discard() {
    run rm -rf "$home"/discarded.*
    for left in "$home"/initialising.* "$home"/cloning.* "$home"/restoring.* "$home"/restored.* "$home"/replaced.*; do
        [ -e "$left" ] && [ "${left##*/}" != "replaced.$swap" ] || continue
        later=${left##*/restored.}
        later=${later%%.*}
        case $later in
        # The record that is mounted here may be older than the one that names them.
        '' | *[!0-9]*) ;;
        *) [ "$later" -le "$epoch" ] || continue ;;
        esac
        mv -T "$left" "$home/discarded.$POD_UID.${left##*/}"
    done
    run rm -rf "$home"/discarded.*
}

# Starts a server that nobody else reaches on the folder $new, and waits until it takes statements.
start() {
    $server "$@" --datadir="$new" --socket="$socket" --pid-file=/run/mysqld/initialise.pid --skip-networking \
        --read-only=0 --general-log=0 --slow-query-log=0 &
    pid=$!
    until echo 'DO 0;' | sql >/dev/null 2>&1; do
        kill -0 "$pid" 2>/dev/null ||
            fail "The new server stopped before it took a connection: its last lines are above."
        sleep 0.2
    done
}
sql() {
    "$client" --no-defaults --socket="$socket" --user=root --batch "$@"
}
# The client has sent SHUTDOWN.
stopped() {
    wait "$pid" || fail "The new server did not stop as it should: its last lines are above."
    sync -f "$new"
}
own_table() {
    cat <<SQL
CREATE DATABASE IF NOT EXISTS stateful_kube;
CREATE TABLE IF NOT EXISTS stateful_kube.own (id TINYINT PRIMARY KEY, pod VARCHAR(253) NOT NULL,
    epoch BIGINT UNSIGNED NOT NULL) ENGINE = InnoDB CHARACTER SET ascii;
SQL
}

make_new() {
    new=$home/initialising.$POD_UID
    for secret in root replication; do
        [ -n "$(cat /run/$secret/password)" ] ||
            fail "The key password of the $secret user's Secret is empty: a server without password is not made."
    done
    discard
    mkdir -m 0750 "$new"
    echo "Making a data directory with: $version"
    # Settings of the user are not in force yet. Many have to do with what is not there yet, such as plugins that check
    # passwords; those that the files themselves are made with are in this file alone.
    case $flavour in
    mariadb)
        run mariadb-install-db --defaults-file=/etc/stateful/initialise.cnf --datadir="$new" \
            --auth-root-authentication-method=normal --skip-test-db --skip-name-resolve --skip-log-bin --force
        ;;
    *) run mysqld --defaults-file=/etc/stateful/initialise.cnf --datadir="$new" --initialize-insecure ;;
    esac
    start --defaults-file=/etc/stateful/initialise.cnf --skip-log-bin
    # By standard input: a command line is there for all to read.
    quoted=$(quote root)
    replication=$(quote replication)
    case $flavour in
    mariadb)
        # Accounts that mariadb-install-db makes besides: nobody, and root without a password as of this host.
        none="DELETE FROM mysql.global_priv WHERE User = '' OR (User = 'root' AND Host <> 'localhost');
DELETE FROM mysql.proxies_priv WHERE Host <> 'localhost';
FLUSH PRIVILEGES;"
        see='BINLOG MONITOR, SLAVE MONITOR'
        how=
        donor="CREATE USER 'stateful_donor'@'localhost' PASSWORD EXPIRE NEVER;
GRANT RELOAD, PROCESS, LOCK TABLES, $see ON *.* TO 'stateful_donor'@'localhost';"
        ;;
    *)
        none=
        see='REPLICATION CLIENT'
        how='REQUIRE SSL'
        donor="GRANT BACKUP_ADMIN ON *.* TO 'stateful_replication'@'%';"
        ;;
    esac
    # One that keeps nothing has no data elsewhere that could be taken for its own, so it need not be told who it is.
    mine=
    [ "$epoch" = 0 ] || mine="INSERT INTO stateful_kube.own VALUES (1, '$POD_NAME', $epoch);"
    sql <<SQL
SET SESSION sql_mode = '';
$none
$(own_table)
$mine
CREATE USER 'stateful_health'@'localhost' PASSWORD EXPIRE NEVER;
GRANT $see ON *.* TO 'stateful_health'@'localhost';
GRANT SELECT ON stateful_kube.own TO 'stateful_health'@'localhost';
CREATE USER 'stateful_replication'@'%' IDENTIFIED BY '$replication' $how PASSWORD EXPIRE NEVER;
GRANT REPLICATION SLAVE, $see ON *.* TO 'stateful_replication'@'%';
GRANT SELECT ON stateful_kube.* TO 'stateful_replication'@'%';
$donor
ALTER USER 'root'@'localhost' IDENTIFIED BY '$quoted';
RENAME USER 'root'@'localhost' TO 'root'@'%';
SHUTDOWN;
SQL
    stopped
}
quote() {
    sed -e 's/\\/\\\\/g' -e "s/'/''/g" "/run/$1/password"
}

# Replicas first, the newest of them before the others: the primary has enough to do.
donors() {
    # A replica may lack what this one lacked, which is why it is to take a copy.
    [ -z "$token$swap" ] || echo "$primary"
    # While restored files are put in place, it has other data than the primary.
    [ -z "$swap" ] || return 0
    ordinal=$members
    while [ "$ordinal" -gt 0 ]; do
        ordinal=$((ordinal - 1))
        donor=${POD_NAME%-*}-$ordinal
        # Whoever is to take a copy itself has what is not to be handed on.
        case $donor in
        "$POD_NAME" | "$primary") ;;
        *) grep -q "^$donor " /run/record/copy || echo "$donor" ;;
        esac
    done
    [ "$primary" = "$POD_NAME" ] || echo "$primary"
}

copy_one() {
    export DONOR DONOR_HOST DONOR_IS_PRIMARY PRIMARY COPY
    COPY=$home/cloning.$POD_UID
    new=$COPY
    echo "The data is copied from another pod of the set."
    until
        for DONOR in $(donors); do
            DONOR_HOST=$DONOR.$SERVICE.$POD_NAMESPACE.svc.$CLUSTER_DOMAIN
            PRIMARY=$primary
            DONOR_IS_PRIMARY=
            [ "$DONOR" != "$primary" ] || DONOR_IS_PRIMARY=1
            discard
            if run sh "/etc/stateful/copy_$flavour.sh"; then break; fi
            false
        done
    do
        run sleep 5
        # The record may name another primary by now. Whoever has become it without data must not take any.
        read_record
        [ "$primary" != "$POD_NAME" ] || lost
    done
    clean
}

# Takes away from a copy what belongs to the server that it was made of. That one may have another password of root than
# the Secret here, so nobody is asked for one.
clean() {
    rm -f "$new/auto.cnf" "$new/stateful_server_id"
    set -- --defaults-file=/etc/stateful/my.cnf --server-id="$((100 + ${POD_NAME##*-}))" --skip-grant-tables \
        --event-scheduler=DISABLED
    case $flavour in
    mariadb)
        start "$@" --skip-slave-start
        # Where it goes on in the history, and that it has nothing from before that to give to others.
        # shellcheck source=roles/mysql/files/finish_mariadb.sh
        . /etc/stateful/finish_mariadb.sh
        history=$(continue_from "$new" "$(echo 'SELECT @@GLOBAL.gtid_slave_pos;' | sql --skip-column-names)") ||
            fail "$history"
        ;;
    *)
        start "$@" --skip-replica-start --super-read-only=0
        history=
        ;;
    esac
    if [ -n "$swap" ]; then
        said=$(echo "SELECT CONCAT(pod, ' ', epoch) FROM stateful_kube.own;" | sql --skip-column-names)
        if [ "$said" != "$primary $epoch" ]; then
            kill "$pid"
            fail "The copy is of data that $primary had before a restore, and is not used."
        fi
    fi
    sql <<SQL
SET SESSION sql_log_bin = 0;
RESET REPLICA ALL;
$(own_table)
DELETE FROM stateful_kube.own;
$history
SHUTDOWN;
SQL
    stopped
    # What this pod wrote as primary before it lost its data is for its new data to replicate, and a server takes nothing
    # from others that has its own id. Its last digits are those of every other one of this pod.
    case " $(cat /run/record/primaries) " in
    *" $POD_NAME "*)
        random=$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')
        echo $((100 + ${POD_NAME##*-} + 1000 * (1 + random % 4000000))) >"$new/stateful_server_id"
        sync -f "$new"
        ;;
    esac
}

lost() {
    fail "The record of the set names $POD_NAME as primary, and its volume has no data: it is lost, or this is another \
volume than before. Nothing was made in its place, because that would be an empty server under the name of the one that \
had the data. Bring the volume back; or make a replica the primary (playbook stateful.kube.failover); or, where this was \
the only server, restore a backup. To begin anew with nothing at all, remove it with its data \
(playbook stateful.kube.remove with delete_data_of), and run the playbook mysql again."
}

read_record
# The data of before is kept until the restore comes to its end. A pod that dies between the two goes on with the second.
if [ -n "$swap" ] && [ "$primary" = "$POD_NAME" ]; then
    # What a restore has put there that came to no end is nobody's: what that one replaced is kept in its place.
    for one in $before; do
        [ ! -d "$home/replaced.$one" ] || [ -d "$home/replaced.$swap" ] || mv -T "$home/replaced.$one" "$home/replaced.$swap"
    done
fi
if [ -n "$swap" ] && [ "$primary" = "$POD_NAME" ] && [ -d "$home/restored.$swap" ]; then
    kept=$home/replaced.$swap
    [ ! -d "$kept" ] || kept=$home/discarded.$swap
    [ ! -d "$data" ] || mv -T "$data" "$kept"
    mv -T "$home/restored.$swap" "$data"
    sync -f "$home"
    echo "The restored files are in the place of the data."
fi
# A new copy in place of the data that is there, once for each token.
token=
if [ "$primary" != "$POD_NAME" ]; then
    token=$(sed -n "s/^$POD_NAME \([A-Za-z0-9._-]*\)$/\1/p" /run/record/copy | sed -n 1p)
    [ -z "$token" ] || [ ! -e "$home/copied.$token" ] || token=
fi

# One that somebody made and left empty is no data directory, and the rename replaces it.
there=
if [ -d "$data" ]; then
    there=$(ls -A "$data") || fail "The folder $folder of the volume cannot be read by user $(id -u): it belongs to \
another one, or the storage has lost it. Nothing was made. Correct its owner, mysql_run_as_user, or the export."
fi
if [ -n "$there" ]; then
    discard
    case $flavour in
    mariadb) foreign=mysql.ibd own=aria_log_control ;;
    *) foreign=aria_log_control own=mysql.ibd ;;
    esac
    if [ -e "$data/$foreign" ] && [ ! -e "$data/$own" ]; then
        fail "The volume holds the data of a $other server, and the image is $flavour: one cannot read the other's."
    fi
    [ -e "$data/$own" ] ||
        fail "The folder $folder of the volume holds something that is no data directory of $flavour. Take it away."
    if [ -z "$token" ]; then
        echo "There is a data directory already: nothing to do."
        exit 0
    fi
fi
found=
for entry in "$home"/*; do
    case ${entry##*/} in
    '*' | "$folder" | lost+found | initialising.* | cloning.* | copied.* | discarded.*) ;;
    restoring.* | restored.* | replaced.*) ;;
    *) found="$found ${entry##*/}" ;;
    esac
done
[ -z "$found" ] ||
    fail "The volume is not empty, and has no folder $folder, so no server is made on it. It holds:$found. Where that is \
the data directory of a server, move it into the folder $folder of the volume; else empty the volume."

if [ "$primary" != "$POD_NAME" ]; then
    copy_one
elif [ "$epoch:${POD_NAME##*-}" = 0:0 ] || [ "$members:$KEEPS_NOTHING" = 1:1 ]; then
    make_new
else
    lost
fi
[ -z "$there" ] || mv -T "$data" "$home/discarded.$POD_UID.data"
mv -T "$new" "$data" || fail "The data directory that was made cannot be put into its place: where another pod has \
made one meanwhile, only one of them may use this volume; else the line above says why."
if [ -n "$token" ]; then
    rm -f "$home"/copied.*
    : >"$home/copied.$token"
fi
sync -f "$data"
discard
echo "The data directory is complete."
