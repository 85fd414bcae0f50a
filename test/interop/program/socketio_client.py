"""python-socketio as applications use it, told what to do by lines of JSON: [command, ...arguments]. Answers and events are lines of JSON."""

import json
import sys
import threading

import socketio

url, transports = sys.argv[1], sys.argv[2].split(",")
client = socketio.Client(reconnection_delay=0.05, reconnection_delay_max=0.3)
lock = threading.Lock()


def say(*what):
    with lock:
        print(json.dumps(what, default=list), flush=True)


@client.event
def connect():
    say("connected")


@client.event
def disconnect():
    say("disconnected")


@client.on("*")
def anything(event, data, meta, cursor):
    say("event", event, data, meta["offset"], cursor == meta["cursor"])


client.connect(url, transports=transports)
for line in sys.stdin:
    command, *arguments = json.loads(line)
    if command == "bytes":
        say("answer", client.call("publish", (arguments[0], bytes(arguments[1]))))
    elif command == "wire":
        say("answer", client.transport())
    elif command == "leave":
        client.disconnect()
        break
    else:
        say("answer", client.call(command, tuple(arguments)))
