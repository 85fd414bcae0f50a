"""Paho for Python against a server: HOST PORT tcp|websockets 4|5. Prints one JSON object: what it was given."""

import json
import queue
import sys

from paho.mqtt import client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

host, port, transport, version = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
PATIENCE_SECONDS = 20
prefix = f"paho/{transport}/{version}"


class Client:
    """One connection; what happens to it is taken from queues."""

    def __init__(self, client_id, clean, will=None):
        options = {"client_id": client_id, "transport": transport, "protocol": version}
        if version == mqtt.MQTTv311:
            options["clean_session"] = clean
        # The second major version asks which callbacks are meant.
        if hasattr(mqtt, "CallbackAPIVersion"):
            options["callback_api_version"] = mqtt.CallbackAPIVersion.VERSION1
        self.client = mqtt.Client(**options)
        if transport == "websockets":
            self.client.ws_set_options(path="/mqtt")
        if will is not None:
            self.client.will_set(*will)
        self.messages, self.connected = queue.Queue(), queue.Queue()
        self.granted, self.published = queue.Queue(), queue.Queue()
        self.client.on_message = lambda _c, _u, message: self.messages.put(message)
        self.client.on_connect = lambda _c, _u, flags, code, *_: self.connected.put((flags, int_of(code)))
        self.client.on_subscribe = lambda _c, _u, _mid, codes, *_: self.granted.put([int_of(c) for c in codes])
        self.client.on_publish = lambda _c, _u, mid: self.published.put(mid)
        connect = {}
        if version == mqtt.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 0 if clean else 3600
            connect = {"clean_start": clean, "properties": properties}
        self.client.connect(host, port, keepalive=30, **connect)
        self.client.loop_start()
        flags, code = self.connected.get(timeout=PATIENCE_SECONDS)
        assert code == 0, f"CONNACK {code}"
        self.session_present = bool(flags["session present"])

    def subscribe(self, topic, qos):
        self.client.subscribe(topic, qos)
        return self.granted.get(timeout=PATIENCE_SECONDS)

    def publish(self, topic, payload, qos, retain=False, properties=None):
        self.client.publish(topic, payload, qos, retain, **({} if properties is None else {"properties": properties}))
        self.published.get(timeout=PATIENCE_SECONDS)

    def next(self):
        return self.messages.get(timeout=PATIENCE_SECONDS)

    def leave(self):
        self.client.disconnect()
        self.client.loop_stop()

    def vanish(self):
        """Ends the connection without a DISCONNECT."""
        self.client.loop_stop()
        self.client.socket().close()


def int_of(code):
    return getattr(code, "value", code)


def told(message):
    return [message.topic, message.payload.decode(), message.qos, bool(message.retain)]


result = {}

writer, reader = Client("", True), Client("", True)
result["granted"] = [reader.subscribe(f"{prefix}/qos/{qos}", qos) for qos in (0, 1, 2)]
for qos in (0, 1, 2):
    for number in range(20):
        writer.publish(f"{prefix}/qos/{qos}", f"{number}", qos)
result["delivered"] = [told(reader.next()) for _ in range(60)]

writer.publish(f"{prefix}/kept/one", "kept", 1, retain=True)
reader.subscribe(f"{prefix}/kept/+", 1)
result["retained"] = told(reader.next())

away = Client(f"away-{transport}-{version}", False)
result["new"] = away.session_present
away.subscribe(f"{prefix}/away", 2)
away.leave()
for number in range(5):
    writer.publish(f"{prefix}/away", f"{number}", 2)
back = Client(f"away-{transport}-{version}", False)
result["returned"] = back.session_present
result["meanwhile"] = [told(back.next())[1:3] for _ in range(5)]

reader.subscribe(f"{prefix}/will", 1)
mortal = Client("", True, will=(f"{prefix}/will", "gone", 1, False))
mortal.vanish()
result["will"] = told(reader.next())

if version == mqtt.MQTTv5:
    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = [("a", "1"), ("b", "2"), ("a", "3")]
    properties.ContentType = "text/csv"
    properties.ResponseTopic = "answers"
    properties.CorrelationData = b"\x00\x01\xff"
    properties.PayloadFormatIndicator = 1
    properties.MessageExpiryInterval = 3600
    reader.subscribe(f"{prefix}/properties", 1)
    writer.publish(f"{prefix}/properties", "x", 1, properties=properties)
    given = reader.next().properties
    result["properties"] = {
        "user": given.UserProperty,
        "type": given.ContentType,
        "response": given.ResponseTopic,
        "correlation": given.CorrelationData.hex(),
        "format": given.PayloadFormatIndicator,
    }

for each in (writer, reader, back):
    each.leave()
print(json.dumps(result))
