import { describe, expect, it } from 'vitest';
import type { Packet } from '../src/packets.ts';
import { missedBy, Recovery, type Logged } from '../src/recovery.ts';
import type { SessionRecord } from '../src/sessions.ts';

function logged(cursor: string, given: Partial<Packet> = {}): Logged {
  const packet: Packet = {
    event: 'said',
    args: [cursor],
    rooms: ['r'],
    except: [],
    isVolatile: false,
    compress: undefined,
    ...given,
  };
  return { packet, cursor };
}
function record(rooms: SessionRecord['rooms']): SessionRecord {
  return { sid: 'sid', rooms, data: {}, owner: 'o' };
}
const cursors = (missed: readonly Logged[]): string[] => missed.map(({ cursor }) => cursor);

describe('what a session missed', () => {
  it('gets the packets to its rooms, without volatile ones and those that except it', () => {
    const log = [
      logged('1'),
      logged('2', { rooms: ['other'] }),
      logged('3', { rooms: [] }),
      logged('4', { isVolatile: true }),
      logged('5', { except: ['sid'] }),
      logged('6', { rooms: ['other', 'r'] }),
    ];
    const missed = missedBy(
      record([
        ['sid', null],
        ['r', null],
      ]),
      log,
    );
    expect(cursors(missed)).toEqual(['1', '3', '6']);
  });

  it('begins in each room where it was joined', () => {
    const log = [
      logged('1'),
      logged('2', { rooms: ['late'] }),
      logged('3'),
      logged('4', { rooms: ['late'] }),
    ];
    expect(
      cursors(
        missedBy(
          record([
            ['r', 'before'],
            ['late', '3'],
          ]),
          log,
        ),
      ),
    ).toEqual(['1', '3', '4']);
    // A room that was joined after packet 1 did not miss it.
    expect(cursors(missedBy(record([['r', '1']]), log))).toEqual(['3']);
  });

  it('contains what arrives until the socket is made', () => {
    const tail = [logged('2')];
    let taken: Recovery | undefined;
    const recovery = new Recovery({
      pid: 'p',
      record: record([['r', null]]),
      missed: [logged('1')],
      tail,
      onTaken: (one) => (taken = one),
    });
    const { session } = recovery;
    tail.push(logged('3'));
    expect(session.missedPackets).toEqual([
      ['said', '1', '1'],
      ['said', '2', '2'],
      ['said', '3', '3'],
    ]);
    expect(taken).toBe(recovery);
  });
});
