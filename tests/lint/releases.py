#!/usr/bin/env python3
"""What docs/PRIVACY.md says leaves a site is what the wire lets leave: the rows of its table "Field by field"
are compared with the table of kinds in common/wire/fields.c, for every kind that a site may send (numbers 1 to 15
of the enum, and 32 to 47, which go both ways). A new field of a message has no price until somebody writes it down.

usage: releases.py PRIVACY.md fields.c message.proto
"""
import re
import sys

SENT = (range(1, 16), range(32, 48))


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def groups_of(fields):
    """{"TENSOR": {"tensor", "tensor_bytes"}, ...}, from the macros over WIRE_BIT."""
    found = {}
    for name, body in re.findall(r"#define (\w+)[ \t]+((?:.*\\\n)*.*WIRE_BIT\(.*)", fields):
        found[name] = {bit.lower() for bit in re.findall(r"WIRE_F_(\w+)", body)}
    return found


def on_the_wire(fields, proto):
    """{kind: set of fields}, for kinds that a site sends, without the envelope."""
    sent = {name for name, number in re.findall(r"KIND_(\w+) = (\d+);", proto)
            if any(int(number) in numbers for numbers in SENT)}
    groups, kinds = groups_of(fields), {}
    for kind, lists in re.findall(r'\{WIRE_\w+,\s*"(\w+)",\s*([^}]*)\}', fields):
        if kind in sent:
            kinds[kind] = set().union(*(groups[g] for g in re.findall(r"[A-Z_]+", lists)))
    kinds["every message"] = groups["ENVELOPE"] | {"version", "signature"}
    missing = sent - kinds.keys()
    if not kinds or missing:
        raise SystemExit(f"releases.py: cannot read the kinds {sorted(missing)} in fields.c")
    return kinds


def in_the_docs(text):
    """{kind: {field: line}} and the faults of the table itself."""
    section = re.search(r"(?m)^### Field by field\n(.*?)(?=^#)", text, re.S)
    if not section:
        raise SystemExit("releases.py: docs/PRIVACY.md has no section 'Field by field'")
    first = text[:section.start(1)].count("\n") + 1
    said, faults = {}, []
    for at, line in enumerate(section[1].splitlines()):
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        if not line.startswith("|") or len(cells) != 4 or cells[0] in ("message", "---"):
            continue
        if not cells[2] or not cells[3]:
            faults.append(f"docs/PRIVACY.md:{first + at}: a release without what it tells, or without its price")
        for kind in cells[0].split(", "):
            for field in cells[1].split(", "):
                said.setdefault(kind, {})[field] = first + at
    return said, faults


def main():
    privacy, fields, proto = (read(path) for path in sys.argv[1:4])
    wire = on_the_wire(fields, proto)
    said, faults = in_the_docs(privacy)
    for kind in sorted(wire.keys() | said.keys()):
        for field in sorted(wire.get(kind, set()) - said.get(kind, {}).keys()):
            faults.append(f"docs/PRIVACY.md: {kind} carries {field}, which no row of 'Field by field' names")
        for field, line in said.get(kind, {}).items():
            if field not in wire.get(kind, set()):
                faults.append(f"docs/PRIVACY.md:{line}: {kind} does not carry {field}")
    print("\n".join(faults), end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
