"""Tries changes of functions in forks of one process, which has collected the tests."""

import ast
import collections
import faulthandler
import gc
import json
import os
import resource
import signal
import sys
import time
import types

import pytest

# A test that takes so many times as long as without a change, and so many seconds more, hangs.
TIMES = 5
SECONDS = 20
# Bytes: a change may make an endless list.
MEMORY = 8 * 2 ** 30

OUTSIDE = (None, ())


def places(source):
    """For each line, its outermost function and the lines of its statement, or `OUTSIDE`.

    Of an assignment in the module or a class it is "Class=NAME" or "=NAME".
    """
    found = collections.defaultdict(lambda: OUTSIDE)

    def visit(statements, path, function):
        for node in statements:
            if isinstance(node, ast.ClassDef):
                visit(node.body, path + [node.name], None)
            elif isinstance(node, ast.FunctionDef) and not function:
                # Decorators and defaults are not in its code.
                visit(node.body, path, ".".join(path + [node.name]))
            elif function or isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                name = function or "%s=%s" % (".".join(path), node.targets[0].id)
                body = getattr(node, "body", None)
                last = max(node.lineno, body[0].lineno - 1) if body else node.end_lineno
                lines = range(node.lineno, last + 1)
                found.update((line, (name, lines)) for line in lines)
                for field in "body", "orelse", "handlers", "finalbody":
                    visit(getattr(node, field, []), path, function)

    visit(ast.parse(source).body, [], None)
    return found


def codes(code):
    """The code of each function that stands in no other, by its name."""
    found = {}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found.update(codes(constant))
            if "<locals>" not in constant.co_qualname:
                found[constant.co_qualname] = constant
    return found


