"""Run the tests on a CPython built for WebAssembly, where there is none of that version.

    python run.py VERSION [pytest's arguments]

VERSION is one of the npm package `pyodide`, which Node.js runs. This interpreter lends its
site-packages: the sse that is tested, six, pytest and hypothesis, all of them pure Python.
"""

import os
import shutil
import subprocess
import sys
import sysconfig

HERE = os.path.dirname(os.path.abspath(__file__))


def main(version, *arguments):
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    if missing:
        print("no %s: nothing was run" % " and no ".join(missing))
        return 1 if os.environ.get("SSE_NO_SKIPS") else 0
    folder = os.path.join(sys.prefix, "npm")
    subprocess.check_call([
        shutil.which("npm"), "install", "--prefix", folder, "--no-save", "--no-audit",
        "--no-fund", "--loglevel=error", "pyodide@" + version])
    return subprocess.call([
        shutil.which("node"), os.path.join(HERE, "run.mjs"),
        os.path.join(folder, "node_modules", "pyodide", "pyodide.mjs"),
        sysconfig.get_path("purelib"), os.path.join(HERE, "..", "..")] + list(arguments))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
