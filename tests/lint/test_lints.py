#!/usr/bin/env python3
"""Each lint can fail: one small sound tree passes all of them, and every fault planted into it is found
and named. Run: python3 tests/lint/test_lints.py"""
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ENOUGH = "What this folder is for, what comes in and goes out, and how to test it.\n"

TABLE = """# Design
| program | who | what |
|---|---|---|
| one | two | three |

## Folders
| folder | what lives here | may include |
|---|---|---|
| common/base | ground | — |
| common/store | rows | base |
| common/dp | noise | base |
| agent/session | machine | base |
| agent/train | local | base dp session |
| agent/app | program | all of common and agent |
| sim/fleet | sites | agent/{session, train} and common |
| sim/app | program | all |

## After
| common/ghost | not in the section | all |
"""

SOUND = {
    "docs/ARCHITECTURE.md": TABLE,
    "common/base/error.h": "#include <stddef.h>\n",
    "common/base/error.c": '#include "common/base/error.h"\n\n#include <sodium.h>\n',
    "common/base/replay.h": '#include "common/base/error.h"\n',
    "common/store/store.h": '#include "common/base/error.h"\n',
    "common/store/store.c": '#include "common/store/store.h"\n#include <sqlite3.h> /* its home */\n',
    "common/dp/dp.h": '#include "common/base/error.h"\n',
    "common/dp/inner/clip.h": '#include "common/dp/dp.h"\n',
    "agent/session/session.h": "#include <stdint.h>\n",
    "agent/train/train.h": '#include "agent/session/session.h"\n#include "common/dp/inner/clip.h"\n',
    "agent/app/main.c": '#include "common/store/store.h"\n#include "agent/train/train.h"\n',
    "agent/app/app.h": "\n",
    "sim/fleet/fleet.h": '#include "agent/train/train.h"\n#include "common/base/replay.h"\n',
    "tests/unit/test_all.c": '#include <cmocka.h>\n#include <sqlite3.h>\n#include "sim/fleet/fleet.h"\n',
}


