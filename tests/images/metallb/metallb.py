"""A stand-in for MetalLB 0.12's controller and speaker, with what a layer-2 pool needs of them, in the manifest's own pods and rights.

    metallb.py controller|speaker --port=7472 --config=config ...

The controller gives Services of type LoadBalancer addresses of the ConfigMap's pools. The speaker of one node, the first by name that is
Ready, answers ARP for them on the interface that has its node's address. There is no BGP, no memberlist and no IPv6; pools are for all.
"""

from __future__ import annotations

import argparse
import fcntl
import http.server
import ipaddress
import json
import os
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import yaml

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
NAMESPACE = "metallb-system"
# RFC 826
ETHERTYPE_ARP, REQUEST, REPLY = 0x0806, 1, 2
# linux/sockios.h, linux/if_arp.h
SIOCGIFADDR, SIOCGIFHWADDR = 0x8915, 0x8927
SECONDS = 2


def ask(path: str, method: str = "GET", body: dict | None = None) -> dict:
    """Return what the API server answers. Raises urllib.error.URLError."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    headers = {"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}", "Content-Type": "application/json"}
    request = urllib.request.Request(
        f"https://{host}:{port}{path}", None if body is None else json.dumps(body).encode(), headers, method=method
    )
    context = ssl.create_default_context(cafile=ACCOUNT / "ca.crt")
    # the cluster's authority may be one without the extensions that Python asks for since 3.13; Go's clients do not
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    with urllib.request.urlopen(request, context=context, timeout=10) as answer:  # noqa: S310 the scheme stands above
        return json.load(answer)


def balanced() -> list[dict]:
    """Return the Services of type LoadBalancer. Raises URLError."""
    return [one for one in ask("/api/v1/services")["items"] if one["spec"]["type"] == "LoadBalancer"]


def given(service: dict) -> list[str]:
    """Return the addresses in a Service's status."""
    return [one["ip"] for one in service["status"].get("loadBalancer", {}).get("ingress", [])]


def pool(name: str):
    """Return the addresses of the layer-2 pools that assign by themselves. Raises URLError."""
    config = yaml.safe_load(ask(f"/api/v1/namespaces/{NAMESPACE}/configmaps/{name}")["data"]["config"]) or {}
    for one in config.get("address-pools", []):
        if one["protocol"] != "layer2" or not one.get("auto-assign", True):
            continue
        for part in one["addresses"]:
            first, _dash, last = part.partition("-")
            if last:
                begin, end = (int(ipaddress.ip_address(text.strip())) for text in (first, last))
                yield from (str(ipaddress.ip_address(number)) for number in range(begin, end + 1))
            else:
                yield from map(str, ipaddress.ip_network(part))


def assign(config: str) -> None:
    """Give each Service that has no address a free one. Raises URLError."""
    services = balanced()
    taken = {ip for one in services for ip in given(one)}
    for service in services:
        if given(service):
            continue
        found = next((ip for ip in pool(config) if ip not in taken), None)
        if found is None:
            print(f"no address is left for {service['metadata']['name']}")
            continue
        taken.add(found)
        service["status"]["loadBalancer"] = {"ingress": [{"ip": found}]}
        meta = service["metadata"]
        ask(f"/api/v1/namespaces/{meta['namespace']}/services/{meta['name']}/status", "PUT", service)
        print(f"{meta['namespace']}/{meta['name']}: {found}")


def announced(node: str) -> set[str]:
    """Return the addresses that `node` answers for. Raises URLError."""
    ready = sorted(
        one["metadata"]["name"]
        for one in ask("/api/v1/nodes")["items"]
        if any(state["type"] == "Ready" and state["status"] == "True" for state in one["status"]["conditions"])
    )
    return {ip for one in balanced() for ip in given(one)} if ready[:1] == [node] else set()


def interface(address: str) -> tuple[str, bytes]:
    """Return the name and the hardware address of the interface that has `address`. Raises LookupError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _number, name in socket.if_nameindex():
            wish = struct.pack("256s", name.encode()[:15])
            try:
                has = socket.inet_ntoa(fcntl.ioctl(asking, SIOCGIFADDR, wish)[20:24])
            except OSError:
                continue
            if has == address:
                return name, fcntl.ioctl(asking, SIOCGIFHWADDR, wish)[18:24]
    raise LookupError(f"no interface has {address}")


def frame(operation: int, mac: bytes, ip: str, to_mac: bytes, to_ip: str) -> bytes:
    """Return an ARP packet for IPv4 over Ethernet that says that `ip` is at `mac`."""
    said = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation)
    return to_mac + mac + struct.pack("!H", ETHERTYPE_ARP) + said + mac + socket.inet_aton(ip) + to_mac + socket.inet_aton(to_ip)


def speak(node: str, address: str) -> None:
    """Answer ARP for what this node announces, for ever."""
    name, mac = interface(address)
    mine: set[str] = set()
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE_ARP))
    wire.bind((name, ETHERTYPE_ARP))
    wire.settimeout(SECONDS)
    looked = 0.0
    while True:
        if time.monotonic() - looked > SECONDS:
            try:
                now = announced(node)
            except urllib.error.URLError as problem:
                print(f"the API server does not answer: {problem}")
                now = mine
            for ip in now - mine:
                print(f"announcing {ip} on {name}")
                wire.send(frame(REPLY, mac, ip, b"\xff" * 6, ip))
            mine, looked = now, time.monotonic()
        try:
            heard = wire.recv(64)
        except TimeoutError:
            continue
        operation, sender, asker, wanted = heard[20:22], heard[22:28], heard[28:32], socket.inet_ntoa(heard[38:42])
        if operation == struct.pack("!H", REQUEST) and wanted in mine:
            wire.send(frame(REPLY, mac, wanted, sender, socket.inet_ntoa(asker)))


class Metrics(http.server.BaseHTTPRequestHandler):
    """What the probes ask for."""

    def do_GET(self) -> None:
        """Answer that it is up."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"metallb_standin 1\n")

    def log_message(self, *_unused) -> None:
        """Say nothing of probes."""


def main() -> int:
    """Be the part that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["controller", "speaker"])
    parser.add_argument("--port", type=int, default=7472)
    parser.add_argument("--config", default="config")
    options, _others = parser.parse_known_args()
    server = http.server.ThreadingHTTPServer(("", options.port), Metrics)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    if options.part == "speaker":
        speak(os.environ["METALLB_NODE_NAME"], os.environ["METALLB_HOST"])
    while True:
        try:
            assign(options.config)
        except urllib.error.URLError as problem:
            print(f"the API server does not answer: {problem}")
        time.sleep(SECONDS)


if __name__ == "__main__":
    sys.exit(main())
