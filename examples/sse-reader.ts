/**
 * Follows a channel by Server-Sent Events with plain `fetch`, and keeps its cursor in a file: stop it, publish, start
 * it again, and it resumes at the cursor.
 *
 *     npx node examples/sse-reader.ts http://localhost:8080/channels/demo cursor.txt
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const [url, file] = process.argv.slice(2);
if (url === undefined || file === undefined)
  throw new Error('usage: sse-reader.ts <url of a channel> <file>');

interface ServerEvent {
  readonly id: string | undefined;
  readonly name: string;
  readonly data: string | undefined;
}

let cursor = existsSync(file) ? readFileSync(file, 'utf8') : undefined;
let retryMs = 2_000;

for (;;) {
  try {
    for await (const event of listen(url, cursor)) handle(event);
    console.error('the server ended the stream');
  } catch (error) {
    console.error(`the connection is lost: ${String(error)}`);
  }
  await sleep(retryMs);
}

function handle({ id, name, data }: ServerEvent): void {
  // The server reports lost offsets as an event of this name; it never skips them without a notice.
  if (name === 'everywire.gap') console.error(`gap: ${data}`);
  // Other events of the server, such as everywire.position, only move the cursor.
  else if (data !== undefined && !name.startsWith('everywire.')) console.log(data);
  if (id === undefined) return;
  // After the work, so that a crash in between repeats the message instead of losing it.
  cursor = id;
  writeFileSync(file!, cursor);
}

async function* listen(from: string, after: string | undefined): AsyncGenerator<ServerEvent> {
  const headers = { Accept: 'text/event-stream', ...(after === undefined ? {} : { 'Last-Event-ID': after }) };
  const answer = await fetch(from, { headers });
  if (!answer.ok || answer.body === null) throw new Error(`${answer.status} ${await answer.text()}`);
  let text = '';
  for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
    text += piece;
    const blocks = text.split('\n\n');
    text = blocks.pop()!;
    for (const block of blocks) yield parse(block);
  }
}

/** One event: lines of `field: value`, where several `data` lines are one value (HTML §9.2.6). */
function parse(block: string): ServerEvent {
  const fields = new Map<string, string>();
  for (const line of block.split('\n')) {
    const [, field, value] = /^([a-z]+): ?(.*)$/.exec(line) ?? [];
    if (field === undefined || value === undefined) continue;
    const known = field === 'data' ? fields.get('data') : undefined;
    fields.set(field, known === undefined ? value : `${known}\n${value}`);
  }
  retryMs = Number(fields.get('retry') ?? retryMs);
  return { id: fields.get('id'), name: fields.get('event') ?? 'message', data: fields.get('data') };
}
