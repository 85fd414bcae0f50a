import { EverywireError, parseCursor } from '@everywire/protocol';
import type {
  PublishDraft,
  PublishEntry,
  PublishResult,
  Session,
} from '../../packages/server/src/core/seams/session-api.ts';
import type { World } from './world.ts';

interface Publish {
  readonly channel: string;
  readonly value: string;
  readonly draft: PublishDraft;
  readonly client: string;
}

/** No run lasts this long, so a message that lives longer never expires in one. */
const longTtlMs = 300 * 86_400_000;
const paddingBytesMax = 400;

/** Publishes through any session, now and then twice, and records the answers. */
export class Publisher {
  readonly #world: World;
  /** Publishes with a publish id, to be repeated. */
  readonly #repeatable: Publish[] = [];
  /** How many there were. */
  count = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** Publishes some messages over `session`, whose history is `client`'s. */
  publish(session: Session, client: string): void {
    const { chance } = this.#world;
    const count = chance.happens(0.7) ? 1 : chance.between(2, 12);
    const publishes = Array.from({ length: count }, () => this.#next(client));
    if (count === 1) this.#send(publishes, () => session.publish(publishes[0]!.channel, publishes[0]!.draft));
    else
      this.#send(publishes, () => session.publishAll(entriesOf(publishes), { atomic: chance.happens(0.3) }));
  }

  /** Sends an earlier publish again, on whichever node the session is. */
  repeat(session: Session, client: string): void {
    if (this.#repeatable.length === 0) return;
    const again = { ...this.#world.chance.pick(this.#repeatable), client };
    this.#send([again], () => session.publish(again.channel, again.draft));
  }

  /** Uses a publish id for other content: to be refused whenever the first one was stored. */
  clash(session: Session, client: string): void {
    if (this.#repeatable.length === 0) return;
    const { channel, draft } = this.#world.chance.pick(this.#repeatable);
    const value = `clash-${(this.count += 1)}`;
    const clashing = { channel, value, client, draft: { ...draft, payload: Buffer.from(value) } };
    this.#send([clashing], () => session.publish(channel, clashing.draft));
  }

  #next(client: string): Publish {
    const { chance, channels, mortalChannels } = this.#world;
    const channel = chance.pick(channels);
    const value = `${(this.count += 1)}${' '.repeat(chance.below(paddingBytesMax))}`;
    const key = !mortalChannels.includes(channel) && chance.happens(0.4) ? `key-${this.count}` : undefined;
    const ttlMs = chance.happens(0.1)
      ? chance.happens(0.5)
        ? longTtlMs
        : chance.between(1, 3_000)
      : undefined;
    // A repeat may be stored by another session than this one, and is then not this one's own message.
    const headers =
      key === undefined
        ? new Map([
            ['client', client],
            ['no', String(this.count)],
          ])
        : undefined;
    const draft: PublishDraft = { payload: Buffer.from(value), type: 'text/plain', key, ttlMs, headers };
    const publish = { channel, value, draft, client };
    if (key !== undefined) this.#repeatable.push(publish);
    return publish;
  }

  #send(publishes: readonly Publish[], ask: () => Promise<PublishResult | readonly PublishResult[]>): void {
    const { checker, time } = this.#world;
    for (const { channel, value, draft, client } of publishes) {
      const mayExpire = draft.ttlMs !== undefined && draft.ttlMs < longTtlMs;
      checker.record({ kind: 'publish', atNs: time.nowNs, client, channel, value, mayExpire });
    }
    ask().then(
      (answer) => {
        const results = Array.isArray(answer)
          ? (answer as readonly PublishResult[])
          : [answer as PublishResult];
        for (const [at, publish] of publishes.entries()) this.#answered(publish, results[at]!);
      },
      (cause: unknown) => {
        for (const { value } of publishes) this.#failed(value, cause);
      },
    );
  }

  #answered({ value }: Publish, result: PublishResult): void {
    if (result instanceof EverywireError) {
      this.#failed(value, result);
      return;
    }
    const { checker, time, log } = this.#world;
    const { channel, offset, cursor } = result;
    const { epoch, seq, tag } = parseCursor(cursor)!;
    const life = log.lifeAt(seq);
    checker.record({ kind: 'accepted', atNs: time.nowNs, channel, life, offset, epoch, seq, tag, value });
  }

  #failed(value: string, cause: unknown): void {
    const { checker, time, problems } = this.#world;
    const code = cause instanceof EverywireError ? cause.code : undefined;
    if (code === 'conflict') checker.record({ kind: 'refused', atNs: time.nowNs, value });
    else checker.record({ kind: 'unknown', atNs: time.nowNs, value });
    if (code !== 'conflict' && code !== 'store_unavailable')
      problems.push(`a publish failed: ${String(cause)}`);
  }
}

function entriesOf(publishes: readonly Publish[]): readonly PublishEntry[] {
  return publishes.map(({ channel, draft }) => ({ channel, draft }));
}
