"""Somebody else's STOMP client (stomp.py), driven by lines of JSON on standard input, telling on standard output. A token is in STOMP_PASSCODE.

usage: stomp_peer.py <port> <version> [<file of authorities, for TLS>]
"""
import json
import os
import sys

import stomp

port, version = int(sys.argv[1]), sys.argv[2]
kinds = {"1.0": stomp.Connection10, "1.1": stomp.Connection11, "1.2": stomp.Connection12}
connection = kinds[version]([("127.0.0.1", port)])
if len(sys.argv) > 3:
    connection.set_ssl([("127.0.0.1", port)], ca_certs=sys.argv[3])


def tell(kind, frame):
    print(json.dumps({"kind": kind, "headers": frame.headers, "body": frame.body}), flush=True)


class Listener(stomp.ConnectionListener):
    def on_connected(self, frame):
        tell("connected", frame)

    def on_message(self, frame):
        tell("message", frame)

    def on_receipt(self, frame):
        tell("receipt", frame)

    def on_error(self, frame):
        tell("error", frame)


connection.set_listener("", Listener())
passcode = os.environ.get("STOMP_PASSCODE", "")
connection.connect("" if passcode else "peer", passcode, wait=True)
for line in sys.stdin:
    method, arguments = json.loads(line)
    getattr(connection, method)(**arguments)
