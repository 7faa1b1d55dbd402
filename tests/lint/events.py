#!/usr/bin/env python3
"""Every event of the log has a name of its own, so that a line seen in a hospital leads to one place in the
source. Names are read where log_event is called: literals, both sides of a condition, or the last text of
each row of a table that is used as `table[...].event`.

usage: events.py ROOT
"""
import os
import re
import sys

TREES = ("common", "agent", "aggregator", "sim")
TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|.', re.S)


def second_argument(text, start):
    """The second argument of the call whose parenthesis ends at `start`, and where it begins; None: none."""
    depth, commas, kept, where = 0, 0, "", None
    for token in TOKEN.finditer(text, start):
        piece = token[0]
        if piece.startswith(("/*", "//")):
            continue
        if piece == "," and depth == 0:
            commas += 1
            if commas == 2:
                break
            continue
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(piece, 0)
        if depth < 0:
            break
        if commas == 1:
            kept += piece
            where = token.start() if where is None and piece.strip() else where
    return (kept.strip(), where) if commas else None


def literals(text):
    return [(found[1], found.start()) for found in re.finditer(r'"((?:\\.|[^"\\\n])*)"', text)]


def rows(text, table):
    """(name, offset) of the last text in each row of a table defined in this file."""
    body = re.search(rf"\b{table}\[\w*\]\s*=\s*\{{(.*?)\n\}};", text, re.S)
    if not body:
        return []
    return [(row[1], body.start(1) + row.start(1)) for row in re.finditer(r'"([^"\n]*)"\s*\}', body[1])]


def names_of_file(text):
    """(name or None, offset) of each event; None: not a name that can be read here."""
    for call in re.finditer(r"(?m)^[ \t][^\n\"]*?\blog_event\s*\(", text):  # a definition stands at the margin
        argument = second_argument(text, call.end())
        if argument is None:
            continue
        words, where = argument
        table = re.fullmatch(r"(\w+)\[.*\]\.event", words, re.S)
        found = rows(text, table[1]) if table else [(name, where + at) for name, at in literals(words)]
        yield from found or [(None, call.start())]


def main():
    root, seen, found = sys.argv[1], {}, []
    for tree in TREES:
        for at, folders, files in os.walk(os.path.join(root, tree)):
            folders.sort()
            for file in sorted(n for n in files if n.endswith((".c", ".h"))):
                full = os.path.join(at, file)
                with open(full, encoding="utf-8") as f:
                    text = f.read()
                for name, offset in names_of_file(text):
                    number = text.count("\n", 0, offset) + 1
                    here = f"{os.path.relpath(full, root)}:{number}"
                    if name is None:
                        found.append(f"{here}: the name of this event cannot be read here: write it as a text")
                    elif not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
                        found.append(f"{here}: event '{name}': lower case, words joined by _")
                    elif name in seen:
                        found.append(f"{here}: event '{name}' is also logged at {seen[name]}")
                    else:
                        seen[name] = here
    print("\n".join(found) or f"events: {len(seen)} names, no fault")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
