"""Chromium, Firefox and WebKit, each with an empty profile, behind one small interface.

Tests get them from conftest.py: `browser` is each of them in turn; `engines("firefox")` is one.
All tests share the one page that each has.

    browser.open(url)                       # waits until the page is loaded
    browser.wait_for("window.title.length") # an expression's value, as soon as it is true
    browser.run("return await x(arguments[0])", 7)      # the body of an asynchronous function
    browser.click("#send")
    browser.type("#name", "Ann")            # in place of what the field holds
    browser.text("h1"), browser.texts("li")
    browser.name, browser.version           # "firefox", "153.7.0"

Chromium and WebKit speak WebDriver; Firefox speaks Marionette, a protocol of its own.
"""

import contextlib
import glob
import io
import os
import shutil
import subprocess
import tempfile

import pytest

from loopback import ended, wait_for

CHROMIUM = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage",
]
FIREFOX = ["--headless", "--marionette", "--no-remote"]
MINI_BROWSER = "/usr/lib/*/webkit2gtk-4*/MiniBrowser"
SCRIPT_SECONDS = 300

# Promises are awaited here, and not by the driver, since not every driver does it.
ASYNC = """
const given = [...arguments], done = given.pop();
(async function () { %s }).apply(null, given).then(
    (value) => done([value, null]), (error) => done([null, String(error)]));
"""


class Browser(object):
    """One page. `css` names the first element that it matches."""

    def __init__(self, driver, name, version, open, execute):
        self.name = name
        self.version = version
        self.open = open        # url
        self._driver = driver
        self._execute = execute

    def run(self, javascript, *arguments):
        """Run the body of an asynchronous function, and give what it returns."""
        value, error = self._execute(ASYNC % javascript, arguments)
        assert error is None, error
        return value

    def wait_for(self, javascript, seconds=10):
        """The value of this expression, as soon as it is true."""
        return wait_for(lambda: self.run("return " + javascript), seconds, javascript)

    def text(self, css):
        return self._find(css).text

    def texts(self, css):
        """The texts of all elements that match."""
        return [element.text for element in self._driver.find_elements("css selector", css)]

    def click(self, css):
        self._find(css).click()

    def type(self, css, text):
        """Put `text` into a field, in place of what is there."""
        self._find(css).clear()
        self._find(css).send_keys(text)

    def _find(self, css):
        return self._driver.find_element("css selector", css)


@contextlib.contextmanager
def chromium():
    webdriver = pytest.importorskip("selenium.webdriver")
    with new_folder() as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = which("chromium")
        for argument in CHROMIUM + ["--user-data-dir=" + profile]:
            options.add_argument(argument)
        service = webdriver.ChromeService(which("chromedriver"))
        with driven("chromium", webdriver.Chrome(options, service)) as browser:
            yield browser


@contextlib.contextmanager
def firefox():
    marionette = pytest.importorskip("marionette_driver.marionette")
    with new_folder() as profile:
        with io.open(os.path.join(profile, "user.js"), "w") as settings:
            # Any free port, which Firefox then writes into MarionetteActivePort.
            settings.write(u'user_pref("marionette.port", 0);\n')
        arguments = [which("firefox-esr")] + FIREFOX + ["--profile", profile]
        with process(arguments, HOME=profile):
            driver = marionette.Marionette("127.0.0.1", port=wait_for(lambda: port(profile), 60))
            driver.start_session()
            driver.timeout.script = SCRIPT_SECONDS
            try:
                yield Browser(
                    driver,
                    name="firefox",
                    version=driver.session_capabilities["browserVersion"],
                    open=driver.navigate,
                    # No sandbox: the script sees the page's own variables.
                    execute=lambda script, arguments: driver.execute_async_script(
                        script, arguments, sandbox=None))
            finally:
                driver.delete_session()


@contextlib.contextmanager
def webkit():
    """It has no headless mode, so it gets a display of its own."""
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.webkitgtk.service import Service
    with new_folder() as home, display() as name:
        options = webdriver.WebKitGTKOptions()
        options.binary_location = which(MINI_BROWSER)
        options.add_argument("--automation")
        variables = dict(os.environ, DISPLAY=name, HOME=home, XDG_RUNTIME_DIR=home)
        service = Service(which("WebKitWebDriver"), env=variables)
        with driven("webkit", webdriver.WebKitGTK(options, service=service)) as browser:
            yield browser


ENGINES = {"chromium": chromium, "firefox": firefox, "webkit": webkit}


@contextlib.contextmanager
def driven(name, driver):
    """The browser of a selenium driver."""
    try:
        driver.set_script_timeout(SCRIPT_SECONDS)
        yield Browser(
            driver,
            name=name,
            version=driver.capabilities["browserVersion"],
            open=driver.get,
            execute=lambda script, arguments: driver.execute_async_script(script, *arguments))
    finally:
        driver.quit()


@contextlib.contextmanager
def display():
    """The name of a new X display."""
    ours, theirs = os.pipe()
    with io.open(ours) as ready:
        arguments = [which("Xvfb"), "-displayfd", str(theirs), "-screen", "0", "1400x1000x24",
                     "-nolisten", "tcp"]
        with process(arguments, pass_fds=[theirs]):
            os.close(theirs)
            yield ":" + ready.readline().strip()


def port(profile):
    """The port that Firefox listens on, None until it does."""
    path = os.path.join(profile, "MarionetteActivePort")
    if os.path.exists(path):
        with io.open(path) as file:
            return int(file.read() or 0)


def process(arguments, pass_fds=(), **variables):
    """A process that ends with the test. What it prints is thrown away."""
    null = subprocess.DEVNULL
    return ended(subprocess.Popen(arguments, stdin=null, stdout=null, stderr=null,
                                  pass_fds=pass_fds, env=dict(os.environ, **variables)))


def new_folder():
    # A browser's last processes may still write into it.
    return tempfile.TemporaryDirectory(ignore_cleanup_errors=True)


def which(name):
    """The path of a program, which may be given as a path with wildcards."""
    found = sorted(glob.glob(name)) or [shutil.which(name)]
    if not found[-1]:
        pytest.skip("%s is not installed" % name)
    return found[-1]
