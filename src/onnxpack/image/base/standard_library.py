"""The modules of Python's standard library that a server never imports, for the Debian base."""

from __future__ import annotations

_PACKAGES = (
    "dbm", "curses", "distutils", "ensurepip", "idlelib", "lib2to3", "pydoc_data",
    "sqlite3", "test", "tkinter", "turtledemo", "unittest", "venv", "xml", "xmlrpc",
    "_pyrepl", "__pycache__",
)  # fmt: skip
_MODULES = (
    "_aix_support", "_osx_support", "_pydecimal", "_pyio", "aifc", "antigravity", "bdb",
    "cProfile", "cgi", "cgitb", "chunk", "colorsys", "doctest", "filecmp", "fileinput",
    "ftplib", "imaplib", "imghdr", "mailbox", "mailcap", "modulefinder", "nntplib", "optparse",
    "pdb", "pickletools", "pipes", "plistlib", "poplib", "profile", "pstats", "pyclbr", "pydoc",
    "rlcompleter", "sitecustomize", "smtpd", "smtplib", "sndhdr", "sunau", "tabnanny", "telnetlib",
    "this", "trace", "turtle", "uu", "wave", "webbrowser", "xdrlib", "zipapp",
    "asyncio/proactor_events", "asyncio/windows_events", "asyncio/windows_utils",
    "http/cookiejar",
)  # fmt: skip
_EXTENSIONS = (
    "_codecs_(cn|hk|iso2022|jp|kr|tw)", "_crypt", "_curses", "_curses_panel", "_dbm",
    "_elementtree", "_gdbm", "_multibytecodec", "_sqlite3", "_test.*", "_tkinter",
    "_xxsubinterpreters", "_xxtestfuzz", "audioop", "nis", "ossaudiodev", "pyexpat", "readline",
    "xx.*",
)  # fmt: skip
# Kept: paths and names in zip files use cp437, cp1252, Latin-1 and -9, and Unicode.
_CODECS = (
    "big5.*", "cp(?!437|1252)[0-9]+", "cp_.*", "euc_.*", "gb.*", "hp_roman8", "hz", "iso2022_.*",
    "iso8859_(?!1\\.|15\\.)[0-9]+", "johab", "koi8_.*", "kz1048", "mac_.*", "mbcs", "oem", "palmos",
    "ptcp154", "shift_jis.*", "tis_620",
)  # fmt: skip

_ROOT = "usr/lib/python3[^/]*"
UNUSED = "|".join(
    (
        rf"{_ROOT}/({'|'.join(_PACKAGES)})(/.*)?",
        rf"{_ROOT}/({'|'.join(_MODULES)})\.py",
        rf"{_ROOT}/lib-dynload/({'|'.join(_EXTENSIONS)})\.cpython-.*",
        rf"{_ROOT}/encodings/({'|'.join(_CODECS)})\.py",
        rf"{_ROOT}/config-.*",
    )
)
"""A pattern of the unused paths, relative to the root of a base."""
