import { describe, expect, it } from 'vitest';
import { decodeRow, encodeRow, type DurableRow } from '../../../packages/server/src/core/durable/row.ts';
import { Group } from '../../../packages/server/src/core/groups/group.ts';
import { GroupMember } from '../../../packages/server/src/core/groups/member.ts';
import type { RecordWrite, Store } from '../../../packages/server/src/core/seams/store.ts';
import { LogSubscription } from '../../../packages/server/src/core/fanout/subscription.ts';
import { Window } from '../../../packages/server/src/core/fanout/window.ts';
import { delegate } from '../delegate.ts';
import { simulateAcknowledging } from './simulation.ts';

/** A bug that needs more seeds than this to be found would pass through the seeds of one run. */
const seedsMax = 40;
const steps = 500;

/** The first problem that is found, or the first one that says `text`: a bug may break several rules. */
async function firstProblem(sabotage?: (store: Store) => Store, text = ''): Promise<string | undefined> {
  for (let seed = 1; seed <= seedsMax; seed += 1) {
    const { problems } = await simulateAcknowledging({ seed, steps, sabotage });
    const problem = problems.find((one) => one.includes(text));
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** A store that writes the rows of groups as `change` has them; `undefined`: not at all. */
function withRows(change: (row: DurableRow) => DurableRow | undefined) {
  return (store: Store): Store => {
    const { records } = store;
    const changed = (write: RecordWrite): readonly RecordWrite[] => {
      const decoded = write.table === 'groups' && write.value ? decodeRow(write.value) : undefined;
      if (decoded?.kind !== 'row') return [write];
      const other = change(decoded.row);
      return other === undefined ? [] : [{ ...write, value: encodeRow(other, '') }];
    };
    return delegate(store, {
      records: {
        get: (...args) => records.get(...args),
        list: (...args) => records.list(...args),
        write: (writes, conditions) => records.write(writes.flatMap(changed), conditions),
      },
    });
  };
}

/** Puts another method in the place of one for as long as it takes to find it out. */
async function withMethod<T extends object, K extends keyof T>(
  prototype: T,
  name: K,
  make: (method: T[K]) => T[K],
  text?: string,
): Promise<string | undefined> {
  const method = prototype[name];
  prototype[name] = make(method);
  try {
    return await firstProblem(undefined, text);
  } finally {
    prototype[name] = method;
  }
}

describe('the simulation of acknowledgement goes red when', () => {
  it('the row of a group leaves out acknowledgements above the watermark', async () => {
    const found = await firstProblem(
      withRows((row) => ({
        ...row,
        subscriptions: row.subscriptions.map((one) => ({
          ...one,
          progress: { ...one.progress, acksAboveWatermark: [] },
        })),
      })),
    );
    expect(found).toContain('comes again');
  });

  it('the row of a group is never written again', async () => {
    const written = new Set<string>();
    const found = await firstProblem(
      withRows((row) => {
        const { cursor, deliveredWatermark } = row.subscriptions[0]!.progress;
        if (written.has(cursor)) return undefined;
        written.add(cursor);
        return deliveredWatermark % 3 === 0 ? row : undefined;
      }),
    );
    expect(found).toBeDefined();
  });

  it('the row of a group does not say that it had members', async () => {
    const found = await firstProblem(withRows((row) => ({ ...row, presence: 'away' })));
    expect(found).toContain('without a mark');
  });

  it('a window loses the state of an earlier one', async () => {
    expect(await withMethod(LogSubscription.prototype, 'restore', () => () => undefined)).toBeDefined();
    expect(await withMethod(Window.prototype, 'restore', () => () => undefined)).toContain('again');
  });

  it('a window does not record offered messages', async () => {
    const found = await withMethod(
      Window.prototype,
      'pass',
      (pass) =>
        function (this: Window, position) {
          const resumesAt = pass.call(this, { ...position, seq: position.seq + 2 });
          // What lies beyond the head would be read again and again.
          return resumesAt.seq > position.seq ? position : resumesAt;
        },
    );
    expect(found).toBeDefined();
  });

  it('an ack takes the next one with it', async () => {
    const found = await withMethod(
      Window.prototype,
      'ack',
      (ack) =>
        function (this: Window, seq, only) {
          ack.call(this, seq, only);
          ack.call(this, seq + 1, true);
        },
    );
    expect(found).toBeDefined();
  });

  it('a message that a member gives back is not marked', async () => {
    const found = await withMethod(
      Group.prototype,
      'takeBack',
      (takeBack) =>
        function (this: Group, ...args) {
          const { redeliveredThroughSeq } = this;
          Object.defineProperty(this, 'redeliveredThroughSeq', {
            configurable: true,
            value: redeliveredThroughSeq,
          });
          takeBack.apply(this, args);
        },
    );
    expect(found).toContain('without a mark');
  });

  it('a message that a member gives back goes to no other member', async () => {
    const lost = 'acknowledged by no member';
    const found = await withMethod(Group.prototype, 'takeBack', () => () => undefined, lost);
    expect(found).toContain(lost);
  });

  it('a member gives back its unacknowledged messages', async () => {
    let rewinds = 0;
    const found = await withMethod(
      GroupMember.prototype,
      'ack',
      (ack) =>
        function (this: GroupMember, seq, only) {
          // For ever, a group would hand the same messages back and forth.
          rewinds += 1;
          if (rewinds <= 1_000) this.rewind();
          ack.call(this, seq, only);
        },
    );
    expect(found).toBeDefined();
  });

  it('a member has room for one more than its window', async () => {
    const found = await withMethod(
      GroupMember.prototype,
      'roomBeside',
      (roomBeside) =>
        function (this: GroupMember, share, others) {
          return this.host.isHeld ? 0 : roomBeside.call(this, share, others) + 1;
        },
    );
    expect(found).toBeDefined();
  });

  it('a quota is not asked', async () => {
    const forgetful = new WeakSet<GroupMember>();
    const found = await withMethod(
      GroupMember.prototype,
      'roomBeside',
      (roomBeside) =>
        function (this: GroupMember, share, others) {
          if (this.credit !== undefined) forgetful.add(this);
          if (!forgetful.has(this) || this.host.isHeld) return roomBeside.call(this, share, others);
          // Nor by their sender.
          Object.defineProperty(this, 'credit', { configurable: true, value: undefined });
          return 3 - share.messages.length;
        },
    );
    expect(found).toBeDefined();
  });

  it('a release is forgotten', async () => {
    expect(await withMethod(LogSubscription.prototype, 'release', () => () => undefined)).toBeDefined();
  });
});

// A control must fail for its bug and not for the rig: without one, the same seeds are clean.
it('and stays green without', async () => {
  expect(await firstProblem()).toBeUndefined();
});
