# Copyright: (c) 2026, The mlops.platform maintainers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How the doctor looks: commands, files, HTTP and ports, each with a time limit and with words in place of exceptions."""

from __future__ import annotations

import base64
import http.client
import os
import re
import socket
import ssl
import subprocess

SECONDS = 6


def words(problem):
    """Return an exception's text on one line."""
    return " ".join(f"{getattr(problem, 'strerror', None) or problem}".split())[:1000] or type(problem).__name__


def output(argv, stdin=None, timeout=SECONDS):
    """Run a command; return (exit code, stdout, stderr). The code is None where it cannot be run or does not end."""
    try:
        done = subprocess.run(
            argv,
            input=stdin,
            stdin=None if stdin else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            cwd="/",
        )
    except (OSError, subprocess.SubprocessError) as problem:
        return None, "", words(problem)
    return done.returncode, done.stdout, done.stderr.strip()


def read(path, limit=None):
    """Return the text of a file, of the whole lines in its last `limit` bytes; None where it cannot be read."""
    try:
        with open(path, "rb") as stream:
            # the files of /proc have no end to seek
            begin = max(0, stream.seek(0, os.SEEK_END) - limit) if limit else 0
            stream.seek(begin)
            content = stream.read()
    except OSError:
        return None
    # half a line may hold half a secret, which nobody would recognise
    return (content.partition(b"\n")[2] if begin else content).decode("utf-8", "replace")


def environment(text):
    """Return the variables of an environment file of roles/local_service as a dict."""
    found = {}
    for name, value in re.findall(r'^(\w+)="(.*)"$', text or "", re.M):
        found[name] = re.sub(r'\\([\\"$`])', r"\1", value)
    return found


def connect(address, port, timeout=SECONDS):
    """Return (whether something accepts connections there, the kernel's words)."""
    try:
        socket.create_connection((address, port), timeout=timeout).close()
    except OSError as problem:
        return False, words(problem)
    return True, ""


def get(host, port, path, login=None, host_header=None, tls=False, timeout=SECONDS):
    """Ask for `path`; return {status, body, date, said}: status is None where there was no answer, and said why.

    A certificate is not checked: that is a check of its own.
    """
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=timeout)
    headers = {"Host": host_header} if host_header else {}
    if login:
        headers["Authorization"] = "Basic " + base64.b64encode(":".join(login).encode()).decode()
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read(100000).decode("utf-8", "replace")
        return {
            "status": answer.status,
            "body": body,
            "date": answer.getheader("Date") or "",
            "said": f"{answer.status} {' '.join(body[:300].split())}",
        }
    except (OSError, http.client.HTTPException, ValueError) as problem:
        return {"status": None, "body": "", "date": "", "said": words(problem)}
    finally:
        connection.close()
