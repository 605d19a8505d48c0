# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Asks the mongod of this pod `hello`, which needs no login, and reads the answer: no shell of
# MongoDB is started for a probe, and an open port alone does not pass.
#   hello.sh alive 27017   succeeds when any answer comes
#   hello.sh ready 27017   succeeds when the answer says that this member is primary, secondary or arbiter
# One OP_MSG of the MongoDB wire protocol, every number little-endian:
#   34000000 length 52, 01000000 request id, 00000000 response to, dd070000 opcode 2013
#   00000000 flags, 00 section kind 0, followed by one BSON document (bsonspec.org) of 1f000000 = 31 bytes:
#   10 "hello" 00 01000000 (int32 1), 02 "$db" 00 06000000 "admin" 00 (string), 00 end
# In the answer an element of type boolean is 08, name, 00, value: 01 is true.
# https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/ and https://bsonspec.org/spec.html
# The request is data, not shell, and bash itself sets tls_PID.
# shellcheck shell=bash disable=SC2016,SC2154
set -o pipefail
if [ -e /run/mongodb-tls/mongod.conf ]; then
  # Whoever may require TLS is asked with it. It is this very pod, so nothing is checked. The client is waited for:
  # mongod, the first process here, takes no notice of orphans, and each would stay a zombie.
  coproc tls { exec openssl s_client -quiet -connect "127.0.0.1:${2:-27017}" 2>/dev/null; }
  client=$tls_PID
  trap 'kill "$client" 2>/dev/null; wait "$client" 2>/dev/null' EXIT
  trap 'exit 1' TERM
  exec 3>&"${tls[1]}" 4<&"${tls[0]}"
else
  exec 3<>"/dev/tcp/127.0.0.1/${2:-27017}" 4<&3 || exit 1
fi
printf '\x34\0\0\0\x01\0\0\0\0\0\0\0\xdd\x07\0\0\0\0\0\0\0\x1f\0\0\0\x10hello\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0\0' >&3
length=$(head -c 4 <&4 | od -An -v -tu4)
[ "${length:-0}" -gt 21 ] || { echo "mongod accepted the connection and gave no answer" >&2; exit 1; }
answer=$(head -c $((length - 4)) <&4 | od -An -v -tx1 | tr -d ' \n')
[ "${1:-ready}" = alive ] && exit 0
primary=0869735772697461626c655072696d6172790001   # 08 "isWritablePrimary" 00 01
secondary=087365636f6e646172790001                 # 08 "secondary" 00 01
arbiter=08617262697465724f6e6c790001             # 08 "arbiterOnly" 00 01
[[ $answer == *$primary* || $answer == *$secondary* || $answer == *$arbiter* ]] && exit 0
echo "this member is neither primary nor secondary nor arbiter" >&2
exit 1
