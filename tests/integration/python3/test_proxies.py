"""Streams through proxies, and over HTTP/2.

Events come one by one; a client that disconnects is noticed, as the table of docs/proxies.rst says.
"""

import contextlib
import copy
import os
import re
import shutil
import socket
import time

import h2.connection
import h2.events
import pytest
import requests
from loopback import Client, environment, free_port, running, serving, wait_for

from framework_checks import AT_ONCE, FOLDER, Row, WRITES, added
from test_asgi import HYPERCORN, serve

NGINX = """
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
        listen 127.0.0.1:{http2} http2;
        location / {{
            proxy_pass http://127.0.0.1:{upstream};
        }}
        location /impatient {{
            proxy_pass http://127.0.0.1:{upstream}/events;
            proxy_read_timeout 1s;
        }}
        location /ignoring {{
            proxy_pass http://127.0.0.1:{upstream}/events;
            proxy_ignore_headers X-Accel-Buffering;
        }}
    }}
}}
"""
HAPROXY = """
defaults
    mode http
    timeout connect 60s
    timeout client 60s
    timeout server 60s
listen proxy
    bind 127.0.0.1:{port} tcp-ut 30s
    server upstream 127.0.0.1:{upstream}
"""
APACHE = """
ServerRoot {folder}
ServerName localhost
PidFile {folder}/pid
ErrorLog {folder}/error
User www-data
Group www-data
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
Listen 127.0.0.1:{port}
ProxyPass / http://127.0.0.1:{upstream}/
"""
VARNISH = """
vcl 4.1;
backend default {{ .host = "127.0.0.1"; .port = "{upstream}"; }}
"""
CADDY = """
{{
    admin off
}}
http://:{port} {{
    bind 127.0.0.1
    reverse_proxy 127.0.0.1:{upstream}
}}
"""

# The name, its command, its configuration, and when a client that disconnected is noticed.
PROXIES = [
    ("nginx", "nginx -c {conf} -p {folder}", NGINX, AT_ONCE),
    ("Caddy", "caddy run --adapter caddyfile --config {conf}", CADDY, AT_ONCE),
    ("HAProxy with abortonclose", "haproxy -db -f {conf}",
     HAPROXY.replace("60s\nlisten", "60s\n    option abortonclose\nlisten"), AT_ONCE),
    ("HAProxy", "haproxy -db -f {conf}", HAPROXY, WRITES),
    ("Apache", "apache2 -X -f {conf}", APACHE, WRITES),
    ("Varnish", "varnishd -j none -F -n {folder}/work -s malloc,10M -a 127.0.0.1:{port} -f {conf}",
     VARNISH, WRITES),
]


@pytest.fixture(scope="module")
def upstream():
    # httptools answers in chunks where nginx asks in HTTP/1.0: those it does not hold back.
    with serve(Row("", "starlette_app", "uvicorn --http=h11 starlette_app:app")) as server:
        yield server


@contextlib.contextmanager
def proxied(upstream, folder, command, configuration):
    """The server, as it is seen behind a proxy."""
    program = command.split()[0]
    if not shutil.which(program):
        pytest.skip(program + " is not installed")
    server, port, http2 = copy.copy(upstream), free_port(), free_port()
    server.address = "127.0.0.1", port
    conf = folder / "conf"
    conf.write_text(configuration.format(
        folder=folder, port=port, http2=http2, upstream=upstream.address[1]))
    # Caddy keeps files in its home.
    with running(command.format(folder=folder, conf=conf, port=port).split(), port,
                 env=environment(HOME=str(folder))):
        server.url = "http://127.0.0.1:%d" % port
        server.http2 = "127.0.0.1", http2
        yield server


@pytest.fixture(scope="module")
def nginx(upstream, tmp_path_factory):
    with proxied(upstream, tmp_path_factory.mktemp("nginx"), *PROXIES[0][1:3]) as server:
        yield server


@pytest.mark.parametrize("name, command, configuration, noticed", PROXIES,
                         ids=[row[0] for row in PROXIES])
def test_proxy(upstream, tmp_path, name, command, configuration, noticed):
    with proxied(upstream, tmp_path, command, configuration) as server:
        stream = server.name(keepalive=60)
        with server.client() as client, server.client() as other:
            for text in "123":
                start = time.monotonic()
                server.control("add", text=text)
                for each in client, other:
                    assert each.read_until(b"\n\n").startswith(added(text))
                assert time.monotonic() - start < 0.5
        print("%s: after %.1f s" % (name, server.noticed(stream, noticed)))


