"""Paho for Python with the token on standard input: HOST PORT 4|5 TOPIC. Prints what CONNECT and SUBSCRIBE were answered."""

import json
import queue
import sys

from paho.mqtt import client as mqtt

host, port, version, topic = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
PATIENCE_SECONDS = 20


def int_of(code):
    return code if isinstance(code, int) else code.value


def connect(password):
    options = {"client_id": "", "protocol": version}
    if hasattr(mqtt, "CallbackAPIVersion"):
        options["callback_api_version"] = mqtt.CallbackAPIVersion.VERSION1
    client = mqtt.Client(**options)
    connected, granted = queue.Queue(), queue.Queue()
    client.on_connect = lambda _c, _u, _flags, code, *_: connected.put(int_of(code))
    client.on_subscribe = lambda _c, _u, _mid, codes, *_: granted.put([int_of(code) for code in codes])
    client.username_pw_set("", password)
    client.connect(host, port)
    client.loop_start()
    code = connected.get(timeout=PATIENCE_SECONDS)
    return client, code, granted


refused, bad, _ = connect("no token")
refused.loop_stop()
client, good, granted = connect(sys.stdin.read())
answers = []
for asked in (topic, f"{topic}/denied"):
    client.subscribe(asked, qos=1)
    answers.append(granted.get(timeout=PATIENCE_SECONDS)[0])
client.disconnect()
client.loop_stop()
print(json.dumps({"bad": bad, "good": good, "granted": answers}))
