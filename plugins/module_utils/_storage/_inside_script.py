# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The programs that look into a volume that was used, and the one that empties it.

They are plain sh with the tools of POSIX and ``stat -c``, so that busybox and Debian will both do. Nothing but WIPE
changes anything, and no link is followed out of the volume.
"""

from __future__ import annotations

# What a pod does until it is told to go. $1 seconds
STAY = r"""
trap 'exit 0' TERM INT
sleep "$1" &
wait $!
"""

_HEAD = r"""
LC_ALL=C
export LC_ALL
say() { printf '%s\t%s\n' "$1" "$2"; }
owner() { set -- $(ls -nd "$1") && printf '%s %s' "$3" "$4"; }
"""

# $1 volume. Which engine left its files there, in the topmost folder that has any, and whose they are.
LOOK = (
    _HEAD
    + r"""
volume=$1
known=0
level=0
tried=0

found() {
  known=$((known + 1))
  say engine "$1 ${2#"$volume"}"
  engine=$1
  folder=$2
  say marker "$(owner "$3")"
  [ -r "$3" ] || say unreadable "$(owner "$3")"
}
look() {
  tried=$((tried + 1))
  [ "$tried" -le 200 ] || return 0
  if ! { [ -r "$1" ] && [ -x "$1" ]; }; then
    say blocked "$(owner "$1")"
    return
  fi
  if [ -e "$1/WiredTiger" ] && { [ -e "$1/storage.bson" ] || [ -e "$1/_mdb_catalog.wt" ] || [ -e "$1/mongod.lock" ]; }
  then found mongodb "$1" "$1/WiredTiger"; return; fi
  if [ -e "$1/ibdata1" ]; then
    if [ -e "$1/aria_log_control" ]; then found mariadb "$1" "$1/ibdata1"; else found mysql "$1" "$1/ibdata1"; fi
    return
  fi
  if [ -e "$1/PG_VERSION" ] && [ -d "$1/global" ]; then found postgresql "$1" "$1/PG_VERSION"; return; fi
  if [ -e "$1/.minio.sys/format.json" ]; then found minio "$1" "$1/.minio.sys/format.json"; return; fi
  if [ -e "$1/STORAGE_MIN_VERSION" ] || [ -e "$1/COCKROACHDB_VERSION" ]; then
    found cockroachdb "$1" "$1"
    return
  fi
  for node in "$1"/rabbit@*; do
    if [ -d "$node/quorum" ] || [ -d "$node/coordination" ] || [ -e "$node/schema.DAT" ] || [ -e "$node/rabbit_serial" ]
    then found rabbitmq "$1" "$node"; return; fi
  done
  for table in "$1"/system/local-* "$1"/data/system/local-*; do
    if [ -d "$table" ]; then found cassandra "$1" "$table"; return; fi
  done
}

say uid "$(id -u)"
say gid "$(id -g)"
set -- $(ls -nd "$volume")
say root "$1 $3 $4"
look "$volume"
for entry in "$volume"/* "$volume"/.[!.]* "$volume"/..?*; do
  [ -e "$entry" ] || [ -L "$entry" ] || continue
  [ "${entry##*/}" = lost+found ] && continue
  say entry "${entry##*/}"
  [ "$known" = 0 ] || [ "$level" = 1 ] || continue
  [ -d "$entry" ] && ! [ -L "$entry" ] || continue
  level=1
  look "$entry"
done
if [ "$known" = 0 ]; then
  for entry in "$volume"/*/* "$volume"/*/.[!.]*; do
    [ -d "$entry" ] && ! [ -L "$entry" ] && look "$entry"
  done
fi
[ "$known" = 1 ] || exit 0

cd "$folder" 2>/dev/null || exit 0
case $engine in
  mongodb)
    if [ -s mongod.lock ]; then say clean no; else say clean yes; fi
    # The configuration of the replica set is one small document. Pages of a few KiB are never compressed.
    small() { find . \( -path './collection*' -o -path './local/*' \) -type f -name '*.wt' -size -1025 "$@"; }
    if grep --version 2>/dev/null | grep -q GNU; then
      small -exec grep -alF replicaSetId {} + 2>/dev/null
    else
      small | while read -r file; do
        tr -c ' -~' '\n' <"$file" 2>/dev/null | grep -q replicaSetId && printf '%s\n' "$file"
      done
    fi | head -n 5 | while read -r file; do say pages "$(base64 "$file" | tr -d '\n')"; done
    ;;
  mysql | mariadb)
    say server_uuid "$(sed -n 's/^ *server[-_]uuid *= *//p' auto.cnf 2>/dev/null | head -n 1)"
    say cluster_id "$(sed -n 's/^uuid: *//p' grastate.dat 2>/dev/null | head -n 1)"
    ;;
  postgresql)
    say version "$(head -n 1 PG_VERSION 2>/dev/null)"
    say system_identifier "$(od -A n -t u8 -N 8 global/pg_control 2>/dev/null | tr -d ' ')"
    ;;
  minio)
    say format "$(head -c 65536 .minio.sys/format.json 2>/dev/null | tr -d '\n\t')"
    ;;
  rabbitmq)
    for node in rabbit@*; do
      case $node in *-plugins-expand | *-feature_flags | *.pid) continue ;; esac
      [ -d "$node" ] && say node "$node"
    done
    ;;
esac
"""
)

# $1 volume, $2 a folder for what it has to remember. How much is there.
COUNT = (
    _HEAD
    + r"""
find "$1" -path "$1/lost+found" -prune -o -type f -exec stat -c '%Y %s' {} + 2>"$2/errors" | {
  files=0
  bytes=0
  newest=0
  while read -r at size; do
    files=$((files + 1))
    bytes=$((bytes + size))
    [ "$at" -gt "$newest" ] && newest=$at
  done
  say files "$files"
  say bytes "$bytes"
  say newest "$newest"
}
say unread "$(wc -l <"$2/errors")"
"""
)

# $1 volume. Removes all that is in it, and says how much is left, and why.
WIPE = (
    _HEAD
    + r"""
said=$(find "$1" -mindepth 1 -maxdepth 1 ! -name lost+found -exec rm -rf {} + 2>&1 | head -n 1)
left=$(find "$1" -mindepth 1 -maxdepth 1 ! -name lost+found 2>/dev/null | wc -l)
say left "$((left))"
say said "$said"
"""
)