def test_nginx_holds_back_what_has_no_header(nginx):
    """Here it ignores X-Accel-Buffering."""
    name = nginx.name(keepalive=60)
    with socket.create_connection(nginx.address, 10) as sock:
        sock.sendall(b"GET /ignoring HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        wait_for(lambda: nginx.control("state", stream=name))
        nginx.control("add", stream=name, text="1")
        sock.settimeout(1)
        with pytest.raises(socket.timeout):
            sock.recv(1)
        sock.settimeout(10)
        nginx.control("close", stream=name)
        assert added("1") in b"".join(iter(lambda: sock.recv(4096), b""))


def test_keepalives_keep_nginx_from_giving_up(nginx):
    """`proxy_read_timeout` is 60 seconds by default, and a second here."""
    lives = nginx.name(keepalive=0.2)
    with Client(nginx.url + "/impatient") as client:
        client.read_until(b"\n\n")
        name = nginx.name(keepalive=60)
        with Client(nginx.url + "/impatient") as silent:
            silent.read_until(b"\n\n")
            with pytest.raises(requests.RequestException):
                silent.rest()
        wait_for(lambda: nginx.gone(name))
        nginx.control("close", stream=lives, text="late")
        assert client.rest().replace(b": \n", b"") == added("late") + b"\n"


RUN = ("import aiohttp.web, app; aiohttp.web.run_app("
       "app.app, host='127.0.0.1', port={port}, shutdown_timeout=0)")


@pytest.mark.parametrize("condition, lives", [("text/event-stream", True), ("text/html", False)])
def test_compression_in_aiohttp(tmp_path, condition, lives):
    with open(os.path.join(os.path.dirname(__file__), "aiohttp_compression.py")) as file:
        (tmp_path / "app.py").write_text(file.read().replace("text/event-stream", condition))
    path = environment(PYTHONPATH=os.path.abspath(FOLDER))
    with serving("-c", RUN, cwd=str(tmp_path), env=path) as server, \
            socket.create_connection(("127.0.0.1", server.port), 1) as sock:
        sock.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
        got = b""
        with contextlib.suppress(socket.timeout):
            while b"retry" not in got:
                got += sock.recv(4096)
    assert (b"retry" in got) == lives and (b"Content-Encoding" in got) == (not lives)


STREAMS = 50
REQUEST = [(":method", "GET"), (":scheme", "http"), (":path", "/events"),
           (":authority", "127.0.0.1")]


def over_http2(server, address):
    """Events to many streams of one connection, and seconds until one that is reset is noticed."""
    name = server.name(keepalive=60)
    connection, bodies = h2.connection.H2Connection(), {}
    with socket.create_connection(address, 10) as sock:
        def receive():
            for event in connection.receive_data(sock.recv(65536)):
                if isinstance(event, h2.events.DataReceived):
                    bodies[event.stream_id] = bodies.get(event.stream_id, b"") + event.data
                    connection.acknowledge_received_data(
                        event.flow_controlled_length, event.stream_id)
            sock.sendall(connection.data_to_send())

        connection.initiate_connection()
        for _ in range(STREAMS):
            number = connection.get_next_available_stream_id()
            connection.send_headers(number, REQUEST, end_stream=True)
        sock.sendall(connection.data_to_send())
        while len(bodies) < STREAMS:
            receive()
        for text in "123":
            server.control("add", text=text)
        while not all(added("3") in body for body in bodies.values()):
            receive()
        for body in bodies.values():
            assert re.findall(b"data: (.)", body) == [b"1", b"2", b"3"]
        connection.reset_stream(1)
        sock.sendall(connection.data_to_send())
        start = time.monotonic()
        wait_for(lambda: server.control("state") == STREAMS - 1)
        assert server.gone(name)
        return time.monotonic() - start


def bounded(server, address):
    """Whether 24 MB are too much for a client that never enlarges its window of 65,535 bytes."""
    name = server.name(keepalive=60)
    connection = h2.connection.H2Connection()
    with socket.create_connection(address, 10) as sock:
        connection.initiate_connection()
        connection.send_headers(1, REQUEST, end_stream=True)
        sock.sendall(connection.data_to_send())
        wait_for(lambda: server.control("state", stream=name))
        return server.control("fill", stream=name)


def test_http2_of_nginx(nginx):
    assert over_http2(nginx, nginx.http2) < 1
    assert bounded(nginx, nginx.http2)


def test_http2_of_hypercorn():
    with serve(Row("", "starlette_app", HYPERCORN % "starlette_app")) as server:
        assert over_http2(server, server.address) < 1
        assert not bounded(server, server.address)
