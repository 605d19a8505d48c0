# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs that run side by side: tests on a cluster mostly wait for pods, so that two take hardly longer than one."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import pathlib
import re
import subprocess
import tempfile
import time
import typing as t

# Of a failed job, shown once more at the end of all.
TAIL = 60
# A task that waits says so once a try, and with a word that whoever looks for what has failed looks for.
_AGAIN = re.compile(r"^FAILED - RETRYING: .*\n", re.MULTILINE)


def at_once() -> None:
    """Nothing has to be there first."""


@dataclasses.dataclass(frozen=True)
class Job:
    name: str
    command: t.Sequence[str]
    folder: pathlib.Path
    environment: t.Mapping[str, str]
    #: returns when what the job needs is there, or raises
    wait: t.Callable[[], object] = at_once


def run(what: str, jobs: t.Sequence[Job], alone: t.Collection[str], at_a_time: int) -> list[str]:
    """Run all jobs, in this order, and go on after a failure; the names of those that failed.

    Those named in ``alone`` come first, with nothing beside them. The output of a job is shown when it has ended, in
    one piece; that of a single one as it comes. The ends of those that failed are shown once more, after all others.
    """
    failed = _group(what, [job for job in jobs if job.name in alone], 1)
    failed |= _group(what, [job for job in jobs if job.name not in alone], at_a_time)
    for name, output in failed.items():
        # That of a single one has just been seen.
        lines = output.splitlines()
        if not lines:
            continue
        print(f"\n--- the last {min(TAIL, len(lines))} lines of {what} {name}, which FAILED")
        print(*lines[-TAIL:], sep="\n", flush=True)
    return list(failed)


def _group(what: str, jobs: t.Sequence[Job], at_a_time: int) -> dict[str, str]:
    failed = {}
    with concurrent.futures.ThreadPoolExecutor(max_workers=at_a_time) as pool:
        running = {pool.submit(_one, job, len(jobs) == 1): job.name for job in jobs}
        for done in concurrent.futures.as_completed(running):
            status, seconds, output = done.result()
            name = running[done]
            output = _AGAIN.sub("", output)
            if status:
                failed[name] = output
            print(f"\n--- {what} {name}\n{output}", end="")
            print(f"--- {name}: {'FAILED' if status else 'ok'} after {seconds:.0f} s", flush=True)
    return failed


def _one(job: Job, show: bool) -> tuple[int, float, str]:
    job.wait()
    begun = time.monotonic()
    with tempfile.TemporaryFile("w+", errors="replace") as kept:
        into = None if show else kept
        done = subprocess.run(
            job.command,
            cwd=job.folder,
            env=job.environment,
            stdin=subprocess.DEVNULL,
            stdout=into,
            stderr=into,
            check=False,
        )
        kept.seek(0)
        return done.returncode, time.monotonic() - begun, kept.read()
