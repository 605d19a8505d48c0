# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Makes the data directory of a new server, and leaves every other one alone:
#   initialise.sh mysql|mariadb
# It is made elsewhere on the same volume, password and all, and becomes the data directory by one rename. So there is
# never half a one, and what is not finished is nobody's data. Of two pods that do this at once one wins.
# shellcheck shell=sh
set -eu
flavour=$1
home=/var/lib/mysql
data=$home/data
new=$home/initialising.$POD_UID
# The init container of a pod, so nothing of that name is in use.
socket=/run/mysqld/initialise.sock

fail() {
    echo "$1" >&2
    exit 1
}

# Whoever is told to end ends, although nobody else is to: this is the first process here, which ignores signals.
pid=
trap 'kill $pid 2>/dev/null; exit 143' TERM

case $POD_NAME in
*-0) ;;
*) fail "$POD_NAME is another pod than the first: it would be an empty server beside the one that there is. Set the \
replicas of the StatefulSet back to 1." ;;
esac

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

# What an earlier try left. Renamed first, so that whoever is at it still cannot finish what is half gone.
discard() {
    rm -rf "$home"/discarded.*
    for left in "$home"/initialising.*; do
        [ -d "$left" ] || continue
        mv -T "$left" "$home/discarded.$POD_UID.${left##*/}"
    done
    rm -rf "$home"/discarded.*
}

# One that somebody made and left empty is no data directory, and the rename replaces it.
there=
if [ -d "$data" ]; then
    there=$(ls -A "$data") || fail "The folder data of the volume cannot be read by user $(id -u): it belongs to \
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
        fail "The folder data of the volume holds something that is no data directory of $flavour. Take it away."
    echo "There is a data directory already: nothing to do."
    exit 0
fi
found=
for entry in "$home"/*; do
    case ${entry##*/} in
    '*' | data | lost+found | initialising.* | discarded.*) ;;
    *) found="$found ${entry##*/}" ;;
    esac
done
[ -z "$found" ] ||
    fail "The volume is not empty, and has no folder data, so no server is made on it. It holds:$found. Where that is \
the data directory of a server, move it into the folder data of the volume; else empty the volume."

password=$(cat /run/root/password)
[ -n "$password" ] || fail "The key password of the root user's Secret is empty: a server without password is not made."
discard
mkdir -m 0750 "$new"
echo "Making a data directory with: $version"
case $flavour in
mariadb)
    mariadb-install-db --defaults-file=/etc/stateful/my.cnf --datadir="$new" --auth-root-authentication-method=normal \
        --skip-test-db --skip-name-resolve --skip-log-bin --force
    ;;
*) mysqld --defaults-file=/etc/stateful/my.cnf --datadir="$new" --initialize-insecure ;;
esac

$server --defaults-file=/etc/stateful/my.cnf --datadir="$new" --socket="$socket" --pid-file=/run/mysqld/initialise.pid \
    --skip-networking --skip-log-bin --general-log=0 --slow-query-log=0 --read-only=0 &
pid=$!
sql() {
    "$client" --no-defaults --socket="$socket" --user=root --batch
}
until echo 'SELECT 1;' | sql >/dev/null 2>&1; do
    kill -0 "$pid" 2>/dev/null || fail "The new server stopped before it took a connection: its last lines are above."
    sleep 0.2
done
# By standard input: a command line is there for all to read.
quoted=$(printf %s "$password" | sed -e 's/\\/\\\\/g' -e "s/'/''/g")
# Accounts that mariadb-install-db makes besides: nobody, and root without a password as of this host.
none=
[ "$flavour" = mysql ] || none="DELETE FROM mysql.global_priv WHERE User = '' OR (User = 'root' AND Host <> 'localhost');
DELETE FROM mysql.proxies_priv WHERE Host <> 'localhost';
FLUSH PRIVILEGES;"
sql <<SQL
SET SESSION sql_mode = '';
$none
CREATE USER 'stateful_health'@'localhost' PASSWORD EXPIRE NEVER;
ALTER USER 'root'@'localhost' IDENTIFIED BY '$quoted';
RENAME USER 'root'@'localhost' TO 'root'@'%';
SHUTDOWN;
SQL
wait "$pid" || fail "The new server did not stop as it should: its last lines are above."
sync -f "$new"
mv -T "$new" "$data" || fail "The data directory that was made cannot be put into its place: where another pod has \
made one meanwhile, only one of them may use this volume; else the line above says why."
sync -f "$data"
echo "The data directory is complete."
