#!/bin/sh
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# check.sh SERVER:PATH MOUNT-OPTIONS write|read
# Mounts, writes a file and reads it back, and leaves nothing behind, however it ends.
set -eu
place=$(mktemp -d)
file=$place/.stateful-kube-check.$$
finish() {
    rm -f "$file" 2>/dev/null || true
    if mountpoint -q "$place"; then umount "$place"; fi
    rmdir "$place"
}
trap finish EXIT
trap 'exit 143' TERM INT HUP
# A server that does not answer is given up after a while here; a pod would wait for it.
timeout 60 mount -t nfs -o "$2,soft,timeo=100,retrans=2,retry=0" "$1" "$place"
if [ "$3" = write ]; then
    echo "written by a check of $(uname -n)" >"$file"
    sync "$file"
    [ "$(cat "$file")" = "written by a check of $(uname -n)" ]
else
    ls "$place" >/dev/null
fi
