#!/usr/bin/env python3
"""Some C functions are called only where the house rules allow it. Each rule below has its reason.
Comments and string literals are ignored; the enclosing function is found by the shape that
clang-format gives every definition.

usage: calls.py ROOT
"""
import os
import re
import sys

TREES = ("common", "agent", "aggregator", "sim", "tests")
PURE = ("common/kernel", "common/dp", "agent/session", "aggregator/round", "aggregator/merge")

# (pattern of the call, where it is forbidden, which enclosing functions are excused, why)
RULES = (
    (r"malloc|calloc|realloc|aligned_alloc|strdup|strndup|v?asprintf|getline",
     lambda f: f.startswith(PURE), r"\w+_open",
     "memory comes from an arena here; the heap is for x_open functions"),
    (r"s?rand|rand_r|s?random|[dlm]rand48",
     lambda f: True, None, "struct rng for what is replayed, struct entropy for what is secret"),
    (r"strcpy|strcat|v?sprintf|gets|alloca|strtok|ato[ifl]|atoll",
     lambda f: True, None, "no bound, no error, or hidden state"),
    (r"time|clock|clock_gettime|gettimeofday|localtime|sleep|usleep|nanosleep",
     lambda f: not f.startswith(("common/base/clock.c", "tests/bench/", "tests/integration/")), None,
     "machines and tests are told the time; programs ask common/base/clock.h"),
    (r"exit|quick_exit",
     lambda f: not f.startswith("tests/") and "/app/" not in f, None, "libraries return, only app/ decides to end"),
    (r"printf|puts|putchar|perror|v?fprintf\s*\(\s*(?:stderr|stdout)\b|fputs\s*\([^;]*\b(?:stderr|stdout)",
     lambda f: f.startswith(("common/", "agent/", "aggregator/")) and "/app/" not in f and
     f not in ("common/base/arena.c", "common/base/words.c"),
     None, "libraries return their errors; only app/ prints"),
    (r"seal_keys_of_name",
     lambda f: not f.startswith(("sim/", "tests/", "common/seal/")), None, "whoever knows the name has these keys"),
)


def bare(text):
    """The program text with comments and the insides of literals blanked, lines kept."""
    def blank(found):
        return re.sub(r"[^\n]", " ", found[0])
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def faults_of_file(path, text):
    function = ""
    for number, line in enumerate(bare(text).split("\n"), 1):
        definition = re.match(r"[A-Za-z_][\w\s*]*?\b(\w+)\(", line)
        if definition:
            function = definition[1]
            continue
        for pattern, forbidden, excused, why in RULES:
            if not forbidden(path) or (excused and re.fullmatch(excused, function)):
                continue
            call = re.search(rf"(?<![\w.>])(?:{pattern})(?:\s*\(|(?<=stderr)|(?<=stdout))", line)
            if call:
                yield f"{path}:{number}: {call[0].split('(')[0].strip()} in {function or 'no function'}: {why}"


def main():
    root, count, found = sys.argv[1], 0, []
    for tree in TREES:
        for at, folders, names in os.walk(os.path.join(root, tree)):
            folders.sort()
            for name in sorted(n for n in names if n.endswith((".c", ".h"))):
                full = os.path.join(at, name)
                with open(full, encoding="utf-8") as f:
                    found += faults_of_file(os.path.relpath(full, root), f.read())
                count += 1
    if count == 0:
        found.append("nothing to check: no C file")
    print("\n".join(found) or f"calls: {count} files, no fault")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
