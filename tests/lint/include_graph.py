#!/usr/bin/env python3
"""The include graph is what docs/ARCHITECTURE.md says. Fails on

- an #include of a folder that the includer's row does not list, and a cycle in the table itself;
- a library header away from its home (HOME), or one that has none;
- common/base/replay.h outside sim/ and tests/; anything that includes tests/, or an app/ and is no benchmark;
- another folder's *_internal.h; a .c file whose own header is not its first include;
- a folder with C files that the table does not list.

usage: include_graph.py ARCHITECTURE.md ROOT
"""
import os
import re
import sys

TREES = ("proto", "common", "agent", "aggregator", "sim", "tests")

HOME = {  # pattern of a library header -> folders that may include it (tests may include any)
    r"zmq(_utils)?\.h": ("common/net",),
    r"sqlite3(ext)?\.h": ("common/store",),
    r"sodium(/.*)?\.h": ("common/base", "common/seal", "common/mask"),
    r"(cblas|f77blas|openblas/.*|.*lapack.*)\.h": ("common/kernel",),
    r"yaml\.h": ("common/config",),
    r"(csv|zlib|png)\.h": ("common/cohort",),
    r"jansson(_config)?\.h": ("agent/app", "aggregator/app", "sim/app", "sim/report", "common/checkpoint"),
    r"argp\.h": ("common/base", "agent/app", "aggregator/app", "sim/app"),
    r"mpi\.h": ("sim/sweep",),
    r"(seccomp|linux/.*)\.h": ("agent/sandbox",),
    r"cmocka\.h": (),
    r"(protobuf-c/.*|.*\.pb-c)\.h": ("common/wire",),
    r"malloc\.h": ("common/base",),
    r"sanitizer/.*\.h": ("common/base",),
}
SYSTEM = set("""assert complex ctype errno fenv float inttypes limits locale math setjmp signal stdalign stdarg
    stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar wchar wctype
    dirent fcntl fnmatch ftw glob iconv langinfo libgen netdb poll pthread pwd regex sched semaphore spawn
    strings sysexits syslog termios unistd""".split())


def table(text):
    """Folder -> words of its row's third column, for each row of the section "Folders"."""
    rows = {}
    section = re.search(r"^## Folders.*?(?=^## |\Z)", text, re.M | re.S)
    for line in section[0].splitlines() if section else ():
        row = re.match(r"^\|\s*([a-z0-9]+(?:/[a-z0-9]+)+)\s*\|.*\|([^|]*)\|\s*$", line)
        if row:
            rows[row[1]] = row[2].strip()
    return rows


def expand(folder, words, rows):
    """The folders that one row allows. A bare name is common/NAME first, else a neighbour's."""
    def below(tree):  # an app is a program: nobody includes it
        return {f for f in rows if f.startswith(tree) and not f.endswith("/app")} - {folder}

    if words in ("—", "-", ""):
        return set()
    if words == "all":
        return below("")
    out = set()
    words = re.sub(r"\{[^}]*\}", lambda braces: braces[0].replace(" ", ""), words)
    for word in re.split(r",?\s+", re.sub(r"^all of ", "", words)):
        braces = re.fullmatch(r"([a-z0-9]+)/\{([a-z0-9,]+)\}", word)
        if word == "and":
            continue
        if braces:
            names = {f"{braces[1]}/{name}" for name in braces[2].split(",")}
        elif any(f.startswith(word + "/") for f in rows) and word in TREES:
            names = below(word + "/")
        elif f"common/{word}" in rows:
            names = {f"common/{word}"}
        elif f"{folder.split('/')[0]}/{word}" in rows:
            names = {f"{folder.split('/')[0]}/{word}"}
        else:
            names = {word}
        for name in names - set(rows):
            raise SystemExit(f"ARCHITECTURE.md: row {folder}: no folder '{name}' in the table")
        out |= names
    return out


def allowed_edges(text):
    rows = table(text)
    return {folder: expand(folder, words, rows) for folder, words in rows.items()}


