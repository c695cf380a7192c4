"""Everything that the program says, taken from its source: templates of errors, log lines and other texts."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from tests import REPOSITORY

PACKAGE = REPOSITORY / "tposecli"

LEVELS = ("debug", "info", "warning", "error", "exception")
SAYS = ("say", "echo", "print")
WORDS = 3
"""Words that a string needs to count as a text, and not as a key or a name."""

SILENT = ("docs/", "lab/synth/", "lab/bench/child.py", "inference/backends/kernels/")
"""Parts of the package that say nothing."""


@dataclass(frozen=True, slots=True)
class Message:
    """A text of the program.

    Attributes:
        place: File and line.
        kind: Name of the exception, ``log.LEVEL``, ``say``, or ``text`` for everything else that reads like a sentence:
            help, parts of messages, titles.
        text: The text; what is filled in stands in braces.
    """

    place: str
    kind: str
    text: str

    @property
    def is_error(self) -> bool:
        """Whether it is the message of an exception."""
        return self.kind[:1].isupper() or ("." in self.kind and not self.kind.startswith("log."))

    @property
    def is_log(self) -> bool:
        """Whether it is a log line."""
        return self.kind.startswith("log.")


def template(node: ast.expr) -> str:
    """Return a string or an f-string with its expressions in braces; "" if it is none."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else f"{{{_expression(part)}}}" for part in node.values
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = template(node.left), template(node.right)
        return f"{left or '{...}'}{right or '{...}'}" if left or right else ""
    return ""


def _expression(part: ast.expr) -> str:
    text = ast.unparse(part.value) if isinstance(part, ast.FormattedValue) else ""
    return text if len(text) <= 40 and "{" not in text and '"' not in text else "..."


def messages() -> list[Message]:
    """Return all texts of the package, by file and line."""
    found: list[Message] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if not name.startswith(SILENT):
            found += _of_file(name, ast.parse(path.read_text(encoding="utf-8")))
    return found


def _of_file(name: str, tree: ast.Module) -> list[Message]:
    found: list[Message] = []
    seen: set[int] = set()
    for node in ast.walk(tree):
        for kind, text_node in _said(node):
            text = template(text_node)
            seen |= {id(inner) for inner in ast.walk(text_node)}
            if text.strip():
                found.append(Message(f"{name}:{text_node.lineno}", kind, text))
    seen |= {id(inner) for docstring in _docstrings(tree) for inner in ast.walk(docstring)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr | ast.Constant) and id(node) not in seen:
            seen |= {id(inner) for inner in ast.walk(node)}
            text = template(node)
            if len(text.split()) >= WORDS:
                found.append(Message(f"{name}:{node.lineno}", "text", text))
    return sorted(found, key=lambda message: int(message.place.rpartition(":")[2]))


def _said(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yield what a statement raises, logs or prints."""
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
        yield ast.unparse(node.exc.func), node.exc.args[0]
    if isinstance(node, ast.Call) and node.args:
        function = ast.unparse(node.func)
        if function in {f"log.{level}" for level in LEVELS}:
            yield function, node.args[0]
        elif function.rpartition(".")[2] in SAYS:
            yield from (("say", argument) for argument in node.args)


def _docstrings(tree: ast.Module) -> Iterator[ast.expr]:
    """Yield the docstrings, those of attributes, too."""
    for node in ast.walk(tree):
        for statement in getattr(node, "body", ()) if not isinstance(node, ast.Lambda | ast.IfExp) else ():
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                yield statement.value
