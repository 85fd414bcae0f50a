"""Follows a channel or a filter by long polling, with Python's standard library only.

    python3 examples/long_poll.py 'http://localhost:8080/channels/demo' [cursor]

Each message is a line of JSON. With a cursor, of whatever transport, it goes on from there.
"""

import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request


def poll(url, query):
    request = urllib.request.Request(f"{url}?{urllib.parse.urlencode(query)}")
    # Longer than the server waits, so that silence this long means that it is gone.
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def follow(url, cursor):
    query = {"wait": "30s"}
    while True:
        if cursor is not None:
            query["after"] = cursor
        try:
            page = poll(url, query)
        except urllib.error.HTTPError as refusal:
            problem = json.load(refusal)
            if refusal.code != 503:
                sys.exit(f"refused: {problem['detail']}")
            time.sleep(int(refusal.headers.get("Retry-After", "2")))
            continue
        except OSError as error:
            print(f"cannot reach the server: {error}", file=sys.stderr)
            time.sleep(2)
            continue
        if "gap" in page:
            print(f"gap: {page['gap']}", file=sys.stderr)
        yield from page["messages"]
        # After the messages were handled: a crash before this repeats them instead of losing them.
        cursor = page["cursor"]


if __name__ == "__main__":
    try:
        for message in follow(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None):
            print(json.dumps(message, ensure_ascii=False), flush=True)
    except KeyboardInterrupt:
        sys.exit(130)
