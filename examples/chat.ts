/**
 * A chat on the command line over one WebSocket (everywire.v1), without any library. Lines of standard input are
 * published; after a cut it comes back with its cursor, and repeats what was not acknowledged under the same key, so
 * that nothing is missed and nothing is said twice.
 *
 *     npx node examples/chat.ts ws://localhost:8080 room-1 anna
 */
import { randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';

const [server, room, name] = process.argv.slice(2);
if (server === undefined || room === undefined || name === undefined) {
  throw new Error('usage: chat.ts <server> <room> <name>');
}
const channel = `chat/${room}`;
const comeBackMs = 1_000;

interface Line {
  readonly name: string;
  readonly text: string;
}
type Frame =
  | { readonly op: 'message'; readonly cursor: string; readonly data: Line }
  | { readonly op: 'gap'; readonly cursor: string }
  | { readonly op?: undefined; readonly id: string; readonly ok: boolean; readonly cursor: string };

let cursor: string | undefined;
/** What was said and is not acknowledged yet, by its key, which is also the id of the command. */
const unacknowledged = new Map<string, Line>();
let socket = connect();

function connect(): WebSocket {
  const opened = new WebSocket(`${server!}/ws`, 'everywire.v1');
  opened.onopen = () => {
    const from = cursor === undefined ? { since: 'last-10' } : { after: cursor };
    opened.send(JSON.stringify({ id: 'subscribe', op: 'subscribe', channel, ...from }));
    for (const key of unacknowledged.keys()) publish(opened, key);
  };
  opened.onmessage = ({ data }) => receive(JSON.parse(String(data)) as Frame);
  opened.onclose = ({ code, reason }) => {
    console.error(`disconnected (${code} ${reason}); coming back`);
    setTimeout(() => {
      socket = connect();
    }, comeBackMs);
  };
  return opened;
}

function receive(frame: Frame): void {
  if (frame.op === 'message') {
    cursor = frame.cursor;
    console.log(`${frame.data.name}: ${frame.data.text}`);
  } else if (frame.op === 'gap') {
    cursor = frame.cursor;
    console.error('some of what was said is gone');
  } else if (!frame.ok) {
    console.error(`refused: ${JSON.stringify(frame)}`);
    unacknowledged.delete(frame.id);
  } else if (frame.id === 'subscribe') {
    cursor = frame.cursor;
    console.error(`you are in ${channel}`);
  } else {
    unacknowledged.delete(frame.id);
  }
}

function publish(to: WebSocket, key: string): void {
  to.send(JSON.stringify({ id: key, op: 'publish', channel, data: unacknowledged.get(key), key }));
}

createInterface({ input: process.stdin }).on('line', (text) => {
  const key = randomUUID();
  unacknowledged.set(key, { name, text });
  if (socket.readyState === WebSocket.OPEN) publish(socket, key);
});
