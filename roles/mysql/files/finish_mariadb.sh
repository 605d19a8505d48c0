# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Tells the copy of a MariaDB server where it continues. Read by the shell that has started a server on the copy, with
# its binary log as in my.cnf, without network, and with --skip-slave-start:
#   statements=$(continue_from COPY "$gtid_slave_pos_of_that_server") || fail "$statements"
# The statements are for that server, as its last ones before SHUTDOWN. Global transaction ids are
# DOMAIN-SERVER-NUMBER, with commas between them.
# shellcheck shell=sh

# COPY.gtid is what mariadb-backup noted, COPY.gtid_binlog_state the donor's from before. What a replica has
# applied stands in a table too, in the same transaction as the data; so it is never behind them, as the note may be by
# one that was just being committed. On a primary that table is old.
continue_from() {
    noted=$(cat "$1.gtid") && before=$(cat "$1.gtid_binlog_state") || return
    position=$(gtid_later "$noted" "$2")
    # The former primary may have written more after the donor was asked, and the copy has it: a state that says less would
    # make what the new one wrote look as if it were of another history, for good.
    if ! gtid_same_writer "$before" "$position"; then
        echo "Another server became the primary while the copy was made: the donor was at $before before, and the copy is at \
$position. What the former one wrote last is not known here. The copy is not used, and another one is taken."
        return 1
    fi
    if ! state=$(gtid_state "$before" "$position"); then
        echo "The binary log of the donor began anew while the copy was made: it was at $before before, and the copy is \
at ${position:-the beginning}. The copy is not used."
        return 1
    fi
    # Sets the binary log up anew, too.
    echo "RESET MASTER;
SET GLOBAL gtid_binlog_state = '$state';
SET GLOBAL gtid_slave_pos = '$position';"
}

# The later of two positions, domain by domain.
gtid_later() {
    gtid_awk "$1" "$2" 'BEGIN {
        for (i = 1; i <= firsts + seconds; i++) {
            id = i <= firsts ? first[i] : second[i - firsts]
            split(id, part, "-")
            if (!(part[1] in number)) order[++count] = part[1]
            else if (!larger(part[3], number[part[1]])) continue
            number[part[1]] = part[3]
            last[part[1]] = id
        }
        for (i = 1; i <= count; i++) out(last[order[i]])
        print ""
    }'
}

# Whether in each domain the position $2 is of the server that wrote last in the state $1, or has written nothing.
gtid_same_writer() {
    gtid_awk "$1" "$2" 'BEGIN {
        for (i = 1; i <= firsts; i++) {
            split(first[i], part, "-")
            if (part[1] in number && !larger(part[3], number[part[1]])) continue
            number[part[1]] = part[3]
            server[part[1]] = part[2]
        }
        for (i = 1; i <= seconds; i++) {
            split(second[i], part, "-")
            if (part[1] in number && part[2] != server[part[1]] && larger(part[3], number[part[1]])) exit 1
        }
    }'
}

# The state of a binary log that ends at the position $2, from an older state of that log, $1: the last of every server,
# and for each domain at the end, where a server looks for it, the position itself. Fails where the log went back.
gtid_state() {
    gtid_awk "$1" "$2" 'BEGIN {
        for (i = 1; i <= seconds; i++) {
            split(second[i], part, "-")
            number[part[1]] = part[3]
            server[part[1]] = part[2]
        }
        for (i = 1; i <= firsts; i++) {
            split(first[i], part, "-")
            if (part[1] in number && larger(part[3], number[part[1]])) exit 1
            if (!(part[1] in number) || part[2] != server[part[1]]) kept[++count] = first[i]
        }
        for (i = 1; i <= count; i++) out(kept[i])
        for (i = 1; i <= seconds; i++) out(second[i])
        print ""
    }'
}

# Numbers are compared as text: they may be larger than awk can count.
gtid_awk() {
    awk -v "a=$1" -v "b=$2" '
        function larger(x, y) { return length(x) == length(y) ? x "" > y "" : length(x) > length(y) }
        function out(id) { printf "%s%s", (printed++ ? "," : ""), id }
        BEGIN { firsts = split(a, first, /[, ]+/); seconds = split(b, second, /[, ]+/) }
        '"$3"
}