def cycle(edges):
    done, path = set(), []

    def visit(folder):
        if folder in path:
            return path[path.index(folder):] + [folder]
        if folder in done:
            return None
        path.append(folder)
        found = next(filter(None, map(visit, sorted(edges[folder]))), None)
        path.pop()
        done.add(folder)
        return found

    return next(filter(None, map(visit, sorted(edges))), None)


def home_of(path, edges):
    """The table's folder that a file or folder of ours belongs to: the longest that is a prefix."""
    parts = path.split("/")
    for n in range(len(parts), 0, -1):
        if "/".join(parts[:n]) in edges:
            return "/".join(parts[:n])
    return None


def sources(root):
    for tree in TREES:
        for at, folders, names in os.walk(os.path.join(root, tree)):
            folders.sort()
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    yield os.path.relpath(os.path.join(at, name), root)


def faults_of_file(path, edges, root):
    is_test = path.startswith("tests/")
    folder = "tests" if is_test else home_of(os.path.dirname(path), edges)
    if folder is None:
        yield f"{path}: folder {os.path.dirname(path)} is not in the table of ARCHITECTURE.md"
        return
    own = path[:-2] + ".h"
    expect_own = path.endswith(".c") and os.path.exists(os.path.join(root, own))
    with open(os.path.join(root, path), encoding="utf-8") as f:
        lines = f.read().split("\n")
    for number, line in enumerate(lines, 1):
        if not re.match(r"\s*(?:#|%:)\s*include\b", line):
            continue
        where = f"{path}:{number}"
        include = re.match(r'\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)\s*(?:/[/*].*)?$', line)
        if not include:
            yield f"{where}: an include must name its file plainly"
            continue
        ours, library = include.groups()
        name = ours or library
        if expect_own and name != own:
            yield f"{where}: the first include must be \"{own}\""
        expect_own = False

        homes = next((h for p, h in HOME.items() if re.fullmatch(p, name)), None)
        if homes is not None:
            if not is_test and folder not in homes:
                yield f"{where}: <{name}> belongs in {', '.join(homes) or 'tests'}"
        elif library:
            if library.split("/")[0] in TREES:
                yield f"{where}: our own headers are included with quotes"
            elif not (library[:-2] in SYSTEM or re.match(r"(sys|netinet|arpa|net)/", library)):
                yield f"{where}: library header <{library}> has no home; give it one in include_graph.py"
        else:
            yield from faults_of_ours(where, folder, ours, is_test, edges, root)


def faults_of_ours(where, folder, ours, is_test, edges, root):
    if not os.path.isfile(os.path.join(root, ours)):
        yield f"{where}: \"{ours}\" is not a file seen from the repository's root"
        return
    target = "tests" if ours.startswith("tests/") else home_of(os.path.dirname(ours), edges)
    if target == folder:
        return
    if target is None:
        yield f"{where}: \"{ours}\" is in no folder of the table"
    elif target.endswith("/app") and not where.startswith("tests/bench/"):  # made of its sources
        yield f"{where}: nothing may include {target}"
    elif not is_test and target not in edges[folder]:
        yield f"{where}: {folder} may not include {target}"
    if ours.endswith("_internal.h") and not is_test:
        yield f"{where}: {ours} is internal to {target}"
    if ours == "common/base/replay.h" and not is_test and not folder.startswith("sim/"):
        yield f"{where}: replayable noise protects nobody: only sim/ and tests/ may include it"


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        edges = allowed_edges(f.read())
    root = sys.argv[2]
    files = list(sources(root))
    found = [fault for path in files for fault in faults_of_file(path, edges, root)]
    loop = cycle(edges)
    if loop:
        found.append("ARCHITECTURE.md: cycle: " + " -> ".join(loop))
    if not edges or not files:
        found.append("nothing to check: no table of folders, or no C file")
    print("\n".join(found) or f"include graph: {len(files)} files in {len(edges)} folders, no fault")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
