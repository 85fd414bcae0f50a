import { afterEach, describe, expect, test } from 'vitest';
import { frame, opcodes } from '@everywire/wires/websocket';
import { defaultLimits } from '../../src/config/limits.ts';
import { startLinks, type FarEnd, type Heard, type LinkRig, type LinkRigOptions } from './links.ts';

/** One contract for links over TCP and over WebSocket, on real sockets. */

let rig: LinkRig;
const farEnds: FarEnd[] = [];

afterEach(async () => {
  for (const { socket } of farEnds.splice(0)) socket.destroy();
  await rig.stop();
});

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe.each(['tcp', 'websocket'] as const)('a link over %s', (kind) => {
  const start = async (options: LinkRigOptions = {}): Promise<void> => {
    rig = await startLinks(kind, options);
  };
  const connect = async (): Promise<FarEnd> => {
    const end = await rig.connect();
    farEnds.push(end);
    return end;
  };
  /** The server's side of the only connection, once it is there. */
  const opened = async (): Promise<Heard> => {
    while (rig.heard.length === 0) await turn();
    return rig.heard[0]!;
  };
  const heardAtEnd = async (): Promise<Heard> => {
    await rig.links.emptied();
    return rig.heard[0]!;
  };

  test('hands over the bytes in order, in chunks of any size', async () => {
    await start();
    const end = await connect();
    const sent = Buffer.from(Array.from({ length: 5_000 }, (_, at) => at % 251));
    for (let at = 0; at < sent.length; at += 7) end.write(sent.subarray(at, at + 7));
    const heard = await opened();
    while (heard.bytes.length < sent.length) await turn();
    expect(heard.bytes.equals(sent)).toBe(true);
    expect([heard.link.kind, heard.link.address, heard.link.isOpen]).toEqual([kind, '127.0.0.1', true]);
    expect(heard.link.protocol).toBe(kind === 'tcp' ? undefined : 'v2.bytes');
    expect(rig.links.size).toBe(1);
    expect([...rig.links]).toEqual([heard.link]);
  });

  test('answers of one turn leave together, and before later deliveries', async () => {
    await start({
      onData: (link) => {
        link.answer(Buffer.from('one '));
        link.answer(Buffer.from('two '));
        expect(link.unsentBytes).toBeGreaterThanOrEqual(8);
        expect(link.send(rig.ready(Buffer.from('shared ')))).toBe(true);
        link.answer(Buffer.from('three'));
      },
    });
    const end = await connect();
    end.write(Buffer.from('x'));
    await end.until(() => end.bytes.length >= 20);
    expect(end.bytes.toString()).toBe('one two shared three');
  });

  test('says goodbye: sends its answers first, then reads and writes nothing more', async () => {
    await start({
      onData: (link) => {
        link.answer(Buffer.from('bye'));
        link.end(1008, 'because');
        link.answer(Buffer.from('not said'));
        expect(link.send(rig.ready(Buffer.from('nor this')))).toBe(true);
        link.end();
      },
    });
    const end = await connect();
    end.write(Buffer.from('x'));
    await end.until(() => end.isEnded);
    end.write(Buffer.from('late'));
    expect(end.bytes.toString()).toBe('bye');
    end.socket.end();
    const heard = await heardAtEnd();
    expect([heard.closes, heard.bytes.toString(), heard.link.isOpen]).toEqual([['left'], 'x', false]);
  });

  test('cuts a peer that does not say goodbye too', async () => {
    await start({ limits: { closeTimeoutMs: 50 }, onData: (link) => link.end() });
    const end = await connect();
    end.write(Buffer.from('x'));
    await end.until(() => end.isEnded);
    expect((await heardAtEnd()).closes).toEqual(['left']);
  });

  test('destroy cuts at once, and reports it once', async () => {
    await start({
      onData: (link) => {
        link.destroy();
        expect(link.isOpen).toBe(false);
        link.destroy();
      },
    });
    const end = await connect();
    end.write(Buffer.from('x'));
    await end.until(() => end.isEnded);
    expect((await heardAtEnd()).closes).toEqual(['lost']);
  });

  test('a reset is a loss', async () => {
    await start();
    const end = await connect();
    await opened();
    end.socket.resetAndDestroy();
    expect((await heardAtEnd()).closes).toEqual(['lost']);
  });

  test('a peer that ends its half is closed, although ours was still open', async () => {
    await start();
    const end = await connect();
    end.write(Buffer.from('last words'));
    end.socket.end();
    const heard = await heardAtEnd();
    // Over WebSocket, only Close is a goodbye.
    expect([heard.bytes.toString(), heard.closes]).toEqual([
      'last words',
      [kind === 'tcp' ? 'left' : 'lost'],
    ]);
  });

  test('holds a slow reader when enough is unsent, and tells once that it takes bytes again', async () => {
    await start();
    const end = await connect();
    const heard = await opened();
    end.socket.pause();
    const ready = rig.ready(Buffer.alloc(4_096));
    let sent = 1;
    while (heard.link.send(ready)) {
      sent += 1;
      if (sent % 100 === 0) await turn();
    }
    expect(heard.link.unsentBytes).toBeLessThan(16 * 1024);
    expect(heard.drains).toBe(0);
    end.socket.resume();
    await end.until(() => end.bytes.length === sent * 4_096, 20_000);
    while (heard.drains === 0) await turn();
    expect(heard.drains).toBe(1);
    expect(heard.link.send(ready)).toBe(true);
  });

  test('reads no more from a peer that does not read its answers, and resumes exactly', async () => {
    let answered = 0;
    await start({
      onData: (link, bytes) => {
        answered += bytes.length;
        link.answer(Buffer.concat(Array.from({ length: 12 }, () => bytes)));
      },
    });
    const end = await connect();
    const heard = await opened();
    end.socket.pause();
    const chunk = Buffer.from(Array.from({ length: 1_000 }, (_, at) => at % 251));
    const count = 1_000;
    for (let at = 0; at < count; at += 1) end.write(chunk);
    // Neither the kernel's buffers nor ours hold all the answers, so it stops somewhere on the way.
    let last = -1;
    while (last !== answered || answered === 0) {
      last = answered;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(answered).toBeLessThan(count * chunk.length);
    expect(heard.link.unsentBytes).toBeLessThan(defaultLimits.outboundBytesMax);
    end.socket.resume();
    await end.until(() => end.socket.bytesRead >= count * chunk.length * 12, 20_000);
    expect(heard.link.isOpen).toBe(true);
    expect(answered).toBe(count * chunk.length);
  });

  test('answers behind bytes that were sent ready, however many they are', async () => {
    await start({
      limits: { outboundBytesMax: 65_536 },
      onData: (link) => link.answer(Buffer.from('answer')),
    });
    const end = await connect();
    const heard = await opened();
    end.socket.pause();
    const large = Buffer.alloc(16 * 1024 * 1024);
    expect(heard.link.send(kind === 'tcp' ? large : frame(opcodes.binary, large))).toBe(false);
    end.write(Buffer.from('x'));
    await turn();
    end.socket.resume();
    await end.until(() => end.socket.bytesRead >= large.length + 'answer'.length, 20_000);
    expect(heard.link.isOpen).toBe(true);
  });

  test('cuts a peer with more unsent bytes than the bound', async () => {
    await start({
      limits: { outboundBytesMax: 65_536 },
      onData: (link) => {
        for (let at = 0; at < 10_000; at += 1) link.answer(Buffer.alloc(1_000));
      },
    });
    const end = await connect();
    end.socket.pause();
    end.write(Buffer.from('x'));
    expect((await heardAtEnd()).closes).toEqual(['lost']);
  });

  test('paused, hears nothing until it is resumed', async () => {
    await start({ onData: (link) => link.pause() });
    const end = await connect();
    end.write(Buffer.from('1'));
    const heard = await opened();
    while (heard.bytes.length === 0) await turn();
    end.write(Buffer.from('2'));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(heard.bytes.toString()).toBe('1');
    heard.link.resume();
    while (heard.bytes.length < 2) await turn();
    expect(heard.bytes.toString()).toBe('12');
  });

  test('tells when its deadline is over, unless it was moved or taken away', async () => {
    await start({ onOpen: (link) => link.deadline(150) });
    const first = await connect();
    const moved = await connect();
    const taken = await connect();
    while (rig.heard.length < 3) await turn();
    rig.heard[1]!.link.deadline(60_000);
    rig.heard[2]!.link.deadline(undefined);
    while (rig.heard[0]!.deadlines === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(rig.heard.map(({ deadlines }) => deadlines)).toEqual([1, 0, 0]);
    for (const { socket } of [first, moved, taken]) socket.destroy();
  });

  test.runIf(kind === 'tcp')(
    'the end of a peer is put off while it is paused, for its last bytes are not handled yet',
    async () => {
      await start({ onData: (link) => link.pause() });
      const end = await connect();
      end.write(Buffer.from('x'));
      end.socket.end();
      const heard = await opened();
      while (heard.bytes.length === 0) await turn();
      const other = await connect();
      other.write(Buffer.from('y'));
      // By then the end has come: it was sent before that connection was opened.
      while (rig.heard[1]?.bytes.length !== 1) await turn();
      await turn();
      expect([heard.closes, heard.link.isOpen]).toEqual([[], true]);
      heard.link.resume();
      heard.link.pause();
      await turn();
      expect(heard.closes).toEqual([]);
      heard.link.resume();
      await end.until(() => end.isEnded);
      expect(heard.closes).toEqual(['left']);
      other.socket.destroy();
    },
  );

  test('a handler that throws costs that connection and is logged', async () => {
    await start({
      onData: () => {
        throw new Error('a fault of ours');
      },
    });
    const end = await connect();
    end.write(Buffer.from('x'));
    await end.until(() => end.isEnded);
    expect(rig.errors).toHaveLength(1);
    end.socket.end();
    expect((await heardAtEnd()).closes).toEqual(['left']);
  });

  test('refused connections end, and no handler hears of them', async () => {
    await start({ isClosed: true });
    const end = await connect().catch(() => undefined);
    if (end !== undefined) await end.until(() => end.isEnded);
    expect(rig.links.size).toBe(0);
    expect(rig.heard).toEqual([]);
  });
});
