/**
 * A chat on the command line with `socket.io-client`, connected straight to Everywire: no server of one's own. Lines of
 * standard input are published; the library comes back by itself after a cut, and what was missed is sent before it says so.
 *
 *     npx node examples/socketio-client.ts http://localhost:8080 room-1 anna
 */
import { randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';
import { io } from 'socket.io-client';

const [server, room, name] = process.argv.slice(2);
if (server === undefined || room === undefined || name === undefined) {
  throw new Error('usage: socketio-client.ts <server> <room> <name>');
}

interface Line {
  readonly name: string;
  readonly text: string;
}
interface Answer {
  readonly ok: boolean;
  readonly error?: { readonly code: string; readonly message: string };
}

// The library waits up to 5 s between its attempts; a chat may be more impatient.
const socket = io(`${server}/chat`, { reconnectionDelayMax: 1_000 });

socket.on('connect', () => {
  if (socket.recovered) console.error('back, with everything that was missed');
  else void enter();
});
socket.on('disconnect', (reason) => console.error(`away: ${reason}`));
socket.on('message', ({ name: from, text }: Line) => console.log(`${from}: ${text}`));
socket.on('everywire.gap', (gap: object) =>
  console.error(`some of what was said is gone: ${JSON.stringify(gap)}`),
);

/** A new session, as at the start, or when the old one was forgotten: nothing is followed yet. */
async function enter(): Promise<void> {
  const answer = (await socket.emitWithAck('subscribe', room, { since: 'last-10' })) as Answer;
  if (!answer.ok) throw new Error(answer.error!.message);
  console.error(`you are in chat/${room!}`);
}

/** Under one key however often it is sent, so that it is said once. */
async function say(text: string): Promise<void> {
  const key = randomUUID();
  for (;;) {
    try {
      const answer = (await socket
        .timeout(5_000)
        .emitWithAck('publish', room, { name, text }, { key })) as Answer;
      if (!answer.ok) console.error(`refused: ${answer.error!.message}`);
      return;
    } catch {
      console.error('no answer; trying again');
    }
  }
}

createInterface({ input: process.stdin }).on('line', (text) => void say(text));
