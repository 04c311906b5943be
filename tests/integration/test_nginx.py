"""nginx in front of a server, with its default proxy settings: what our headers change."""

import socket
import subprocess
import time

import pytest
import requests

from loopback import free_port, running, wait_for
from test_servers import COMMENT, FIRST, KINDS, added, closed, serving

try:
    subprocess.check_output(["nginx", "-v"], stderr=subprocess.STDOUT)
except OSError:
    pytestmark = pytest.mark.skip("nginx is not installed")

CONFIGURATION = """
daemon off;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{upstream};
        }}
        location /impatient/ {{
            proxy_pass http://127.0.0.1:{upstream};
            proxy_read_timeout 1s;
        }}
    }}
}}
"""


@pytest.fixture(scope="module")
def server(tmpdir_factory):
    """The server behind nginx; `url` and `request` go through nginx."""
    folder = tmpdir_factory.mktemp("nginx")
    with serving(KINDS[0]) as server:
        upstream, server.port = server.port, free_port()
        configuration = folder.join("nginx.conf")
        configuration.write(CONFIGURATION.format(
            folder=folder, port=server.port, upstream=upstream))
        with running(["nginx", "-c", str(configuration), "-p", str(folder)], server.port):
            yield server


def test_events_pass_through(server):
    with server.stream("/ours") as client:
        for text in "123":
            start = time.time()
            server.control("add", "/ours", text)
            assert client.read_until(b"\n\n") == added(text)
            assert time.time() - start < 0.5
        server.control("close", "/ours")
        assert client.rest() == b""


def test_without_our_headers_they_wait_for_the_end(server):
    with server.request("GET", "/plain?headers=plain") as sock:
        wait_for(lambda: closed(server, "/plain")() is False)
        server.control("add", "/plain", "1")
        sock.settimeout(1)
        with pytest.raises(socket.timeout):
            sock.recv(1)
        sock.settimeout(10)
        server.control("close", "/plain")
        response = b"".join(iter(lambda: sock.recv(4096), b""))
    assert FIRST in response and added("1") in response


def test_client_that_leaves_is_noticed(server):
    server.stream("/leave?keepalive=0.1").close()
    wait_for(closed(server, "/leave"))


@pytest.mark.parametrize("keepalive, lives", [(0.2, True), (60, False)])
def test_keepalives_keep_nginx_from_giving_up(server, keepalive, lives):
    """`proxy_read_timeout` is 60 seconds by default, and a second here."""
    path = "/impatient/%s" % lives
    with server.stream("%s?keepalive=%s" % (path, keepalive)) as client:
        time.sleep(3)
        server.control("close", path, "late")
        try:
            rest = client.rest()
        except requests.RequestException:
            rest = b""
    assert rest.replace(COMMENT, b"") == (added("late") if lives else b"")
