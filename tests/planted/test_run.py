#!/usr/bin/env python3
"""The runner of planted bugs can itself fail: a tiny project, and specs that it must accept or refuse.
Run: python3 tests/planted/test_run.py"""
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))

PROJECT = {
    "CMakeLists.txt": "cmake_minimum_required(VERSION 3.25)\nproject(tiny C)\n"
                      "set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)\n"
                      "add_executable(test_sum test_sum.c sum.c)\n"
                      "add_executable(wardround-sim days.c sum.c)\n"
                      "set_target_properties(wardround-sim PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)\n",
    "sum.c": "int sum(int a, int b);\nint sum(int a, int b)\n{\n    return a + b;\n}\n",
    "test_sum.c": '#include <stdio.h>\nint sum(int a, int b);\nint main(void)\n{\n    if (sum(2, 2) != 4) {\n'
                  '        puts("[  FAILED  ] two_and_two_are_four");\n        return 1;\n    }\n    return 0;\n}\n',
    "days.c": '#include <stdio.h>\nint sum(int a, int b);\nint main(int argc, char **argv)\n{\n'
              '    if (sum(2, 2) != 4 && argc == 5 && argv[3][0] == \'7\') {\n'
              '        fputs("seed 3 breaks promise 2: no sum\\n", stderr);\n        return 1;\n    }\n    return 0;\n}\n',
}
MINUS = """what: subtracts
file: sum.c
test: test_sum
red: two_and_two_are_four
find:
    return a + b;
replace:
    return a - b;
end
"""

DAYS = MINUS.replace("test: test_sum", "faults: 7").replace("two_and_two_are_four", "promise 2")


class Runner(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="wardround-planted-test-")
        self.root, self.bugs = self.folder.name + "/root", self.folder.name + "/bugs"
        os.mkdir(self.root)
        os.mkdir(self.bugs)
        for path, text in PROJECT.items():
            self.put(f"{self.root}/{path}", text)

    def tearDown(self):
        self.folder.cleanup()

    def put(self, path, text):
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)

    def planted(self, *specs):
        for i, spec in enumerate(specs):
            self.put(f"{self.bugs}/bug_{i}.bug", spec)
        done = subprocess.run([sys.executable, "-B", f"{HERE}/run", "--root", self.root, "--bugs", self.bugs],
                              capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def refused(self, words, *specs):
        code, said = self.planted(*specs)
        self.assertEqual(code, 1, said)
        self.assertIn(words, said)

    def test_a_bug_that_turns_its_test_red_is_noticed_and_undone_before_the_next(self):
        code, said = self.planted(MINUS, MINUS.replace("a - b", "a + b + 1"))
        self.assertEqual(code, 0, said)
        self.assertIn("2 of 2 noticed", said)

    def test_a_bug_that_its_test_does_not_see_is_missed(self):
        self.refused("MISSED  bug_0", MINUS.replace("a - b", "a * b"))

    def test_red_for_another_reason_is_missed(self):
        self.refused("not for 'two_and_two_are_five'", MINUS.replace("are_four", "are_five"))

    def test_a_bug_that_does_not_compile_proves_nothing(self):
        self.refused("does not compile", MINUS.replace("a - b", "c"))

    def test_a_text_that_is_not_there(self):
        self.refused("0 times in sum.c", MINUS.replace("return a + b", "return a +  b"))

    def test_a_text_that_is_there_twice(self):
        self.put(f"{self.root}/sum.c", PROJECT["sum.c"] + "int add(int a, int b);\n"
                 "int add(int a, int b)\n{\n    return a + b;\n}\n")
        self.refused("2 times in sum.c", MINUS)

    def test_a_test_that_is_red_without_the_bug(self):
        self.put(f"{self.root}/sum.c", PROJECT["sum.c"].replace("a + b", "a + b + 2"))
        self.refused("fails on the untouched tree", MINUS)

    def test_a_spec_with_a_missing_or_misspelt_field(self):
        self.refused("bug_0: needs exactly", MINUS.replace("test:", "tset:"))

    def test_a_spec_without_end(self):
        self.refused("bug_0: each 'find:' needs", MINUS.replace("end\n", ""))

    def test_bad_days_find_a_bug_and_tell_the_seed(self):
        code, said = self.planted(DAYS)
        self.assertEqual(code, 0, said)
        self.assertIn("seed 3 breaks promise 2: no sum", said)

    def test_bad_days_that_find_nothing_or_something_else_have_missed_it(self):
        self.refused("MISSED  bug_0", DAYS.replace("a - b", "a * b"))
        self.refused("something else than 'promise 4'", DAYS.replace("promise 2", "promise 4"))

    def test_no_spec_at_all(self):
        self.refused("no such .bug file")


if __name__ == "__main__":
    unittest.main(verbosity=0)
