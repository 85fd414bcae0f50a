"""A webhook receiver without dependencies: verifies the signature, drops what it has seen, prints the rest.

    python3 examples/webhook_receiver.py 9000 whsec_…

The server has to be allowed to call it: EVERYWIRE_WEBHOOKS__ALLOW_TARGETS=127.0.0.1
"""

import base64
import hashlib
import hmac
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

port = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
key = base64.b64decode(sys.argv[2].removeprefix("whsec_")) if len(sys.argv) > 2 else b""
TOLERANCE_SECONDS = 300
# In real life: a table, written in the same transaction as what the message does.
seen = set()


def is_genuine(headers, body):
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdigit() or abs(time.time() - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    mac = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    expected = "v1," + base64.b64encode(mac).decode()
    return any(hmac.compare_digest(one, expected) for one in headers.get("webhook-signature", "").split())


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if not is_genuine(self.headers, body):
            self.answer(401)
            return
        message = json.loads(body)
        if self.headers["webhook-id"] not in seen:
            print(message["channel"], message["offset"], json.dumps(message.get("data")), flush=True)
        seen.add(self.headers["webhook-id"])
        self.answer(204)

    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", port), Receiver)
print(f"listening on {server.server_address[1]}", file=sys.stderr, flush=True)
server.serve_forever()
