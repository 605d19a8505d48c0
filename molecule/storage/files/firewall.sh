#!/bin/sh
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# A firewall as an administrator has it: nothing comes in but answers, the machine's own traffic, and SSH.
set -eu
cat >/etc/nftables.conf.new <<'RULES'
#!/usr/sbin/nft -f
flush ruleset
table inet filter {
    chain input {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        iif lo accept
        tcp dport 22 accept
    }
}
RULES
/usr/sbin/nft -f /etc/nftables.conf.new
cp /etc/nftables.conf /etc/nftables.conf.before
mv /etc/nftables.conf.new /etc/nftables.conf
