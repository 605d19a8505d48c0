# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The programs that run in the pods of a preflight, and how their words are read.

They are plain sh with the tools of POSIX, so that any image with a shell will do, and say one line for each thing that
was tried: its name, a tab, and ``ok``, ``failed`` with a reason, ``none`` where the image has no tool for it, or a
figure. perl or python3 are used where they are there, because a shell knows no fcntl lock and no mmap.
"""

from __future__ import annotations

from ansible_collections.stateful.kube.plugins.module_utils._storage._probe_objects import SCRATCH, VOLUME

__all__ = ["SCRATCH", "VOLUME"]

#: folders of this name on a volume are ours
FOLDER_PREFIX = ".stateful-kube-preflight-"

_HEAD = r"""
LC_ALL=C
export LC_ALL
say() { printf '%s\t%s\n' "$1" "$2"; }
short() { printf '%s\n' "$1" | head -n 1 | tr '\t' ' ' | cut -c 1-300; }
tried() {
  name=$1
  shift
  if said=$("$@" 2>&1); then say "$name" ok; else say "$name" "failed $(short "$said")"; fi
}
owner() { set -- $(ls -nd "$1") && printf '%s' "$3"; }
"""

# The main process of a pod: it waits to be told to go, and takes its folder along.
STAY = r"""
clean() { case $2 in "$1"/.stateful-kube-preflight-?*) rm -rf "$2" ;; esac; exit 0; }
trap 'clean "$1" "$2"' TERM INT
sleep "$3" &
wait $!
clean "$1" "$2"
"""

# $1 volume. What is on it, before anything is written.
LOOK = (
    _HEAD
    + r"""
volume=$1
for entry in "$volume"/* "$volume"/.[!.]* "$volume"/..?*; do
  [ -e "$entry" ] || [ -L "$entry" ] || continue
  say entry "${entry##*/}"
done
"""
)

# $1 volume, $2 folder, $3 number of fsyncs
SOLO = (
    _HEAD
    + r"""
volume=$1
folder=$2
count=$3

write() { dd if=/dev/zero of="$folder/block" bs=65536 count=1 conv=fsync && printf 'whole\n' >"$folder/file" &&
  read -r line <"$folder/file" && [ "$line" = whole ]; }
exclusive() {
  (set -C && : >"$folder/once") || return 1
  if (set -C && : >"$folder/once") 2>/dev/null; then echo 'a second process created it too'; return 1; fi
}
hard_link() {
  ln "$folder/file" "$folder/link" || return 1
  set -- $(ls -i "$folder/file" "$folder/link")
  [ "$1" = "$3" ] || { echo "two files: $1 and $3"; return 1; }
}
rename() {
  (
    while [ ! -e "$folder/stop" ]; do
      line=
      read -r line <"$folder/file" || echo 'the file was missing for a moment'
      [ "$line" = whole ] || echo "a reader found '$line'"
    done
  ) >"$folder/reader" 2>&1 &
  reader=$!
  number=0
  result=0
  while [ $number -lt 50 ]; do
    number=$((number + 1))
    printf 'whole\n' >"$folder/next" && mv -f "$folder/next" "$folder/file" || { result=1; break; }
  done
  : >"$folder/stop"
  wait $reader
  [ $result = 0 ] || return 1
  if [ -s "$folder/reader" ]; then head -n 1 "$folder/reader"; return 1; fi
}
fsync() {
  number=0
  times=
  while [ $number -lt "$count" ]; do
    if ! said=$(dd if=/dev/zero of="$folder/journal" bs=4096 count=1 seek=$number conv=notrunc,fsync 2>&1); then
      say fsync "failed $(short "$said")"
      return
    fi
    time=$(printf '%s\n' "$said" | sed -n 's/.*copied, \([0-9.e+-]*\) s.*/\1/p')
    times="$times $time"
    number=$((number + 1))
  done
  say fsync "$times"
}

say uid "$(id -u)"
say groups "$(id -G | tr ' ' ',')"
set -- $(ls -nd "$volume")
say root "$1 $3 $4"
set -- $(df -Pk "$volume" | tail -n 1)
say size_kib "$2"
say free_kib "$4"
tried mkdir mkdir "$folder"
[ -d "$folder" ] && chmod 0777 "$folder" || exit 0
tried write write
[ -s "$folder/file" ] || exit 0
say owner "$(owner "$folder/file")"
tried exclusive exclusive
tried hard_link hard_link
tried rename rename
fsync
if command -v python3 >/dev/null 2>&1; then
  tried mmap python3 -c '
