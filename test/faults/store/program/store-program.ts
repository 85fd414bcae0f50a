import { createInterface } from 'node:readline';
import type { Position } from '@everywire/protocol';
import type { Feed, Store } from '../../../../packages/server/src/core/seams/store.ts';
import type { Message } from '../../../../packages/server/src/core/log/message.ts';
import type { Log } from '../../../../packages/server/src/core/seams/log.ts';
import type { Sighting } from '../../checker/history.ts';
import { type CallLine, type Calls, type ProgramOptions, type ReadAll, type ReadGap } from '../calls.ts';
import { valueOf } from './drafts.ts';
import { nowNs, tell, writeLine } from './output.ts';
import { Crowd, Publisher, toRefusal } from './publisher.ts';
import { buildIn } from './sabotage.ts';

const options = JSON.parse(process.argv[2] ?? '{}') as ProgramOptions;
const finishSabotage = options.sabotage === undefined ? undefined : buildIn(options.sabotage);

// Only what a store needs: these processes are started thousands of times. After the hooks, which change what is loaded.
const { createStore } = await import('../../../../packages/server/src/stores/index.ts');
const { parseFilter } = await import('@everywire/protocol');
const { coreLimits, defaultsOf } = await import('../../../../packages/server/src/core/limits.ts');
const { createIds } = await import('../../../../packages/server/src/core/log/ids.ts');
const { systemClock } = await import('../../../../packages/server/src/runtime/clock.ts');
const { createSystemRandom } = await import('../../../../packages/server/src/runtime/random.ts');

const limits = defaultsOf(coreLimits);
const random = createSystemRandom();
const makeId = createIds(systemClock, random);
const atOnce = 16;
const pageLimit = { messagesMax: 1_000, bytesMax: 1024 * 1024 };
let opened: Store | undefined;
let publisher: Publisher | undefined;
let crowd: Crowd | undefined;
/** The store was closed. */
let isDone = false;

const log: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: (fields, text) => writeLog('warn', fields, text),
  error: (fields, text) => writeLog('error', fields, text),
};

const feed: Feed = {
  appended(_channel, messages) {
    const { feedName } = options;
    if (feedName === undefined) return;
    for (const message of messages) {
      tell({ kind: 'delivered', atNs: nowNs(), subscriber: feedName, ...sightingOf(message) });
    }
  },
  interrupted: () => undefined,
  dropped: () => undefined,
};

/** As `everywire serve` does: an orderly exit would walk through damaged memory, and may hang there. */
function onFatal(error: unknown): void {
  writeLog('error', { err: error }, 'the store asked for a new process');
  writeLine({ kind: 'fatal' });
  endAtOnce();
}

function endAtOnce(): void {
  process.kill(process.pid, 'SIGKILL');
}

type Handlers = {
  readonly [Op in keyof Calls]: (...args: Parameters<Calls[Op]>) => Promise<ReturnType<Calls[Op]>>;
};

const handlers: Handlers = {
  async open({ url }) {
    const startedMs = performance.now();
    isDone = false;
    const store = await createStore(url, {
      clock: systemClock,
      random,
      limits,
      log,
      onFatal,
    });
    finishSabotage?.();
    await store.open(feed);
    opened = store;
    publisher = new Publisher(store, makeId);
    const head = await store.locate(parseFilter('**', limits), { kind: 'latest' });
    return { head, tookMs: performance.now() - startedMs };
  },
  async publish({ client, publishes }) {
    // Some at a time, as clients that come back together do: the store flushes once for them.
    for (let at = 0; at < publishes.length; at += atOnce) {
      const together = publishes.slice(at, at + atOnce);
      await Promise.all(together.map((publish) => theOpen(publisher).append([publish], client)));
    }
    return null;
  },
  async start(load) {
    crowd = new Crowd(load, theOpen(publisher));
    return null;
  },
  stop: async () => theOpen(crowd).stop(),
  ended: async () => theOpen(crowd).ended(),
  read: ({ filter, after }) => readAll(filter, after),
  async channels() {
    const all = await theOpen(opened).channels(parseFilter('**', limits), undefined, 10_000);
    return all.map(({ channel, offset, firstOffset }) => ({ channel, offset, firstOffset }));
  },
  drop: ({ channel }) => theOpen(opened).drop(channel),
  async sweep() {
    const ageMsMax = Number.MAX_SAFE_INTEGER;
    await theOpen(opened).sweep(Date.now(), () => ({ countMax: ageMsMax, ageMsMax, bytesMax: ageMsMax }));
    return null;
  },
  health: async () => theOpen(opened).health(),
  async close() {
    await theOpen(opened).close();
    opened = undefined;
    isDone = true;
    return null;
  },
  async verify({ path }) {
    const { verifyStore } = await import('../../../../packages/server/src/stores/lmdb/verify.ts');
    return (await verifyStore(path)).problems;
  },
};

async function readAll(text: string, after: Position | undefined): Promise<ReadAll> {
  const filter = parseFilter(text, limits);
  const messages: Sighting[] = [];
  const gaps: ReadGap[] = [];
  let through = after ?? (await theOpen(opened).locate(filter, { kind: 'earliest' }));
  for (;;) {
    const page = await theOpen(opened).read(filter, through, pageLimit);
    for (const { channel, from, to, reason, next } of page.gaps) {
      gaps.push({ channel, from, to, reason, nextSeq: next.seq, afterSeq: through.seq });
    }
    for (const message of page.messages) messages.push(sightingOf(message));
    through = page.through;
    if (page.atHead) return { messages, gaps, through };
  }
}

function sightingOf(message: Message): Sighting {
  const { channel, offset, epoch, seq, tag } = message;
  return { channel, offset, epoch, seq, tag, value: valueOf(message) };
}

function theOpen<T>(thing: T | undefined): T {
  if (thing === undefined) throw new Error('the test asked for something of a store that it has not opened');
  return thing;
}

function writeLog(level: string, fields: object, text: string): void {
  const cause = 'err' in fields && fields.err instanceof Error ? fields.err.message : undefined;
  writeLine({ kind: 'log', level, text, fields: { ...fields, err: cause } });
}

async function answer(line: string): Promise<void> {
  const { no, op, args } = JSON.parse(line) as CallLine;
  try {
    const handle = handlers[op] as (args: unknown) => Promise<unknown>;
    writeLine({ kind: 'answer', no, value: await handle(args) });
  } catch (caught) {
    writeLine({ kind: 'failure', no, error: toRefusal(caught) });
  }
}

// The process continues, so that the test sees how the store reacts; the event fails the test.
process.on('unhandledRejection', (reason) =>
  writeLine({ kind: 'unhandled', detail: toRefusal(reason).detail }),
);
process.on('uncaughtException', (error) => writeLine({ kind: 'unhandled', detail: toRefusal(error).detail }));

const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => void answer(line));
lines.on('close', () => {
  // A closed store keeps nothing, so the process ends by itself. `process.exit()` may hang (see `endWith` of the server).
  if (!isDone) endAtOnce();
});
writeLine({ kind: 'ready', pid: process.pid });
