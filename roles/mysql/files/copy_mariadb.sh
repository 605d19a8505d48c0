# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Takes a copy of another member's MariaDB server, once, from one donor:
#   copy_mariadb.sh
# by DONOR, DONOR_HOST, DONOR_PORT, COPY and POD_NAME. COPY is the folder to make. It is whole and prepared when this
# ends with status 0, and finish_mariadb.sh has what it needs in COPY.gtid and COPY.gtid_binlog_state. Otherwise
# one line says why this donor gave none. Half a copy is left to whoever called this.
# shellcheck shell=sh
set -u
umask 077
# shellcheck source=/dev/null
. "${0%/*}/seal.sh"
work=/tmp/copy_mariadb
# Seconds without a byte from the donor. It may have to wait for a lock of its server.
silence=900
link='' waiting=''

fail() {
    echo "$1" >&2
    exit 1
}
no() {
    fail "No copy from $DONOR: $1."
}

# The other processes end when the connection does.
leave() {
    trap '' TERM
    # shellcheck disable=SC2086
    kill $link $waiting 2>/dev/null
    rm -rf "$work"
}
trap leave EXIT
trap 'exit 143' TERM

# In the background, since a shell that waits for a program in the foreground takes no signal.
run() {
    "$@" &
    waiting=$!
    wait "$waiting"
    set -- "$?"
    waiting=
    return "$1"
}

# A line from the donor, byte by byte: what is behind it is for others to read.
hear() {
    # shellcheck disable=SC2016
    timeout "$1" sh -c 'IFS= read -r line; printf %s "$line"' <&4 >"$work/line" &
    waiting=$!
    wait "$waiting"
    waiting=
    line=$(tr -cd '[:print:]' <"$work/line" | cut -c 1-300)
}

lacking=$(lacking)
[ -z "$lacking" ] || fail "The image lacks$lacking, without which no copy of another member can be taken: use an image \
that has them, as the public one has."
[ -s /run/replication/password ] || fail "The key password of the Secret of replication is empty, so no other member \
can be asked for a copy. Run the role again where the Secret was made by it; else give it a password."

rm -rf "$work"
mkdir "$work" && mkfifo "$work/up" "$work/down" "$work/copied" "$work/end" || exit 1
# As keepalive has it, a donor whose node is gone is noticed within two minutes.
socat -T "$silence" - "TCP:$DONOR_HOST:$DONOR_PORT,connect-timeout=5,keepalive,keepidle=30,keepintvl=10,keepcnt=3,\
setsockopt-int=6:18:120000" <"$work/up" >"$work/down" 2>"$work/socat" &
link=$!
exec 3>"$work/up" 4<"$work/down"

# 1. Who asks whom?
hear 20
once=${line#stateful-copy 1 }
is_digest "$once" || no "nothing answers on port $DONOR_PORT of $DONOR_HOST$(sed -n '$s/.*: /: /p' "$work/socat")"
mine=$(openssl rand -hex 32)
(printf '%s %s\n' "$mine" "$(seal take "$once" "$mine")" >&3) 2>/dev/null
# It counts its data first, which may take a while on a slow disk.
hear 300
case $line in
ok\ *) ;;
no\ *) no "${line#no }" ;;
*) no "it closed the connection before the copy" ;;
esac

# 2. Is it for this one? No server reads the files of another series as they are.
size=${line##* } version=${line#ok }
version=${version% *}
# Nobody has sealed this line.
case $size in
'' | *[!0-9]*) no "what it answers is no answer of a donor" ;;
esac
series=$(mariadb-backup --version 2>&1 | sed -n 's/.*server \([0-9]*\.[0-9]*\)\..*/\1/p')
case $version in
"$series".*) ;;
*) no "its server is MariaDB $version and the image here has $series, and a copy serves the same series alone" ;;
esac
free=$(df -Pk "${COPY%/*}" | awk 'NR == 2 { print $4 }')
[ "$size" -le "$free" ] ||
    no "its data take $((size / 1024)) MiB, and the volume here has $((free / 1024)) MiB free: enlarge the claim"

# 3. The copy, and behind it its seal, which is 65 bytes. Of a pipe, sh tells only the status of the last part.
echo "$DONOR sends its data, $((size / 1024)) MiB."
mkdir -m 0750 "$COPY" || exit 1
tail -c 65 <"$work/end" >"$work/seal" 3>&- &
ending=$!
digest <"$work/copied" >"$work/digest" 3>&- &
digesting=$!
{
    tee "$work/end" <&4 | head -c -65 | tee "$work/copied" |
        { crypt -d && : >"$work/decrypted"; } |
        { mbstream -x -C "$COPY" 2>"$work/mbstream" && : >"$work/unpacked"; }
} 3>&- &
waiting=$!
wait "$waiting"
waiting=
wait "$ending" "$digesting"
sum=$(cat "$work/digest")
if ! is_digest "$sum" || [ "$(cat "$work/seal")" != "$(seal whole "$once" "$mine" "$sum")" ]; then
    no "the copy broke off before its end ($(tail -n 1 "$work/mbstream"))"
fi
[ -e "$work/decrypted" ] && [ -e "$work/unpacked" ] ||
    no "what was sent could not be unpacked: $(tail -n 1 "$work/mbstream")"

echo "The data of $DONOR are here; preparing them."
if ! run mariadb-backup --defaults-file=/etc/stateful/my.cnf --prepare --target-dir="$COPY" >"$work/prepare" 2>&1 ||
    ! grep -q '^backup_type = log-applied' "$COPY"/*_checkpoints; then
    tail -n 5 "$work/prepare" >&2
    no "mariadb-backup could not prepare it; its last lines are above"
fi
cut -f 3 "$COPY"/*_binlog_info >"$COPY.gtid" || no "there is no position of a binary log in it"
mv "$COPY/stateful.gtid_binlog_state" "$COPY.gtid_binlog_state" || no "there is no state of a binary log in it"
rm -f "$COPY"/xtrabackup_* "$COPY"/mariadb_backup_* "$COPY/backup-my.cnf"
noted=$(cat "$COPY.gtid")
echo "The copy of $DONOR is whole; mariadb-backup noted its end at ${noted:-the beginning}."