class Lints(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="wardround-lint-")
        self.root = self.folder.name
        for path, text in SOUND.items():
            self.put(path, text)
        for at, _, _ in os.walk(self.root):
            self.put(os.path.join(at, "README.md"), ENOUGH)

    def tearDown(self):
        self.folder.cleanup()

    def put(self, path, text):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as f:
            f.write(text)

    def add(self, path, text):
        self.put(path, SOUND.get(path, "") + text)

    def run_lint(self, name):
        arguments = [os.path.join(self.root, "docs/ARCHITECTURE.md")] if name == "include_graph" else []
        done = subprocess.run([sys.executable, "-B", os.path.join(HERE, name + ".py"), *arguments, self.root],
                              capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def refused(self, name, *words):
        code, said = self.run_lint(name)
        self.assertEqual(code, 1, said)
        for word in words:
            self.assertIn(word, said)

    def test_a_sound_tree_passes_all_lints(self):
        for name in ("include_graph", "readmes", "calls", "events"):
            code, said = self.run_lint(name)
            self.assertEqual(code, 0, said)

    # releases: on the real files, each changed in one place

    def released(self, path, old, new):
        root, copies = os.path.dirname(os.path.dirname(HERE)), []
        for name in ("docs/PRIVACY.md", "common/wire/fields.c", "proto/wardround/v1/message.proto"):
            with open(os.path.join(root, name), encoding="utf-8") as f:
                text = f.read()
            if name.endswith(path):
                self.assertIn(old, text)
                text = text.replace(old, new, 1)
            self.put("releases/" + name, text)
            copies.append(os.path.join(self.root, "releases", name))
        done = subprocess.run([sys.executable, "-B", os.path.join(HERE, "releases.py"), *copies],
                              capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def test_the_table_of_releases_as_it_is(self):
        self.assertEqual(self.released("PRIVACY.md", "", ""), (0, ""))

    def test_a_field_that_a_message_was_given_without_a_price(self):
        code, said = self.released("fields.c", '"PULSE",         STUDY | ROUND | STEPS,         0',
                                   '"PULSE",         STUDY | ROUND | STEPS,         NOW')
        self.assertEqual(code, 1)
        self.assertIn("PULSE carries now_ms, which no row of 'Field by field' names", said)

    def test_a_row_for_a_field_that_is_not_sent(self):
        code, said = self.released("PRIVACY.md", "| ACCEPT, GOODBYE | study |", "| ACCEPT, GOODBYE | study, step |")
        self.assertEqual(code, 1)
        self.assertIn("ACCEPT does not carry step", said)

    def test_a_release_without_a_price(self):
        code, said = self.released("PRIVACY.md", "| program and version | none |", "| program and version | |")
        self.assertEqual(code, 1)
        self.assertIn("without what it tells, or without its price", said)

    def test_a_message_of_a_site_that_is_in_no_row(self):
        code, said = self.released("PRIVACY.md", "| CREDIT | study,", "| CREDITS | study,")
        self.assertEqual(code, 1)
        self.assertIn("CREDIT carries", said)

    # include_graph

    def test_an_edge_that_the_table_does_not_list(self):
        self.add("agent/session/session.h", '#include "common/store/store.h"\n')
        self.refused("include_graph", "agent/session/session.h:2: agent/session may not include common/store")

    def test_an_edge_from_a_file_one_level_deeper(self):
        self.add("common/dp/inner/clip.h", '#include "common/store/store.h"\n')
        self.refused("include_graph", "common/dp/inner/clip.h:2: common/dp may not include common/store")

    def test_an_edge_to_a_file_one_level_deeper(self):
        self.add("common/base/error.h", '#include "common/dp/inner/clip.h"\n')
        self.refused("include_graph", "common/base may not include common/dp")

    def test_a_cycle_in_the_table(self):
        self.put("docs/ARCHITECTURE.md", TABLE.replace("| ground | — |", "| ground | dp |"))
        self.refused("include_graph", "cycle: common/base -> common/dp -> common/base")

    def test_a_name_in_the_table_that_no_row_has(self):
        self.put("docs/ARCHITECTURE.md", TABLE.replace("| rows | base |", "| rows | bass |"))
        self.refused("include_graph", "row common/store: no folder 'bass'")

    def test_a_table_that_cannot_be_found(self):
        self.put("docs/ARCHITECTURE.md", TABLE.replace("## Folders", "## Rooms"))
        self.refused("include_graph", "no table of folders")

    def test_a_library_header_away_from_home(self):
        self.add("common/dp/dp.h", "#include <sqlite3.h>\n")
        self.refused("include_graph", "common/dp/dp.h:2: <sqlite3.h> belongs in common/store")

    def test_a_library_header_away_from_home_in_quotes(self):
        self.add("common/dp/dp.h", '#include "sodium.h"\n')
        self.refused("include_graph", "<sodium.h> belongs in common/base, common/seal")

    def test_a_library_header_without_a_home(self):
        self.add("common/dp/dp.h", "#include <gmp.h>\n")
        self.refused("include_graph", "<gmp.h> has no home")

    def test_our_header_in_angle_brackets(self):
        self.add("agent/session/session.h", "#include <common/store/store.h>\n")
        self.refused("include_graph", "our own headers are included with quotes")

    def test_an_include_through_a_macro(self):
        self.add("agent/session/session.h", "#include STORE\n")
        self.refused("include_graph", "an include must name its file plainly")

    def test_an_include_that_is_not_written_from_the_root(self):
        self.add("common/dp/dp.h", '#include "../store/store.h"\n')
        self.refused("include_graph", '"../store/store.h" is not a file')

    def test_replayable_noise_in_the_agent(self):
        self.add("agent/train/train.h", '#include "common/base/replay.h"\n')
        self.refused("include_graph", "agent/train/train.h:3: replayable noise protects nobody")

    def test_an_include_of_an_app(self):
        self.add("sim/fleet/fleet.h", '#include "agent/app/app.h"\n')
        self.refused("include_graph", "nothing may include agent/app")

    def test_a_benchmark_that_is_made_of_an_app(self):
        self.put("tests/bench/crowd.c", '#include "agent/app/app.h"\n')
        self.put("tests/unit/test_crowd.c", '#include "agent/app/app.h"\n')
        self.refused("include_graph", "tests/unit/test_crowd.c:1: nothing may include agent/app")
        self.assertNotIn("tests/bench", self.run_lint("include_graph")[1])

    def test_an_include_of_a_test(self):
        self.put("tests/support/check.h", "\n")
        self.add("sim/fleet/fleet.h", '#include "tests/support/check.h"\n')
        self.refused("include_graph", "sim/fleet may not include tests")

    def test_another_folders_internal_header(self):
        self.put("common/dp/clip_internal.h", "\n")
        self.add("agent/train/train.h", '#include "common/dp/clip_internal.h"\n')
        self.refused("include_graph", "common/dp/clip_internal.h is internal to common/dp")

    def test_a_source_that_does_not_include_its_own_header_first(self):
        self.put("common/store/store.c", '#include <stdio.h>\n#include "common/store/store.h"\n')
        self.refused("include_graph", 'common/store/store.c:1: the first include must be "common/store/store.h"')

    def test_a_folder_that_the_table_does_not_list(self):
        self.put("common/ghost/ghost.c", "int x;\n")
        self.refused("include_graph", "common/ghost/ghost.c: folder common/ghost is not in the table")

    # readmes

    def test_a_folder_without_readme(self):
        os.remove(os.path.join(self.root, "common/dp/inner/README.md"))
        self.refused("readmes", "common/dp/inner: no README.md")

    def test_a_readme_that_says_nothing(self):
        self.put("common/dp/README.md", "# common/dp\n")
        self.refused("readmes", "common/dp/README.md: says next to nothing")

    # calls

    def test_memory_from_the_heap_in_a_pure_folder(self):
        self.put("common/dp/clip.c", "void dp_clip(void)\n{\n    x = malloc(8);\n}\n")
        self.refused("calls", "common/dp/clip.c:3: malloc in dp_clip")

    def test_memory_from_the_heap_in_an_open_function_is_fine(self):
        self.put("common/dp/clip.c", "enum rc dp_open(struct dp **out)\n{\n    x = malloc(8);\n}\n")
        self.assertEqual(self.run_lint("calls")[0], 0)

    def test_a_call_that_is_only_talked_about_is_fine(self):
        self.put("common/dp/clip.c", '/* rand() and\n   sprintf( */\nchar *x = "rand()"; // rand()\n')
        self.assertEqual(self.run_lint("calls")[0], 0)

    def test_unnamed_randomness(self):
        self.put("sim/fleet/fleet.c", "int f(void)\n{\n    return rand();\n}\n")
        self.refused("calls", "sim/fleet/fleet.c:3: rand in f")

    def test_a_machine_that_reads_the_clock(self):
        self.put("agent/session/session.c", "int f(void)\n{\n    return time(0);\n}\n")
        self.refused("calls", "agent/session/session.c:3: time in f")

    def test_a_library_that_prints(self):
        self.put("agent/train/train.c", "int f(void)\n{\n    (void)fprintf(stderr, x);\n}\n")
        self.refused("calls", "agent/train/train.c:3: fprintf in f")

    def test_a_library_that_exits(self):
        self.put("agent/train/train.c", "int f(void)\n{\n    exit(1);\n}\n")
        self.refused("calls", "agent/train/train.c:3: exit in f")

    def test_a_program_with_keys_that_anybody_can_make(self):
        self.put("agent/app/init.c", "int f(void)\n{\n    return seal_keys_of_name(a, b, c);\n}\n")
        self.refused("calls", "agent/app/init.c:3: seal_keys_of_name in f")

    # events

    CALL = 'int f(void)\n{\n    log_event(LOG_LEVEL_INFO, "%s", "n=%%d", f(1, 2));\n}\n'

    def test_an_event_name_in_two_places(self):
        self.put("agent/app/a.c", self.CALL % "round_opened")
        self.put("agent/app/b.c", self.CALL % "round_opened")
        self.refused("events", "agent/app/b.c:3: event 'round_opened' is also logged at agent/app/a.c:3")

    def test_an_event_name_that_is_not_lower_case(self):
        for name in ("RoundOpened", "round opened", "round-opened", "_round", ""):
            self.put("agent/app/a.c", self.CALL % name)
            self.refused("events", f"agent/app/a.c:3: event '{name}': lower case")

    def test_both_sides_of_a_condition_are_names(self):
        self.put("agent/app/a.c", self.CALL % "site_lost")
        self.put("agent/app/b.c", "int f(void)\n{\n    log_event(x ? g(1, 2) : LOG_LEVEL_WARN, /* a, b */\n"
                                  '              yes ? "site_found" : "site_lost", "%s", "x");\n}\n')
        self.refused("events", "agent/app/b.c:4: event 'site_lost' is also logged")

    def test_the_rows_of_a_table_are_names(self):
        self.put("agent/app/a.c", 'static const struct row t[] = {\n    {"a", "refused_a"},\n    {"b", "refused_a"},\n};\n'
                                  "int f(void)\n{\n    log_event(LOG_LEVEL_INFO, t[kind].event, x);\n}\n")
        self.refused("events", "agent/app/a.c:3: event 'refused_a' is also logged at agent/app/a.c:2")

    def test_an_event_whose_name_cannot_be_found(self):
        self.put("agent/app/a.c", "int f(const char *name)\n{\n    log_event(LOG_LEVEL_INFO, name, x);\n}\n")
        self.refused("events", "agent/app/a.c:3: the name of this event cannot be read here")

    def test_other_texts_of_a_call_are_no_names(self):
        self.put("agent/app/a.c", self.CALL % "one" + self.CALL % "two")
        self.assertEqual(self.run_lint("events"), (0, "events: 2 names, no fault\n"))


if __name__ == "__main__":
    unittest.main(verbosity=0)
