# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The shell scripts that ask an address whether it serves, and what their answers mean. Pure.

They run in an image with a busybox: its nc hands the connection to a program (-e), which is how the first words of a
server are read without any client program. All that differs between services is in variables of the environment, so
that nothing of a user's is ever read as a part of a script.
"""

from __future__ import annotations

import dataclasses
import struct
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import FIELD_MANAGER
from ansible_collections.stateful.kube.plugins.module_utils._external._wish import Probe

# Any number that the answer has to repeat.
_REQUEST = 0x6B756265

UNUSABLE = "unusable"
# A folder in memory, where the CronJob may write.
PRIVATE = "/private"


def _hello() -> bytes:
    """MongoDB's own greeting, as an OP_MSG: {hello: 1, $db: "admin"}."""
    fields = b"\x10hello\x00" + struct.pack("<i", 1) + b"\x02$db\x00" + struct.pack("<i", 6) + b"admin\x00"
    document = struct.pack("<i", len(fields) + 5) + fields + b"\x00"
    body = struct.pack("<i", 0) + b"\x00" + document
    return struct.pack("<iiii", 16 + len(body), _REQUEST, 0, 2013) + body


def _octal(data: bytes) -> str:
    return "".join(f"\\{byte:03o}" for byte in data)


_HEX = "od -An -v -tx1 | tr -d ' \\n'"
_ANSWER = struct.pack("<ii", _REQUEST, 2013).hex()

# What runs on an open connection: standard input and output are the server, the last word of standard error is the
# verdict. "up" means that it serves.
TALK: t.Mapping[str, str] = {
    "tcp": "echo up >&2",
    # The server speaks first: three bytes length, one number, and 0a for its greeting or ff for a refusal.
    "mysql": f"""said=$(timeout "$LIMIT" head -c 5 | {_HEX})
case $said in ????????0a) echo up ;; ????????ff) echo it refuses connections ;; '') echo it says nothing ;;
*) echo it is no MySQL ;; esac >&2""",
    "mongodb": f"""printf '{_octal(_hello())}'
said=$(timeout "$LIMIT" head -c 16 | {_HEX})
case $said in ????????????????{_ANSWER}) echo up ;; '') echo it says nothing ;; *) echo it is no MongoDB ;; esac >&2""",
    "http": """printf 'GET %s HTTP/1.0\\r\\nHost: %s\\r\\nConnection: close\\r\\n\\r\\n' "$ASK" "$TO"
said=$(timeout "$LIMIT" head -c 12)
case $said in HTTP/1.?' '[1234]??) echo up ;; HTTP/1.?' '???) echo "status ${said#* }" ;; '') echo it says nothing ;;
*) echo it is no HTTP ;; esac >&2""",
}

# One line for each address: its number, and "up" or what is wrong. All are asked at once.
_ASK_ALL = """case $(nc --help 2>&1) in *'-e PROG'*) ;; *) echo 'unusable no busybox with nc -e'; exit 3 ;; esac
ask() {
  said=$(TO=$2 nc -w "$LIMIT" "$2" "$PORT" -e sh -c "$TALK" 2>&1 </dev/null)
  said=$(printf '%s\\n' "${said:-no answer}" | tail -n 1)
  printf '%s %.30s\\n' "$1" "${said##*: }"
}
number=0
for address in $ADDRESSES; do ask $number "$address" & number=$((number + 1)); done
wait
"""

ONCE = f"{{ {_ASK_ALL}}} >/dev/termination-log\n"

# The slices are written only as they were read, and only while they are declared as this script knows them.
ALWAYS = f"""set -u
ask_all() {{ {_ASK_ALL}}}
answers=$(ask_all) || {{ echo "$answers"; exit 3; }}
echo "$answers"
edit= up=0 number=0
for address in $ADDRESSES; do
  case "
$answers
" in *"
$number up
"*) ready=true up=1 ;; *) ready=false ;; esac
  edit="$edit;s/\\"@$number@\\"/$ready/"
  number=$((number + 1))
done
if [ $up = 0 ]; then
  echo 'No address answers: all of them stay in.'
  edit=$(printf %s "$edit" | sed 's/false/true/g')
fi
account=/var/run/secrets/kubernetes.io/serviceaccount
host=$KUBERNETES_SERVICE_HOST
case $host in *:*) host="[$host]" ;; esac
call() {{ # METHOD URL [BODY]; the token is on no command line
  url="https://$host:$KUBERNETES_SERVICE_PORT$2"
  if command -v curl >/dev/null; then
    printf 'header = "Authorization: Bearer %s"\\n' "$(cat $account/token)" |
      curl -K - -sS --fail-with-body -m 20 --cacert $account/ca.crt -X "$1" \\
        ${{3:+-H "Content-Type: $TYPE" -d "$3"}} "$url"
  elif wget --version 2>/dev/null | grep -q 'GNU Wget'; then
    # It reads no pipe.
    (umask 077 && printf 'header = Authorization: Bearer %s\\n' "$(cat $account/token)" >{PRIVATE}/wgetrc)
    wget --config={PRIVATE}/wgetrc -nv -O - --no-hsts --content-on-error -T 20 -t 1 --ca-certificate=$account/ca.crt \\
      --method="$1" ${{3:+--header="Content-Type: $TYPE" --body-data="$3"}} "$url" 2>&1
  else
    echo 'The image has neither curl nor GNU wget.'
    return 3
  fi
}}
TYPE=application/apply-patch+yaml
for slice in $SLICES; do
  eval "body=\\$BODY_$slice path=\\$PATH_$slice"
  live=$(call GET "$path?pretty=false") || {{ echo "$live"; exit 1; }}
  case $live in *"\\"stateful.kube/declared\\":\\"$DECLARED\\""*) ;;
    *) echo 'Declared anew meanwhile: left to the next run.'; exit 0 ;; esac
  version=$(printf %s "$live" | sed -n 's/.*"resourceVersion":"\\([0-9]*\\)".*/\\1/p')
  body=$(printf %s "$body" | sed "s/@version@/$version/$edit")
  path="$path?fieldManager={FIELD_MANAGER}&force=true&fieldValidation=Strict"
  said=$(call PATCH "$path" "$body") || {{ echo "$said"; exit 1; }}
done
[ $up = 1 ]
"""


@dataclasses.dataclass(frozen=True)
class Answer:
    """What one address said; ``text`` is empty where it serves."""

    address: str
    text: str = ""

    @property
    def up(self) -> bool:
        return not self.text


def variables(probe: Probe, addresses: t.Sequence[str]) -> dict[str, str]:
    """What the scripts take from their environment."""
    return {
        "ADDRESSES": " ".join(addresses),
        "PORT": str(probe.port),
        "LIMIT": str(probe.timeout),
        "ASK": probe.path,
        "TALK": TALK[probe.type],
    }


def read_answers(text: str, addresses: t.Sequence[str]) -> t.Union[tuple[Answer, ...], str]:
    """The answer of each address, or (a text) why there is none: the script could not do its work."""
    words: dict[str, str] = {}
    for line in text.splitlines():
        number, _space, said = line.partition(" ")
        if number == UNUSABLE:
            return said
        words[number] = said
    if set(words) != {str(number) for number in range(len(addresses))}:
        return f"it gave {len(words)} answers for {len(addresses)} addresses"
    return tuple(
        Answer(address, "" if words[str(number)] == "up" else words[str(number)] or "no answer")
        for number, address in enumerate(addresses)
    )
