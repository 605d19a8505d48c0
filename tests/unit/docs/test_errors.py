# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/errors.md quotes what the source says, and leaves no message out.

In the catalogue a bold code span is the fixed part of a message, with … for what differs each time. The messages of the
source are read in the same form: from Python by its syntax tree, from templates and tasks as text.
"""

from __future__ import annotations

import ast
import functools
import pathlib
import re
import typing as t

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
CATALOGUE = ROOT / "docs" / "errors.md"
# The plugins, and what else has messages in the catalogue.
FOLDERS = ("plugins", "tools", "tests/lab/lab")
VARIES = "…"

# What ends a task, or is told when its time is up.
OUTCOMES = ("Failure", "Overrun", "Refusal", "ApiError", "Unreachable", "NotYet", "MissingLibrary")

# Outcomes whose message is not written where they are raised: why, and the function that writes it.
ELSEWHERE = {
    "message": ("the API server's own words, under their own heading in the catalogue", None),
    "plan.sentence()": ("a Refusal, which is looked at where it is made", None),
    "fight": ("every field that somebody else manages", "conflict_sentence"),
    "without_values(_apply_error(key, error), self.declared[key])": ("the API server refused it", "_apply_error"),
    "missing_secret(self.target)": ("said in two places", "missing_secret"),
    "missing_secret(target)": ("the same", "missing_secret"),
    "'kubernetes'": ("the class writes the sentence itself", "MissingLibrary"),
    "'pymongo'": ("the class writes the sentence itself", "MissingLibrary"),
    "'PyMySQL'": ("the class writes the sentence itself", "MissingLibrary"),
    "'minio'": ("the class writes the sentence itself", "MissingLibrary"),
    "'cryptography'": ("the class writes the sentence itself", "MissingLibrary"),
}
WRITERS = {name for _why, name in ELSEWHERE.values() if name}
# Messages that are left out of the catalogue.
LEFT_OUT = {
    "unreachable code": "it satisfies a type checker and is never raised",
    "… is gone": "too little to look for; it comes behind `while waiting`, and the catalogue speaks of that",
    "…: …; next: …": "the words of mongod alone; they come behind `while waiting` as well",
}


def rendered(node: ast.AST) -> t.Optional[str]:
    """A text as the catalogue writes it, or None where it is no literal."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else VARIES for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = rendered(node.left), rendered(node.right)
        return None if left is None and right is None else (left or VARIES) + (right or VARIES)
    return None


def template_text(text: str) -> str:
    """Text of Jinja in the same form."""
    text = re.sub(r"{%.*?%}|{#.*?#}", "", text, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"{{.*?}}", VARIES, text, flags=re.DOTALL))


class Python(t.NamedTuple):
    """What is looked at. The trees it is found in are let go: that much in memory slows down every other test."""

    #: every text that may be a message
    texts: list[str]
    #: where an outcome is made in plugins, and its message
    raised: list[tuple[str, ast.expr]]
    #: what writes messages for others
    writers: list[t.Union[ast.FunctionDef, ast.ClassDef]]
    #: classes of plugins that are made of an outcome
    derived: set[str]


def no_messages(nodes: list[ast.AST]) -> set[ast.AST]:
    """Docstrings, and what ansible-doc shows."""
    shown = ("DOCUMENTATION", "EXAMPLES", "RETURN")
    return {
        node.value
        for node in nodes
        if isinstance(node, ast.Expr) or (isinstance(node, ast.Assign) and name_of(node.targets[0]) in shown)
    }