import mmap, sys
with open(sys.argv[1], "w+b") as file:
    file.write(bytes(4096))
    file.flush()
    with mmap.mmap(file.fileno(), 4096) as shared:
        shared[:5] = b"whole"
        shared.flush()
with open(sys.argv[1], "rb") as file:
    sys.exit(file.read(5) != b"whole")
' "$folder/mapped"
else
  say mmap none
fi
"""
)

# $1 folder, $2 user. Runs as root: what becomes of its files?
ROOT = (
    _HEAD
    + r"""
tried root_write sh -c ': >"$1"' sh "$1/root"
[ -e "$1/root" ] || exit 0
say root_owner "$(owner "$1/root")"
give() { chown "$2" "$1" && [ "$(owner "$1")" = "$2" ]; }
tried chown give "$1/root" "$2"
"""
)

# $1 folder, $2 own file, $3 the other's file. Writes the one, and waits until the other is seen as it should be.
WRITE = _HEAD + r"""tried wrote sh -c 'printf "%s\n" "$2" >"$1"' sh "$1/$2" "$2" """
SEE = (
    _HEAD
    + r"""
number=0
line=
while [ $number -lt 50 ]; do
  { read -r line <"$1/$2"; } 2>/dev/null
  if [ "$line" = "$2" ]; then say saw ok; exit 0; fi
  number=$((number + 1))
  sleep 0.1
done
say saw "failed the file that the other pod wrote was not seen within 5 s"
"""
)

_PERL = r"""
use Fcntl;
open(my $file, "+>>", $ARGV[0]) or do { print "failed open: $!\n"; exit 0 };
my $all = pack("s s x4 q q l x4", F_WRLCK, 0, 0, 0, 0);
if (fcntl($file, F_SETLK, $all)) { print "held\n" }
elsif ($! == 11 || $! == 13) { print "refused\n"; exit 0 }
else { print "failed $!\n"; exit 0 }
close(STDOUT);
sleep $ARGV[1];
"""
_PYTHON = r"""
import errno, fcntl, os, sys, time
try:
    file = open(sys.argv[1], "a+b")
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError as error:
    print("refused" if error.errno in (errno.EAGAIN, errno.EACCES) else "failed " + error.strerror)
    sys.exit(0)
print("held", flush=True)
time.sleep(int(sys.argv[2]))
"""

# $1 fcntl_lock or flock, $2 file, $3 seconds to hold it. Says held, refused, failed with a reason, or none.
_LOCK = (
    r"""
lock() {
  case $1 in
    fcntl_lock)
      if perl -MFcntl -e 'pack("q", 0)' 2>/dev/null; then exec perl -e '"""
    + _PERL
    + r"""' "$2" "$3"; fi
      if python3 -c 'import fcntl' 2>/dev/null; then exec python3 -c '"""
    + _PYTHON
    + r"""' "$2" "$3"; fi
      echo none ;;
    flock)
      command -v flock >/dev/null 2>&1 || { echo none; exit 0; }
      : >>"$2" && exec 9>>"$2" || { echo 'failed open'; exit 0; }
      said=$(flock -n 9 2>&1) && { echo held; exec sleep "$3"; }
      [ -z "$said" ] && echo refused || echo "failed $said" ;;
  esac
}
"""
)
#: $1 and $2 as before, $3 a folder of its own: takes the lock and keeps it in the background until RELEASE
HOLD = (
    _LOCK
    + r"""
rm -f "$3/said"
(lock "$1" "$2" 60) >"$3/said" 2>&1 </dev/null &
echo $! >"$3/holder"
number=0
while [ ! -s "$3/said" ] && [ $number -lt 100 ]; do
  number=$((number + 1))
  sleep 0.1
done
printf 'lock\t%s\n' "$(head -n 1 "$3/said")"
"""
)
TRY = _LOCK + r"""printf 'lock\t%s\n' "$( (lock "$1" "$2" 0) 2>&1 | head -n 1)" """
RELEASE = r"""kill "$(cat "$1/holder")" 2>/dev/null; exit 0"""
# $1 volume. Folders that killed runs left, and this one's.
CLEAN = r"""rm -rf "$1"/.stateful-kube-preflight-?*"""


def shell(program: str, *arguments: object) -> list[str]:
    """The command of a program with its arguments."""
    return ["sh", "-c", program, "probe", *(str(one) for one in arguments)]


def read(text: str) -> dict[str, str]:
    """The last word on each thing that a program spoke of."""
    return {name: value.strip() for name, tab, value in (line.partition("\t") for line in text.splitlines()) if tab}


def entries(text: str) -> list[str]:
    """The names that LOOK found."""
    return [value for name, tab, value in (line.partition("\t") for line in text.splitlines()) if name == "entry"]
