#!/usr/bin/env python3
"""Every folder of the repository has a README.md that says something. Hidden folders, build folders and
the fuzz corpora (each file there is an input) are exempt, and so is a folder that only leads to another.
A sample that is a folder (configs/sites/heart) explains itself in its files.

usage: readmes.py ROOT
"""
import os
import sys

LEAST_WORDS = 12  # a heading alone explains nothing


def faults(root):
    for at, folders, names in os.walk(root):
        here = os.path.relpath(at, root)
        folders[:] = sorted(f for f in folders
                            if not f.startswith((".", "__")) and not os.path.exists(os.path.join(at, f, "CMakeCache.txt"))
                            and (here, f) != (".", "build") and os.path.join(here, f) != "tests/fuzz/corpus")
        is_sample = here.startswith("configs/") and here.count("/") >= 2
        if is_sample or (not names and len(folders) <= 1):
            continue
        readme = os.path.join(at, "README.md")
        if not os.path.isfile(readme):
            yield f"{here}: no README.md"
        elif len(open(readme, encoding="utf-8").read().split()) < LEAST_WORDS:
            yield f"{here}/README.md: says next to nothing"


def main():
    found = list(faults(sys.argv[1]))
    print("\n".join(found) or "readmes: every folder has one")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
