import io
import re

from setuptools import setup


def read(name):
    with io.open(name, encoding="utf-8") as file:
        return file.read()


setup(
    name="sse",
    version=re.search(r'^__version__ = "(.+)"$', read("sse.py"), re.M).group(1),
    description="Server-Sent Events from any Python web handler",
    long_description=read("README.rst"),
    long_description_content_type="text/x-rst",
    author="the sse authors",
    license="BSD-3-Clause",
    py_modules=["sse"],
    packages=["sse-stubs"],
    package_data={"sse-stubs": ["*.pyi"]},
    install_requires=["six"],
    python_requires=">=2.7, !=3.0.*, !=3.1.*",
    options={"bdist_wheel": {"python_tag": "py2.py3"}},
    keywords="server-sent events event stream eventsource wsgi",
    classifiers=[
        "Development Status :: 5 - Production/Stable",
        "Environment :: Web Environment",
        "Intended Audience :: Developers",
        "Operating System :: OS Independent",
        "Programming Language :: Python :: 2",
        "Programming Language :: Python :: 2.7",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.6",
        "Programming Language :: Python :: 3.7",
        "Programming Language :: Python :: 3.8",
        "Programming Language :: Python :: 3.9",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Programming Language :: Python :: 3.14",
        "Programming Language :: Python :: 3.15",
        "Programming Language :: Python :: Implementation :: CPython",
        "Programming Language :: Python :: Implementation :: PyPy",
        "Topic :: Internet :: WWW/HTTP :: WSGI",
        "Topic :: Software Development :: Libraries :: Python Modules",
    ],
)
