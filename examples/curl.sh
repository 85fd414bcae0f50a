#!/bin/sh
# Publishes two messages and reads them over four transports with nothing but curl, always after the same cursor.
#
#   sh examples/curl.sh [http://localhost:8080]
set -eu
server=${1:-http://localhost:8080}
channel="$server/channels/examples/curl-$$"

echo '# publish: the receipt has the cursor'
receipt=$(curl -sS --fail -H 'Content-Type: text/plain' -d 'first' "$channel")
echo "$receipt"
cursor=$(printf '%s' "$receipt" | sed 's/.*"cursor":"\([^"]*\)".*/\1/')
curl -sS --fail -o /dev/null -H 'Content-Type: text/plain' -d 'second' "$channel"

echo '# polling: what came after the cursor'
curl -sS --fail "$channel?after=$cursor"
echo

echo '# long polling: the same, but it waits when there is nothing yet'
curl -sS --fail "$channel?after=$cursor&wait=10s"
echo

# The next two never end; --max-time ends them, which curl reports as exit code 28.
follow() {
  curl -sSN --max-time 1 -H "Accept: $1" "$channel?after=$cursor" 2>/dev/null || [ $? -eq 28 ]
}

echo '# HTTP streaming: one envelope a line'
follow application/x-ndjson

echo '# Server-Sent Events: the id is the cursor'
follow text/event-stream
