import { afterEach, expect, test } from 'vitest';
import { clientFrame } from '../../../../test/clients/websocket/client-frames.ts';
import { startLinks, type LinkRig } from './links.ts';

/** What only links over WebSocket have: kinds of frames, and bounds on messages. */

let rig: LinkRig;

afterEach(() => rig.stop());

const text = (payload: string) => clientFrame({ opcode: 1, payload: Buffer.from(payload) });

test('a text frame ends a connection whose protocol is binary [MQTT-6.0.0-1]', async () => {
  rig = await startLinks('websocket');
  const end = await rig.connect();
  end.socket.write(text('hello'));
  await end.until(() => end.isEnded);
  end.socket.end();
  await rig.links.emptied();
  expect(rig.heard[0]!.chunks).toEqual([]);
});

test('a protocol of text frames gets answers in text, and bytes that are not UTF-8 in binary', async () => {
  rig = await startLinks('websocket', {
    rules: { isTextData: true, answersAs: 'text' },
    onData: (link) => {
      link.answer(Buffer.from('héllo'));
      link.answer(Buffer.of(0xff));
    },
  });
  const end = await rig.connect();
  const opcodes: number[] = [];
  end.socket.on('data', (chunk: Buffer) => opcodes.push(chunk[0]! & 0x0f, chunk[8]! & 0x0f));
  end.socket.write(text('hello'));
  await end.until(() => end.bytes.length >= 7);
  expect(end.bytes.toString('latin1')).toBe(`${Buffer.from('héllo').toString('latin1')}ÿ`);
  expect(opcodes).toEqual([1, 2]);
  end.socket.destroy();
});

test('a message is small until the peer is trusted', async () => {
  rig = await startLinks('websocket', { onData: (link) => link.trust() });
  const stranger = await rig.connect();
  stranger.write(Buffer.alloc(17 * 1024));
  await stranger.until(() => stranger.isEnded);
  const friend = await rig.connect();
  friend.write(Buffer.from('it is me'));
  friend.write(Buffer.alloc(500 * 1024));
  const heard = rig.heard[1]!;
  while (heard.bytes.length < 500 * 1024) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(heard.link.isOpen).toBe(true);
  stranger.socket.destroy();
  friend.socket.destroy();
});
