# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The program that copies one volume to another and compares the two, and how its words are read.

It is plain sh with find, cp, stat, sort and sha256sum, of coreutils or of busybox. What it found in the end is its
termination message, so that it needs nobody to listen; on its way it says in its log how far it is.
"""

from __future__ import annotations

import dataclasses
import typing as t

#: where the old and the new volume are mounted, and a folder for lists
FROM, TO, SCRATCH = "/from", "/to", "/scratch"
#: what the kubelet keeps of a container's last words, in bytes
_MOST = 2000

# $1 from, $2 to, $3 scratch, $4 file for the last words. lost+found belongs to the file system, not to the data.
COPY = r"""
LC_ALL=C
export LC_ALL
from=$1
to=$2
scratch=$3
last=$4
short() { head -n 1 | tr '\t' ' ' | cut -c 1-500; }
fail() { printf 'failed\t%s\n' "$1" >"$last"; exit 1; }
used() { du -sk "$1" 2>/dev/null | cut -f 1; }

# Everything but the volume's own folder, whose owner is a matter of the kubelet where this is not root.
entries() {
  folder=$1
  shift
  (cd "$folder" && find . -mindepth 1 -path ./lost+found -prune -o "$@")
}
top() {
  folder=$1
  shift
  (cd "$folder" && find . -mindepth 1 -maxdepth 1 ! -name lost+found -exec "$@" {} +)
}

# One line for each entry: what it is, mode, owner, group, size, time of change, number of links, name.
shape() {
  entries "$1" -type f -exec stat -c 'f %a %u %g %s %Y %h %n' {} + &&
    entries "$1" -type d -exec stat -c 'd %a %u %g %Y %n' {} + &&
    entries "$1" -type l -exec stat -c 'l %u %g %N' {} + &&
    entries "$1" ! -type f ! -type d ! -type l -exec stat -c 'o %F %a %u %g %t %T %n' {} +
}
content() { entries "$1" -type f -exec sha256sum {} +; }
list() {
  "$1" "$2" >"$scratch/raw" 2>"$scratch/errors" || { cat "$scratch/errors" >&2; return 1; }
  sort -T "$scratch" "$scratch/raw" >"$3"
}
# The first line that only the one of two lists has, and the first that only the other has.
difference() {
  diff "$1" "$2" >"$scratch/diff"
  printf '%s %s' "$(grep '^<' "$scratch/diff" | short)" "$(grep '^>' "$scratch/diff" | short)"
}

top "$to" rm -rf || fail 'the new volume could not be emptied'
total=$(used "$from")
(
  pause=1
  while sleep $pause; do
    begun=$(date +%s)
    printf 'copied %s of %s KiB\n' "$(used "$to")" "$total"
    took=$(($(date +%s) - begun))
    pause=$((2 + 10 * took))
  done
) &
watcher=$!
trap 'kill $watcher 2>/dev/null' EXIT
printf 'copied 0 of %s KiB\n' "$total"

top "$from" sh -c 'to=$1; shift; cp -a -- "$@" "$to/"' sh "$to" 2>"$scratch/said"
copied=$?
[ $copied = 0 ] && [ ! -s "$scratch/said" ] || fail "copying: $(short <"$scratch/said")"
# New folders take this bit from the volume's own one, which has it from the kubelet where there is an fsGroup.
entries "$to" -type d -perm -2000 -exec sh -c '
  from=$1
  shift
  for folder; do [ -g "$from/$folder" ] || chmod g-s "$folder"; done
' sh "$from" {} + 2>"$scratch/said" || fail "taking setgid away: $(short <"$scratch/said")"
# The volume's own folder as far as this user may.
chown "$(stat -c %u:%g "$from")" "$to" 2>/dev/null
chmod "$(stat -c %a "$from")" "$to" 2>/dev/null
sync -f "$to" 2>/dev/null || sync
kill $watcher 2>/dev/null

printf 'comparing names, owners, modes and times\n'
list shape "$from" "$scratch/from.shape" 2>"$scratch/said" || fail "reading the old volume: $(short <"$scratch/said")"
list shape "$to" "$scratch/to.shape" 2>"$scratch/said" || fail "reading the new volume: $(short <"$scratch/said")"
cmp -s "$scratch/from.shape" "$scratch/to.shape" ||
  fail "old (<) and new (>) differ: $(difference "$scratch/from.shape" "$scratch/to.shape")"
printf 'comparing the content of %s KiB, old volume\n' "$total"
list content "$from" "$scratch/from.sums" 2>"$scratch/said" || fail "reading the old volume: $(short <"$scratch/said")"
printf 'comparing the content of %s KiB, new volume\n' "$total"
list content "$to" "$scratch/to.sums" 2>"$scratch/said" || fail "reading the new volume: $(short <"$scratch/said")"
cmp -s "$scratch/from.sums" "$scratch/to.sums" ||
  fail "old (<) and new (>) differ in content: $(difference "$scratch/from.sums" "$scratch/to.sums")"

bytes=$(awk '$1 == "f" { sum += $5 } END { printf "%.0f", sum }' "$scratch/from.shape")
{
  printf 'files\t%s\n' "$(grep -c . "$scratch/from.sums")"
  printf 'bytes\t%s\n' "$bytes"
  printf 'sha256\t%s\n' "$(cat "$scratch/from.shape" "$scratch/from.sums" | sha256sum | cut -d ' ' -f 1)"
} >"$last"
"""

# Whether an image can do it at all: run before anything is stopped. $1 file for the last words.
TRY = r"""
for tool in find cp stat sort sha256sum diff du grep cmp cut awk; do
  command -v $tool >/dev/null 2>&1 || { printf 'failed\tthe image has no %s\n' $tool >"$1"; exit 1; }
done
printf 'uid\t%s\n' "$(id -u)" >"$1"
"""
LAST_WORDS = "/dev/termination-log"


@dataclasses.dataclass(frozen=True)
class Copied:
    """What a copy came to, after both volumes were read and compared."""

    files: int
    bytes: int
    sha256: str


def copied(text: str) -> t.Optional[Copied]:
    """What the last words of a copy say, or None where they are not those of one that succeeded."""
    said = _read(text)
    try:
        return Copied(int(said["files"]), int(said["bytes"]), said["sha256"])
    except (KeyError, ValueError):
        return None


def failure(text: str) -> str:
    """Why a copy failed, by its last words."""
    return _read(text).get("failed") or text.strip()[:_MOST] or "it said nothing"


def _read(text: str) -> dict[str, str]:
    return {name: value.strip() for name, tab, value in (line.partition("\t") for line in text.splitlines()) if tab}
