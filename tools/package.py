"""What the tox env `package` runs, on the files that git knows: is it ready to release?

Builds the sdist and the wheel away from the checkout, holds both against the lists of files
that they must have, and runs the core tests against the installed wheel. The arguments are
what the tests need: `pytest==...`.
"""

import email
import filecmp
import glob
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Of the files in git.
NOT_IN_SDIST = (".ci/", ".gitignore", "benchmarks/", "tools/")

GENERATED_IN_SDIST = [
    "PKG-INFO",
    "setup.cfg",
    "sse.egg-info/PKG-INFO",
    "sse.egg-info/SOURCES.txt",
    "sse.egg-info/dependency_links.txt",
    "sse.egg-info/requires.txt",
    "sse.egg-info/top_level.txt",
]

IN_WHEEL = [
    "sse.py",
    "sse-stubs/__init__.pyi",
    "sse-%s.dist-info/METADATA",
    "sse-%s.dist-info/RECORD",
    "sse-%s.dist-info/WHEEL",
    "sse-%s.dist-info/licenses/LICENSE",
    "sse-%s.dist-info/top_level.txt",
]

# Prints where the module is, and fails if it does not work.
TRY = """
import sys, six, sse
buffer = sse.Sse()
buffer.add_event_greeting(six.u("Hello,\\nworld \\u2026"))
assert bytes(buffer) == six.u("retry: 2000\\n\\nevent: greeting\\ndata: Hello,\\n"
                              "data: world \\u2026\\n\\n").encode("utf-8")
print(sse.__version__ + " " + sse.__file__)
"""


def run(*command, **options):
    print("$", *command, flush=True)
    if subprocess.run(command, **options).returncode:
        sys.exit("failed: " + " ".join(command))


def output(*command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8",
                          **options).stdout


def same(kind, found, expected):
    if sorted(found) != sorted(expected):
        sys.exit("%s: too many: %s; missing: %s" % (
            kind, sorted(set(found) - set(expected)), sorted(set(expected) - set(found))))
    print("%s: the %d files expected" % (kind, len(expected)), flush=True)


def export(names, target):
    """A copy of the release's files, whose times and modes are not those of the checkout."""
    for name in names:
        path = os.path.join(target, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        shutil.copyfile(os.path.join(ROOT, name), path)
    return target


def check_metadata(wheel, version):
    with zipfile.ZipFile(wheel) as archive:
        def read(name):
            text = archive.read("sse-%s.dist-info/%s" % (version, name)).decode("utf-8")
            return email.message_from_string(text)
        metadata = read("METADATA")
        assert metadata["Name"] == "sse" and metadata["Version"] == version
        assert metadata.get_all("Requires-Dist") == ["six"]
        assert metadata["Requires-Python"].startswith(">=2.7")
        assert metadata["Description-Content-Type"] == "text/x-rst"
        assert read("WHEEL").get_all("Tag") == ["py2-none-any", "py3-none-any"]


def installed(environment, python, *requirements):
    """The interpreter of a new environment that has these and nothing else."""
    # What a periodic update finds is taken, an hour later, for Pythons that it does not run on.
    run(sys.executable, "-m", "virtualenv", "--quiet", "--no-periodic-update", "--python", python,
        environment)
    python = os.path.join(environment, "bin", "python")
    run(python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", *requirements)
    report = output(python, "-c", TRY, cwd=environment)
    print(report, end="", flush=True)
    assert os.path.realpath(report.split(" ", 1)[1]).startswith(os.path.realpath(environment))
    return python


def python27():
    """A Python 2.7, or None."""
    installs = glob.glob(os.path.expanduser("~/.pyenv/versions/2.7.*/bin/python2.7"))
    for python in [shutil.which("python2.7")] + installs:
        # The name on PATH may be a shim without a Python behind it.
        if python and subprocess.run([python, "-c", ""], stderr=subprocess.DEVNULL).returncode == 0:
            return python
    return None


def main(folder):
    tracked = output("git", "ls-files", "-z", cwd=ROOT).split("\0")[:-1]
    os.environ["SOURCE_DATE_EPOCH"] = output("git", "log", "-1", "--format=%ct", cwd=ROOT).strip()
    for variable in "PYTHONPATH", "PYTHONHOME":
        os.environ.pop(variable, None)

    run(sys.executable, "-m", "check_manifest", "--no-build-isolation", ROOT)

    def build(name, *options):
        tree = export(tracked, os.path.join(folder, name, "tree"))
        run(sys.executable, "-m", "build", "--quiet", "--no-isolation", "--outdir", "..", *options,
            cwd=tree)

    # Once by way of the sdist, once from the tree.
    build("first")
    build("second", "--wheel")
    wheel, again = [glob.glob(os.path.join(folder, name, "*.whl")) for name in ("first", "second")]
    sdist = glob.glob(os.path.join(folder, "first", "*.tar.gz"))
    [wheel], [again], [sdist] = wheel, again, sdist
    run(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist)

    version = os.path.basename(wheel).split("-")[1]
    assert os.path.basename(wheel) == "sse-%s-py2.py3-none-any.whl" % version
    assert os.path.basename(sdist) == "sse-%s.tar.gz" % version
    with zipfile.ZipFile(wheel) as archive:
        same("wheel", archive.namelist(), [name.replace("%s", version) for name in IN_WHEEL])
    with tarfile.open(sdist) as archive:
        top = "sse-%s/" % version
        same("sdist", [member.name for member in archive if member.isfile()],
             [top + name for name in tracked if not name.startswith(NOT_IN_SDIST)]
             + [top + name for name in GENERATED_IN_SDIST])
        archive.extractall(folder, filter="data")
    check_metadata(wheel, version)
    if not filecmp.cmp(wheel, again, shallow=False):
        sys.exit("two wheels of one commit differ")
    print("two wheels of one commit are equal", flush=True)

    # The tests as they were released, and no sse.py but that of the wheel.
    unpacked = os.path.join(folder, "sse-" + version)
    os.remove(os.path.join(unpacked, "sse.py"))
    python = installed(os.path.join(folder, "wheel"), sys.executable, wheel, *sys.argv[1:])
    run(python, "-bb", "-m", "pytest", "-q", "-rfsxX",
        cwd=os.path.join(unpacked, "tests"))

    old = python27()
    if old:
        python = installed(os.path.join(folder, "sdist27"), old, sdist)
        assert output(python, "-c", "import sys; print(sys.version[:3])").strip() == "2.7"
        installed(os.path.join(folder, "wheel27"), old, wheel)
    elif os.environ.get("SSE_NO_SKIPS"):
        sys.exit("no Python 2.7")
    else:
        print("SKIPPED: no Python 2.7 to install the sdist and the wheel on")
    print("the package is as it must be: %s" % version)


if __name__ == "__main__":
    os.umask(0o022)
    with tempfile.TemporaryDirectory() as temporary:
        main(temporary)