def name_of(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


@functools.cache
def python() -> Python:
    found = Python([], [], [], set())
    for path in (path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        left_out = no_messages(nodes)
        found.texts.extend(text for node in nodes if node not in left_out and (text := rendered(node)))
        if path.is_relative_to(ROOT / FOLDERS[0]):
            look_at(str(path.relative_to(ROOT)), nodes, found)
    return found


def look_at(path: str, nodes: list[ast.AST], found: Python) -> None:
    for node in nodes:
        if isinstance(node, ast.Call) and node.args and name_of(node.func) in OUTCOMES:
            found.raised.append((f"{path}:{node.lineno}", node.args[0]))
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name in WRITERS:
            found.writers.append(node)
        if isinstance(node, ast.ClassDef) and {name_of(base) for base in node.bases} & set(OUTCOMES):
            found.derived.add(node.name)


@functools.cache
def source() -> str:
    """Every text of the source that may be a message, one a line."""
    texts = list(python().texts)
    for folder in ("roles", "playbooks"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".yml", ".j2", ".sh") and path.parent.name != "meta":
                texts.append(template_text(path.read_text(encoding="utf-8")))
    return "\n".join(text.replace("\n", " ") for text in texts)


@functools.cache
def fragments() -> tuple[str, ...]:
    found = re.findall(r"\*\*(`+)(.+?)\1\*\*", CATALOGUE.read_text(encoding="utf-8"))
    return tuple(text.strip() for _ticks, text in found)


@functools.cache
def speaking() -> tuple[str, ...]:
    """Two words, such as `has failed`, are worth a place in the catalogue, and too few to speak for a whole message."""
    return tuple(fragment for fragment in fragments() if words(fragment) > 2)


def written_by(name: str) -> list[str]:
    """The sentences of a function that writes a message, or of a class that has it."""
    found = []
    for node in python().writers:
        if node.name != name:
            continue
        if isinstance(node, ast.FunctionDef):
            inside: list[t.Optional[ast.expr]] = [part.value for part in ast.walk(node) if isinstance(part, ast.Return)]
        else:
            inside = [part.args[0] for part in ast.walk(node) if isinstance(part, ast.Call) and part.args]
        found += [text for part in inside if part and words(text := rendered(part) or "") > 2]
    return found


def sentences_of_roles() -> t.Iterator[tuple[str, str]]:
    """What roles and playbooks refuse: the lines of their templates, and the tasks that fail."""
    for path in sorted((ROOT / "roles").glob("*/templates/*problems.j2")):
        text = re.sub(r"{[%#].*?[%#]}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        yield from ((path.name, template_text(line)) for line in text.splitlines() if line.strip())
    for path in sorted([*(ROOT / "roles").glob("*/tasks/*.yml"), *(ROOT / "playbooks").glob("*.yml")]):
        for task in tasks(yaml.safe_load(path.read_text(encoding="utf-8"))):
            yield f"{path.parent.name}/{path.name}", template_text(task["ansible.builtin.fail"]["msg"])


def tasks(part: t.Any) -> t.Iterator[dict[str, t.Any]]:
    if isinstance(part, list):
        for one in part:
            yield from tasks(one)
    elif isinstance(part, dict):
        if "ansible.builtin.fail" in part:
            yield part
        for value in part.values():
            yield from tasks(value)


def words(text: str) -> int:
    return len(re.findall(r"[A-Za-z]{2,}", text))


def has_entry(message: str) -> bool:
    return any(fragment in message for fragment in speaking())


def test_a_fragment_is_long_enough_to_mean_something() -> None:
    assert len(fragments()) > 50
    assert [fragment for fragment in fragments() if words(fragment) < 2] == []


def test_no_fragment_is_quoted_twice() -> None:
    assert sorted(fragments()) == sorted(set(fragments()))


def test_every_fragment_is_in_the_source() -> None:
    assert [fragment for fragment in fragments() if fragment not in source()] == []


def test_every_outcome_of_the_plugins_has_an_entry() -> None:
    lost = []
    for place, message in python().raised:
        if ast.unparse(message) in ELSEWHERE:
            continue
        text = rendered(message)
        if text is None:
            lost.append(f"{place}: {ast.unparse(message)} is no literal")
        elif not has_entry(text) and text not in LEFT_OUT:
            lost.append(f"{place}: {text}")
    assert lost == []


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_what_is_written_elsewhere_has_an_entry_too(name: str) -> None:
    written = written_by(name)
    assert written
    assert [text for text in written if not has_entry(text)] == []


def test_no_class_of_outcomes_is_forgotten() -> None:
    assert python().derived - set(OUTCOMES) == set()


def test_the_lists_of_this_test_are_needed() -> None:
    expressions = {ast.unparse(message) for _place, message in python().raised}
    assert set(ELSEWHERE) - expressions == set()
    assert set(LEFT_OUT) - {rendered(message) for _place, message in python().raised} == set()


def test_every_refusal_of_a_role_or_playbook_has_an_entry() -> None:
    found = list(sentences_of_roles())
    assert {"problems.j2", "tasks/kind.yml", "playbooks/remove.yml"} <= {place for place, _text in found}
    computed = ("…",)  # the sentences of the templates, handed on
    assert [(place, text) for place, text in found if text.strip() not in computed and not has_entry(text)] == []
