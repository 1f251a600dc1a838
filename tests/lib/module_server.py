"""Runs modules for lib.modules, each in a process of its own that is forked from this one, where what modules import is loaded already.

Started with the path of the collections and the number of a socket's end. A request is the file descriptors of a file with the request,
of files for the output and for the errors, and of a pipe that is closed when the module has ended. The server ends with its client.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import traceback

from ansible.module_utils.testing import patch_module_args
from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder

MODULES = "ansible_collections.mlops.platform.plugins.modules."
# what modules import only when they need it: by the beginning of their names
LIBRARIES = {"cluster": ("kubernetes",), "s3": ("botocore.session",), "minio": ("minio", "minio.credentials")}


def prepare(name):
    """Load what module `name` imports. What cannot be loaded is the module's to tell."""
    for library in (MODULES + name, *LIBRARIES.get(name.split("_")[0], ())):
        with contextlib.suppress(ImportError):
            importlib.import_module(library)
    # it runs as __main__
    sys.modules.pop(MODULES + name, None)


def run(name, arguments):
    """Run a module as a program; return its exit code."""
    try:
        with patch_module_args(arguments):
            runpy.run_module(MODULES + name, run_name="__main__", alter_sys=True)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def serve(request, output, errors):
    """Be the process of one module."""
    for number, descriptor in enumerate((os.open(os.devnull, os.O_RDONLY), output, errors)):
        os.dup2(descriptor, number)
    os.environ.clear()
    os.environ.update(request["environ"])
    os.chdir(request["directory"])
    code = run(request["name"], request["arguments"])
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main():
    """Take requests until the client has ended."""
    # modules find nothing of the tests
    sys.path[0] = ""
    _AnsibleCollectionFinder(paths=[sys.argv[1]])._install()
    connection = socket.socket(fileno=int(sys.argv[2]))
    # an interrupt is for the tests; they end the server
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    children = set()
    while True:
        message, descriptors, _flags, _address = socket.recv_fds(connection, 1, 4)
        children -= {child for child in children if os.waitpid(child, 0 if not message else os.WNOHANG)[0]}
        if not message:
            return
        with open(descriptors[0], encoding="utf-8") as file:
            request = json.load(file)
        prepare(request["name"])
        # The first child waits for the second and ends: so the pipe is closed then, though the module may have left a process behind.
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            connection.close()
            module = os.fork()
            if module == 0:
                os.close(descriptors[3])
                serve(request, descriptors[1], descriptors[2])
            os.waitpid(module, 0)
            os._exit(0)
        children.add(child)
        for descriptor in descriptors[1:]:
            os.close(descriptor)


if __name__ == "__main__":
    main()
