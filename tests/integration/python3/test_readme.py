"""The pages of the README in the three engines."""

from loopback import wait_for


def test_the_quick_start(start, browser):
    process, url = start("quick_start.py")
    with process:
        browser.open(url)
        for number in 1, 2:
            browser.click("button")
            browser.wait_for("document.querySelectorAll('p br').length == %d" % number)
        assert browser.text("p")


def test_an_answer_is_asked_for_once(start, browser):
    process, url = start("answer_flask.py")
    with process:
        browser.open(url)
        wait_for(lambda: browser.text("p").strip() == "This takes its time")
        # After its reconnection time of 2 s it would have asked again.
        browser.run("await new Promise(resolve => setTimeout(resolve, 3000))")
        assert browser.text("p").strip() == "This takes its time"
