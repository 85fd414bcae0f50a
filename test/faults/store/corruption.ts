import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Position } from '@everywire/protocol';
import type { Rounds } from '../../support/rounds.ts';
import type { Sighting, Violation } from '../checker/history.ts';
import type { Publish, ReadAll } from './calls.ts';
import { damageFile, type DamageKind } from './damage.ts';
import { CallFailed, NoAnswer, ProcessGone, StoreProcess } from './store-process.ts';

/**
 * The effect of damage to a file. `whole`: no damage in data that was read. `gaps`: messages are missing, and readers get
 * gap notices for them. `rolled back`: LMDB used the commit before the newest, so the newest messages are gone, and a
 * cursor beyond them gets a notice. `unreadable`: some reads fail with an error. `refused`: the store does not open, with
 * an error. `ended`: LMDB ended the process in native code.
 */
export type Outcome = 'whole' | 'gaps' | 'rolled back' | 'unreadable' | 'refused' | 'ended';

export interface Corruption {
  readonly violations: readonly Violation[];
  readonly outcomes: ReadonlyMap<Outcome, number>;
  /** Of each kind of damage, how often it ended the process. */
  readonly endedBy: ReadonlyMap<string, number>;
  /** Rounds in which messages were missing and the store's own check found nothing wrong. */
  readonly missedByVerify: number;
}

const kinds: readonly DamageKind[] = ['one bit', '4 KiB of zeros', 'cut short'];
const channelNames = Array.from({ length: 8 }, (_, no) => `c/${no}`);

interface Sound {
  readonly byPlace: ReadonlyMap<string, Sighting>;
  readonly head: Position;
}

/** Damages copies of a closed store, one place in each, and looks at what can still be read and what is said of the rest. */
export async function corrupt(rounds: Rounds, sabotage?: string): Promise<Corruption> {
  const base = await mkdtemp(join(tmpdir(), 'everywire-rot-'));
  const violations: Violation[] = [];
  const outcomes = new Map<Outcome, number>();
  const endedBy = new Map<string, number>();
  let missedByVerify = 0;
  let process = new StoreProcess({ sabotage });
  try {
    const soundFolder = join(base, 'sound');
    const sound = await fill(soundFolder);
    for (let round = 0; rounds.begin(); round += 1) {
      const folder = join(base, 'damaged');
      await rm(folder, { recursive: true, force: true });
      await cp(soundFolder, folder, { recursive: true });
      const damage = damageFile(join(folder, 'data.mdb'), kinds[round % kinds.length]!);
      const where = `${damage.kind} at byte ${damage.at}`;
      let outcome: Outcome;
      try {
        const seen = await look(process, folder, sound, where);
        violations.push(...seen.violations);
        outcome = seen.outcome;
        if ((outcome === 'gaps' || outcome === 'unreadable') && !(await isFoundByVerify(process, folder)))
          missedByVerify += 1;
      } catch (caught) {
        if (caught instanceof NoAnswer) {
          violations.push({ rule: 'liveness', detail: `${where}: ${caught.message}` });
          break;
        }
        if (caught instanceof ProcessGone) outcome = 'ended';
        else if (caught instanceof CallFailed) outcome = 'refused';
        else throw caught;
        if (outcome === 'ended') count(endedBy, damage.kind);
        violations.push(...unhandledBy(process, where));
        // A store that refused half-way may still hold the folder, so the next round gets a new process.
        await process.kill();
        process = new StoreProcess({ sabotage });
      }
      count(outcomes, outcome);
    }
    return { violations, outcomes, endedBy, missedByVerify };
  } finally {
    await process.kill();
    await rm(base, { recursive: true, force: true });
  }
}

/** A store with messages of all sizes, closed. */
async function fill(folder: string): Promise<Sound> {
  const process = new StoreProcess();
  try {
    await process.call('open', { url: `lmdb:${folder}` });
    const publishes = Array.from({ length: 400 }, (_, no): Publish => {
      const bytes = no % 40 === 0 ? 20_000 + no : (no * 37) % 900;
      return { channel: channelNames[(no * 7) % channelNames.length]!, value: `v.${no}.${bytes}` };
    });
    await process.call('publish', { client: 'filler', publishes });
    const { messages, through } = await process.call('read', { filter: '**' });
    await process.close();
    return { byPlace: new Map(messages.map((message) => [placeOf(message), message])), head: through };
  } finally {
    await process.kill();
  }
}

