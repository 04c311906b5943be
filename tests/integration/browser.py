"""Headless Chromium, for tests that look at what a page shows."""

import contextlib
import os
import shutil
import tempfile

import pytest

ARGUMENTS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--window-size=1280,800",
]


def which(name):
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if os.path.exists(os.path.join(folder, name)):
            return os.path.join(folder, name)
    pytest.skip("%s is not installed" % name)


@contextlib.contextmanager
def chromium():
    """A browser with an empty profile."""
    webdriver = pytest.importorskip("selenium.webdriver")
    driver, binary = which("chromedriver"), which("chromium")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    profile = tempfile.mkdtemp()
    for argument in ARGUMENTS + ["--user-data-dir=" + profile]:
        options.add_argument(argument)
    try:
        from selenium.webdriver.chrome.service import Service
        try:
            browser = webdriver.Chrome(service=Service(driver), options=options)
        except TypeError:       # selenium 3
            browser = webdriver.Chrome(executable_path=driver, options=options)
        try:
            yield browser
        finally:
            browser.quit()
    finally:
        shutil.rmtree(profile, ignore_errors=True)
