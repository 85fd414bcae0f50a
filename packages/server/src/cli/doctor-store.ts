import { existsSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Config } from '../config/schema.ts';
import { parseFilter } from '../core/filter.ts';
import type { Feed, Store } from '../core/store.ts';
import { systemClock } from '../runtime/clock.ts';
import { createSystemRandom } from '../runtime/random.ts';
import { createStore } from '../stores/index.ts';
import { createLog } from '../telemetry/log.ts';
import type { Finding } from './doctor-machine.ts';

const freeBytesWanted = 1024 ** 3;
const mib = 1024 ** 2;

/** Room on the disk, and the store itself: that it opens (lock and format), and that every message can be read. */
export async function checkStore({ store: url, durability, limits }: Config): Promise<readonly Finding[]> {
  if (!url.startsWith('lmdb:')) return [{ verdict: 'good', text: `The store ${url} keeps nothing on disk` }];
  const folder = resolve(url.slice('lmdb:'.length));
  const room = await checkRoom(folder);
  if (!existsSync(folder))
    return [room, { verdict: 'good', text: `${folder} does not exist yet; serve makes it` }];
  const log = createLog({ level: 'error', format: 'auto' });
  const parts = { clock: systemClock, random: createSystemRandom(), limits, log, durability };
  try {
    const store = await createStore(url, parts);
    await store.open(silent);
    try {
      return [room, await readEverything(store, folder, limits)];
    } finally {
      await store.close();
    }
  } catch (error) {
    return [room, { verdict: 'bad', text: (error as Error).message }];
  }
}

const silent: Feed = { appended: () => undefined, interrupted: () => undefined, dropped: () => undefined };

async function checkRoom(folder: string): Promise<Finding> {
  let existing = folder;
  while (!existsSync(existing)) existing = dirname(existing);
  const { bavail, bsize } = await statfs(existing);
  const freeBytes = bavail * bsize;
  const text = `${Math.floor(freeBytes / mib)} MiB are free for ${folder}`;
  return { verdict: freeBytes >= freeBytesWanted ? 'good' : 'doubtful', text };
}

/** Every read checks the record's sum. Damage and what retention took are both gaps; only damage is a fault. */
async function readEverything(store: Store, folder: string, limits: Config['limits']): Promise<Finding> {
  const everything = parseFilter('**', limits);
  const limit = { messagesMax: limits.pageMessagesMax, bytesMax: limits.pageCacheBytesMax };
  let after = await store.locate(everything, { kind: 'earliest' });
  let count = 0;
  const damaged = new Set<string>();
  for (;;) {
    const page = await store.read(everything, after, limit);
    count += page.messages.length;
    for (const gap of page.gaps) if (gap.reason === 'damaged') damaged.add(gap.channel);
    if (page.atHead) break;
    after = page.through;
  }
  return damaged.size === 0
    ? { verdict: 'good', text: `${folder} opens, and all of its ${count} messages can be read` }
    : { verdict: 'bad', text: `${folder} has damaged messages in ${[...damaged].join(', ')}` };
}