/** Reads everything by channel and as a whole. Nothing wrong may be seen, and nothing may be missing in silence. */
async function look(
  process: StoreProcess,
  folder: string,
  sound: Sound,
  where: string,
): Promise<{ readonly outcome: Outcome; readonly violations: readonly Violation[] }> {
  const violations: Violation[] = [];
  await process.call('open', { url: `lmdb:${folder}` });
  // From the origin, as a reader that has read nothing, not from the first message that can be found.
  const origin: Position = { epoch: [...sound.byPlace.values()][0]!.epoch, seq: 0, tag: '0000000000000000' };
  const reads: { readonly channels: readonly string[]; readonly read: ReadAll }[] = [];
  let isReadable = true;
  for (const channels of [...channelNames.map((name) => [name]), channelNames]) {
    const filter = channels.length === 1 ? channels[0]! : '**';
    const read = await readOrRefusal(process, { filter, after: origin });
    if (read === undefined) isReadable = false;
    else reads.push({ channels, read });
  }
  const atHead = await readOrRefusal(process, { filter: '**', after: sound.head });
  await process.call('close', null);

  let isMissing = false;
  const isRolledBack = atHead !== undefined && atHead.through.seq < sound.head.seq;
  for (const { channels, read } of reads) {
    const seen = new Set<string>();
    for (const message of read.messages) {
      const place = placeOf(message);
      const expected = sound.byPlace.get(place);
      seen.add(place);
      if (expected?.value === message.value && expected.tag === message.tag && expected.seq === message.seq)
        continue;
      violations.push({ rule: 'divergence', detail: `${where}: read ${message.value} at ${place}` });
    }
    for (const [place, { channel, offset, seq, value }] of sound.byPlace) {
      if (!channels.includes(channel) || seen.has(place)) continue;
      isMissing = true;
      if (isRolledBack && seq > atHead.through.seq) continue;
      const isTold = read.gaps.some(
        ({ channel: name, from = 0, to = Infinity }) =>
          (name === channel || name === '**') && from <= offset && offset <= to,
      );
      if (!isTold)
        violations.push({
          rule: 'silent gap',
          detail: `${where}: ${value} at ${place} is missing, in silence`,
        });
    }
  }
  if (isRolledBack && atHead.gaps.length === 0) {
    violations.push({
      rule: 'silent gap',
      detail: `${where}: the newest message is gone, and a cursor there gets no notice`,
    });
  }
  violations.push(...unhandledBy(process, where));
  const outcome = isRolledBack ? 'rolled back' : !isReadable ? 'unreadable' : isMissing ? 'gaps' : 'whole';
  return { outcome, violations };
}

/** An error is an answer too: it is not silence. */
async function readOrRefusal(
  process: StoreProcess,
  args: { readonly filter: string; readonly after: Position },
): Promise<ReadAll | undefined> {
  try {
    return await process.call('read', args);
  } catch (caught) {
    if (caught instanceof CallFailed) return undefined;
    throw caught;
  }
}

/** The read opened the store and so wrote to it, but the damage is still there. */
async function isFoundByVerify(process: StoreProcess, folder: string): Promise<boolean> {
  try {
    return (await process.call('verify', { path: folder })).length > 0;
  } catch (caught) {
    if (caught instanceof CallFailed) return true;
    throw caught;
  }
}

function unhandledBy(process: StoreProcess, where: string): readonly Violation[] {
  return process.unhandled
    .splice(0)
    .map((detail) => ({ rule: 'liveness', detail: `${where}: not handled: ${detail}` }));
}

function placeOf({ channel, offset }: Sighting): string {
  return `${channel}#${offset}`;
}

function count<K>(counts: Map<K, number>, key: K): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
