# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``make check`` and ``make test``: run every part, go on after a failure, count, and end with one line of totals.

Each part is a target of the Makefile. Its output is kept in build/logs/PART.log.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
import typing as t

import tree

LOGS = tree.ROOT / "build" / "logs"
# Of a failed part, shown once more at the end of all.
TAIL = 70
STARTED = time.monotonic()
# Each part is a make of its own, which must not take orders that were meant for the one that runs this.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}}


@dataclasses.dataclass
class Count:
    """How many checks or tests a part consisted of."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0


@dataclasses.dataclass(frozen=True)
class Part:
    """A target of the Makefile, and how many minutes it may take before it counts as hanging."""

    target: str
    minutes: int
    count: t.Callable[[str], Count]


@dataclasses.dataclass(frozen=True)
class Outcome:
    part: Part
    status: int
    seconds: float
    count: Count


def _one(_log: str) -> Count:
    """A part that is a single check: whether it passed is its exit code."""
    return Count()


def _totals(log: str) -> Count:
    """The closing line of pytest, or that of our own runners: both say `N passed` and `N failed`."""
    closing = [line for line in log.splitlines() if re.search(r"\b\d+ (passed|failed|errors?)\b", line)][-1:]
    count = Count()
    for number, word in re.findall(r"(\d+) (passed|failed|error|skipped)", "".join(closing)):
        name = "failed" if word == "error" else word
        setattr(count, name, getattr(count, name) + int(number))
    return count


def _sanity(log: str) -> Count:
    """ansible-test names each sanity test as it starts it, and the failed ones at the end."""
    started = len(re.findall(r"^Running sanity test ", log, re.MULTILINE))
    not_run = len(re.findall(r"^WARNING: Required program ", log, re.MULTILINE))
    # For Python versions that this machine does not have.
    skipped = len(re.findall(r"^WARNING: Skipping sanity test ", log, re.MULTILINE))
    failed = re.search(r"^FATAL: The (\d+) sanity test", log, re.MULTILINE)
    failures = int(failed[1]) if failed else 0
    return Count(started - not_run - failures, failures, skipped + not_run)


# The longest first, so that two at a time end together.
CHECKS = (
    Part("unit", 10, _totals),
    Part("sanity", 10, _sanity),
    Part("ansible-lint", 5, _one),
    Part("mypy", 5, _one),
    Part("lab-check", 5, _totals),
    Part("faults-check", 5, _totals),
    Part("docs", 5, _one),
    Part("changelog", 2, _one),
    Part("ruff", 2, _one),
)
LAB = Part("lab", 30, _one)
ON_A_CLUSTER = (
    Part("integration", 45, _totals),
    Part("molecule", 40, _totals),
    Part("faults-short", 15, _totals),
    # Last, because it gives the lab more nodes and takes them away again.
    Part("nodes", 15, _totals),
)


def run(part: Part, show: bool) -> Outcome:
    """Run a part; show its output as it comes, or only keep it."""
    begun = time.monotonic()
    log = LOGS / f"{part.target}.log"
    with log.open("wb") as kept:
        process = subprocess.Popen(
            ["make", "-s", part.target],
            cwd=tree.ROOT,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdout is not None  # noqa: S101 (for the type checker)
        watchdog = concurrent.futures.ThreadPoolExecutor(max_workers=1)
        late = watchdog.submit(_end_when_late, process, part)
        try:
            while chunk := os.read(process.stdout.fileno(), 65536):
                kept.write(chunk)
                if show:
                    sys.stdout.buffer.write(chunk)
                    sys.stdout.buffer.flush()
            status = process.wait()
        except BaseException:
            _end(process)
            raise
        finally:
            watchdog.shutdown()
        if late.result():
            status = status or 1
            kept.write(f"\nEnded after {part.minutes} minutes: it hangs, or the machine is far too slow.\n".encode())
    count = part.count(log.read_text(encoding="utf-8", errors="replace"))
    # The exit code has the last word: a part that counts no failure may still have failed, and the other way round.
    if status and not count.failed:
        count.failed = 1
    elif not status and not (count.passed or count.failed or count.skipped):
        count.passed = 1
    return Outcome(part, status, time.monotonic() - begun, count)


def _end_when_late(process: subprocess.Popen[bytes], part: Part) -> bool:
    try:
        process.wait(timeout=part.minutes * 60)
    except subprocess.TimeoutExpired:
        _end(process)
        return True
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def say(text: str) -> None:
    print(f"[{time.monotonic() - STARTED:5.0f} s] {text}", flush=True)


def verdict(outcome: Outcome, shown: bool) -> None:
    count = outcome.count
    numbers = f"{count.passed} passed, {count.failed} failed" + (f", {count.skipped} skipped" if count.skipped else "")
    word = "FAILED" if outcome.status or count.failed else "ok"
    say(f"{outcome.part.target}: {word} after {outcome.seconds:.0f} s ({numbers})")
    if word == "FAILED" and not shown:
        print((LOGS / f"{outcome.part.target}.log").read_text(encoding="utf-8", errors="replace"), flush=True)


def checks() -> list[Outcome]:
    say(f"checks without a cluster, two at a time: {', '.join(part.target for part in CHECKS)}")
    outcomes = []
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for done in concurrent.futures.as_completed([pool.submit(run, part, False) for part in CHECKS]):
            outcomes.append(done.result())
            verdict(outcomes[-1], shown=False)
    return outcomes


def in_sight(part: Part) -> Outcome:
    say(f"=== {part.target}")
    outcome = run(part, show=True)
    verdict(outcome, shown=True)
    return outcome


def on_a_cluster() -> list[Outcome]:
    outcomes = []
    if not os.environ.get("KUBECONFIG"):
        outcomes.append(in_sight(LAB))
        if outcomes[0].status:
            names = ", ".join(part.target for part in ON_A_CLUSTER)
            say(f"There is no cluster: {names} were not run and count as failed.")
            return outcomes + [Outcome(part, 1, 0, Count(failed=1)) for part in ON_A_CLUSTER]
    outcomes += [in_sight(part) for part in ON_A_CLUSTER]
    if os.environ.get("CI") and outcomes[0].part is LAB:
        # Nobody works on this machine afterwards. What was built stays for the next run.
        subprocess.run(["make", "-s", "lab-down"], cwd=tree.ROOT, env=ENVIRONMENT, check=False)
    return outcomes


def close(outcomes: t.Sequence[Outcome]) -> int:
    """Print the ends of what failed, the table and the totals, alone on the last line; return the exit code."""
    for outcome in outcomes:
        log = LOGS / f"{outcome.part.target}.log"
        if outcome.status and log.exists():
            print(f"\n=== the end of {outcome.part.target}, which FAILED")
            print(*log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL:], sep="\n")
    print(f"\n{'part':14}{'verdict':10}{'seconds':>8}{'passed':>8}{'failed':>8}{'skipped':>9}")
    total = Count()
    for outcome in outcomes:
        count = outcome.count
        word = "FAILED" if outcome.status or count.failed else "ok"
        print(
            f"{outcome.part.target:14}{word:10}{outcome.seconds:8.0f}{count.passed:8}{count.failed:8}{count.skipped:9}"
        )
        total.passed += count.passed
        total.failed += count.failed
        total.skipped += count.skipped
    print(f"Logs: {LOGS.relative_to(tree.ROOT)}. In all {time.monotonic() - STARTED:.0f} s.\n")
    tail = f", {total.skipped} skipped" if total.skipped else ""
    print(f"{total.passed} passed, {total.failed} failed{tail}", flush=True)
    return 1 if total.failed or any(outcome.status for outcome in outcomes) else 0


def main(what: str) -> int:
    LOGS.mkdir(parents=True, exist_ok=True)
    # A part that is not reached this time has none.
    for log in LOGS.glob("*.log"):
        log.unlink()
    outcomes = checks()
    if what == "test":
        outcomes += on_a_cluster()
    return close(outcomes)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1]))
    except KeyboardInterrupt:
        sys.exit(130)
