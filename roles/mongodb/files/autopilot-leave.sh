# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Runs in mongod's container before mongod is told to stop. It asks the autopilot whether this member is to leave the set,
# and waits until it has left; one that comes back is not waited for. mongod never waits for an autopilot that is not there.
#   autopilot-leave.sh 240    waits for so many seconds at most
# shellcheck shell=bash
folder=/run/autopilot
rm -f "$folder/ended"
touch "$folder/ending"
for ((tenths = 0; tenths < ${1:-60} * 10; tenths += 2)); do
    [ -e "$folder/ended" ] && exit 0
    alive=$(stat -c %Y "$folder/alive" 2>/dev/null || echo 0)
    [ $(($(date +%s) - alive)) -gt 10 ] && exit 0
    sleep 0.2
done
exit 0
