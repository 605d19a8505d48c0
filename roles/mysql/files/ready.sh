# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Whether clients may be sent here, as the kubelet asks:
#   ready.sh CLIENT SECONDS
# To the primary, and to a replica that applies what it receives and is at most so many seconds behind. Not to one whose
# data is to be replaced by a copy: while files are restored it has what was there before.
# shellcheck shell=sh
set -u
if [ "$(cat /run/record/primary 2>/dev/null)" != "$POD_NAME" ]; then
    token=$(sed -n "s/^$POD_NAME \([A-Za-z0-9._-]*\)$/\1/p" /run/record/copy 2>/dev/null | sed -n 1p)
    if [ -n "$token" ] && [ ! -e "/var/lib/mysql/copied.$token" ]; then
        echo "This server is to take a copy in place of its data." >&2
        exit 1
    fi
fi
said=$(timeout 4 "$1" --no-defaults --socket=/run/mysqld/mysqld.sock --user=stateful_health --connect-timeout=3 \
    --batch --vertical --execute='SELECT @@global.read_only AS read_only; SHOW REPLICA STATUS' 2>&1) || {
    # Who is told so by the server knows more than who finds no server.
    case $said in *'ERROR 1040 '*) exit 0 ;; esac
    echo "$said" >&2
    exit 1
}
# The one calls them by other names than the other.
value() {
    printf '%s\n' "$said" | sed -n "s/^ *$1: *//p" | sed -n 1p
}
case $(value read_only) in 0 | OFF) exit 0 ;; esac
applier=$(value '[A-Z][a-z]*_SQL_Running')
receiver=$(value '[A-Z][a-z]*_IO_Running')
lag=$(value 'Seconds_Behind_[A-Z][a-z]*')
why=
case $applier:$receiver in
Yes:Yes | Yes:Connecting) ;;
:*) why="is read-only, and replicates from nobody" ;;
Yes:*) why="receives nothing (error $(value Last_IO_Errno))" ;;
*) why="does not apply what it receives (error $(value Last_SQL_Errno))" ;;
esac
case $lag in
'' | NULL) ;;
*) [ -n "$why" ] || [ "$lag" -le "$2" ] || why="is $lag s behind, and $2 s are allowed" ;;
esac
[ -z "$why" ] && exit
echo "This server $why." >&2
exit 1
