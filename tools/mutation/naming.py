"""The name of a change of sse.py: the function, and the expression before and after.

Comments, line breaks and what else stands in the line or the file do not matter to it.
"""

import ast


def change(before, after):
    """("Class.function", "len(x) < 64", "len(x) <= 64") of two sources that differ in one place."""
    # A parent with the nodes that differ, from the whole module down.
    pairs, path = [(ast.parse(before), ast.parse(after))], []
    while pairs[-1] is not None:
        was, now = pairs[-1]
        if isinstance(was, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            path.append(was.name)
        pairs.append(differing(was, now))
    chosen = [pair for pair in pairs[:-1] if readable(pair[0]) and readable(pair[1])][-1]
    return (".".join(path), text(chosen[0]), text(chosen[1]))


def differing(was, now):
    """The one child in which two nodes differ, or None if they differ in more, or themselves."""
    if type(was) is not type(now):
        return None
    found = []
    for (field, old), (_, new) in zip(ast.iter_fields(was), ast.iter_fields(now)):
        old, new = [value if isinstance(value, list) else [value] for value in (old, new)]
        if len(old) != len(new):
            return None
        for pair in zip(old, new):
            if not all(isinstance(node, ast.AST) for node in pair):
                if pair[0] != pair[1]:
                    return None
            elif ast.dump(pair[0]) != ast.dump(pair[1]):
                found.append(pair)
    return found[0] if len(found) == 1 else None


def readable(node):
    """Whether it says by itself what was changed: an operator, a name or a number does not."""
    return isinstance(node, (ast.expr, ast.stmt, ast.arguments, ast.ExceptHandler)) and not (
        isinstance(node, (ast.Name, ast.Constant)))


def text(node):
    """Its source in one line; of a function or a loop, the first."""
    lines = ast.unparse(node).splitlines()
    return " ".join(lines) if isinstance(node, ast.expr) else lines[0]
