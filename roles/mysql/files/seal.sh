# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# What a donor and the taker of a copy have in common. Whoever talks on the port of copies proves that it has the
# password of the Secret NAME-replication, and never says it: the one asks with a number that is used once, the other
# answers with a digest of both. The password is on no command line, since those are there for all to read.
# shellcheck shell=sh
key=/run/replication/password

digest() {
    openssl dgst -sha256 -r | cut -d ' ' -f 1
}

# Only who has the password can make it. Twice over, so that nobody can add to what was sealed.
seal() {
    inner=$({ cat "$key"; printf '\n%s\n' "$*"; } | digest)
    { cat "$key"; printf '\n%s\n' "$inner"; } | digest
}

# Of a digest, and of a number that is used once.
is_digest() {
    case $1 in *[!0-9a-f]*) return 1 ;; esac
    [ ${#1} -eq 64 ]
}

# crypt -e or crypt -d, of the standard input. The salt is another one for each stream.
crypt() {
    openssl enc "$1" -aes-256-ctr -pbkdf2 -iter 100000 -md sha256 -salt -pass "file:$key" -bufsize 65536
}

# What the image lacks of what copies are made with.
lacking() {
    for program in mariadb mariadb-backup mbstream openssl socat; do
        command -v "$program" >/dev/null || printf ' %s' "$program"
    done
}