class Plugin(object):
    """Runs the mutants in place of the tests."""

    def __init__(self, folder, source, mutants, changed, workers):
        self.path = os.path.join(folder, "sse.py")
        self.trace = os.path.join(folder, "trace.json")
        self.source = source
        self.mutants = mutants
        self.changed = changed
        self.workers = workers
        self.survivors = []

    def pytest_collection_finish(self, session):
        gc.unfreeze()       # else they are not among its objects
        functions = [thing for thing in gc.get_objects() if isinstance(thing, types.FunctionType)
                     and thing.__code__.co_filename == self.path]
        self.functions = {function.__code__.co_qualname: function for function in functions}
        # Of those that differ in their parameters, the first of each come before the second.
        self.rank = []
        seen = collections.Counter()
        for item in session.items:
            name = item.nodeid.split("[")[0]
            self.rank.append(seen[name])
            seen[name] += 1

    def tests_for(self, name, lines):
        """The tests that came by the lines, or of an assignment by a function with this name."""
        if "=" in name:
            attribute = name.split("=")[1]
            lines = [line for line, (user, _) in self.places.items() if user in self.functions
                     and attribute in self.functions[user].__code__.co_names]
        return {test for line in lines for test in self.tests_of.get(str(line), ())}

    def pytest_runtestloop(self, session):
        # The collections of the tests are three times as quick without what is there already.
        gc.collect()
        gc.freeze()
        if os.waitpid(self.fork(lambda: self.record(session)), 0)[1]:
            sys.exit("the tests fail without any change")
        with open(self.trace, encoding="utf-8") as file:
            self.seconds, self.tests_of = json.load(file)
        self.places = places(self.source)
        self.finders = []       # tests that found a change, the last one first
        running = {}
        for number, mutant in enumerate(self.mutants):
            name, lines = self.places[mutant.line]
            tests = self.tests_for(name, lines) if name else ()
            if not tests or "=" not in name and name not in self.functions:
                self.leave(mutant)
                continue
            while len(running) >= self.workers:
                self.reap(running)
            tests = sorted(tests, key=lambda test: (self.rank[test], self.seconds[test]))
            first = [test for test in self.finders if test in tests]
            tests = first + [test for test in tests if test not in first]
            reader, writer = os.pipe()
            child = self.fork(lambda: self.attempt(session, mutant, name, tests, writer))
            os.close(writer)
            running[child] = mutant, reader
            if number % 50 == 0:
                os.write(2, ("%d of %d tried\n" % (number, len(self.mutants))).encode())
        while running:
            self.reap(running)
        return True

    def fork(self, function):
        child = os.fork()
        if not child:
            try:
                os.setpgid(0, 0)
                os._exit(1 if function() else 0)
            finally:
                os._exit(2)
        return child

    def reap(self, running):
        child, status = os.waitpid(-1, 0)
        try:
            os.killpg(child, signal.SIGKILL)    # what it started
        except ProcessLookupError:
            pass
        mutant, reader = running.pop(child)
        with os.fdopen(reader) as pipe:
            tests = [int(line) for line in pipe]
        if status == 0:
            self.leave(mutant)
        elif tests:
            finder = tests[-1]
            if finder in self.finders:
                self.finders.remove(finder)
            self.finders.insert(0, finder)

    def leave(self, mutant):
        self.survivors.append(mutant)
        os.write(2, ("left: line %d, %s, %d\n" % mutant).encode())

    def run(self, session, item, nextitem):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=nextitem)
        return session.testsfailed

    def record(self, session):
        """In a child: run all tests, and note how long each takes, and by which lines it comes."""
        tests_of = collections.defaultdict(list)
        monitoring = sys.monitoring
        seconds = []

        def line(code, number):
            if code.co_filename == self.path:
                tests_of[number].append(len(seconds))
            return monitoring.DISABLE

        # As for a change; the tests must pass with this code too.
        for name, code in codes(compile(self.source, self.path, "exec")).items():
            if name in self.functions:
                self.functions[name].__code__ = code
        monitoring.use_tool_id(monitoring.COVERAGE_ID, "mutation")
        monitoring.register_callback(monitoring.COVERAGE_ID, monitoring.events.LINE, line)
        monitoring.set_events(monitoring.COVERAGE_ID, monitoring.events.LINE)
        items = session.items
        for item, nextitem in zip(items, items[1:] + [None]):
            start = time.perf_counter()
            monitoring.restart_events()
            if self.run(session, item, nextitem):
                os.write(2, ("%s failed\n" % item.nodeid).encode())
                return True
            seconds.append(time.perf_counter() - start)
        with open(self.trace, "w", encoding="utf-8") as file:
            json.dump((seconds, tests_of), file)

    def attempt(self, session, mutant, name, tests, writer):
        """In a child: whether a test fails or hangs, the last one that it writes."""
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        self.change(name, self.changed(self.source, mutant))
        with open(os.devnull, "w") as null:
            for test, following in zip(tests, tests[1:] + [None]):
                os.write(writer, b"%d\n" % test)
                faulthandler.dump_traceback_later(
                    SECONDS + TIMES * self.seconds[test], exit=True, file=null)
                nextitem = None if following is None else session.items[following]
                if self.run(session, session.items[test], nextitem):
                    return True
        return False

    def change(self, name, source):
        """Make the function, or what is assigned, in the module what it is in `source`."""
        module = sys.modules["sse"]
        if "=" not in name:
            self.functions[name].__code__ = codes(compile(source, self.path, "exec"))[name]
            return
        path, attribute = name.split("=")
        owner = ast.parse(source)
        if path:
            owner = [node for node in owner.body if getattr(node, "name", None) == path][0]
            module = getattr(module, path)
        value = [node.value for node in owner.body if isinstance(node, ast.Assign)
                 and getattr(node.targets[0], "id", None) == attribute][0]
        code = compile(ast.Expression(value), self.path, "eval")
        setattr(module, attribute, eval(code, vars(sys.modules["sse"])))


def run(folder, source, mutants, changed, workers):
    """Those of `mutants` that no test found, and those that no fork can try."""
    folder = os.path.realpath(folder)
    plugin = Plugin(folder, source, mutants, changed, workers)
    os.chdir(folder)
    sys.path.insert(0, folder)
    code = pytest.main(["-p", "no:terminal", "-p", "no:cacheprovider", "-p", "no:faulthandler",
                        "--capture=sys", "-o", "addopts=", "tests"], plugins=[plugin])
    if code:
        sys.exit("pytest ended with %s" % code)
    return plugin.survivors
