import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Envelope } from '@everywire/protocol';
import { EventSource } from 'eventsource';
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { serveEverywire, type ServedEverywire } from '../support/everywire.ts';

/** Two processes of one `socket.io` application, real clients, and Everywire between them with its log on disk. */

const program = fileURLToPath(new URL('program/socketio-app.ts', import.meta.url));
const overWebSocket = { transports: ['websocket'] };
const patience = { timeout: 60_000, interval: 20 };

interface App {
  readonly child: ChildProcess;
  readonly port: number;
}

interface Member {
  readonly socket: Socket;
  /** Events with their arguments, without the cursor at the end. */
  readonly heard: unknown[][];
  /** The last argument of each. */
  readonly cursors: unknown[];
  /** Whether the state was recovered, for each connection. */
  readonly recovered: boolean[];
}

describe('the adapter for socket.io', { timeout: 300_000 }, () => {
  let folder: string;
  let everywire: ServedEverywire;
  let apps: App[];
  let members: Member[];

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'everywire-adapter-'));
    apps = [];
    members = [];
    everywire = await startEverywire();
    apps = await Promise.all([startApp(), startApp()]);
  });
  afterEach(async () => {
    for (const { socket } of members) socket.disconnect();
    for (const { child } of apps) {
      child.kill('SIGKILL');
    }
    await everywire.dispose();
    rmSync(folder, { recursive: true, force: true });
  });

  function startEverywire(port = 0): Promise<ServedEverywire> {
    // Less than a server of socket.io takes of its clients.
    const env = { EVERYWIRE_LIMITS__PAYLOAD_BYTES_MAX: '65536' };
    return serveEverywire(['--store', `lmdb:${join(folder, 'data')}`, '--port', String(port)], { env });
  }
  async function startApp(port = 0): Promise<App> {
    const child = spawn(process.execPath, [program, everywire.http, String(port)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
    return { child, port: Number(line) };
  }
  async function connect(
    { port }: App,
    options: Partial<ManagerOptions & SocketOptions> & { readonly namespace?: string } = {},
  ): Promise<Member> {
    const socket = io(`http://127.0.0.1:${port}${options.namespace ?? ''}`, {
      reconnectionDelay: 50,
      reconnectionDelayMax: 300,
      ...options,
    });
    const member: Member = { socket, heard: [], cursors: [], recovered: [] };
    members.push(member);
    socket.on('connect', () => member.recovered.push(socket.recovered));
    socket.onAny((event: string, ...args: unknown[]) => {
      if (event === 'asked') {
        (args.pop() as (answer: unknown) => void)(socket.id);
        member.heard.push([event, ...args]);
        return;
      }
      member.cursors.push(args.pop());
      if (event !== 'everywire.cursor') member.heard.push([event, ...args]);
    });
    await once(socket as never, 'connect');
    // From here on the client has a place to come back to, also when it hears nothing.
    await expect.poll(() => member.cursors.length, patience).toBeGreaterThan(0);
    return member;
  }
  async function enter(room: string, ...inRoom: readonly Member[]): Promise<void> {
    for (const { socket } of inRoom) await socket.emitWithAck('join', room);
  }
  /** Ends its connection without a word, as a network does. */
  function cut({ socket }: Member): void {
    (socket.io.engine as unknown as { transport: { ws: { terminate(): void } } }).transport.ws.terminate();
  }
  /** Its next connection reaches that process, as behind a load balancer. */
  function moveTo({ socket }: Member, { port }: App): void {
    (socket.io as unknown as { uri: string }).uri = `http://127.0.0.1:${port}`;
  }
  async function page(channel: string): Promise<readonly Envelope[]> {
    const answer = await fetch(`${everywire.http}/channels/${channel}?since=earliest&limit=1000`);
    return ((await answer.json()) as { readonly messages: readonly Envelope[] }).messages;
  }
  async function hears(member: Member, heard: readonly (readonly unknown[])[]): Promise<void> {
    await expect.poll(() => member.heard, patience).toEqual(heard);
  }

  it('gives a room one order in all processes, and in every other reader', async () => {
    const [a, b] = [await connect(apps[0]!), await connect(apps[1]!, overWebSocket)];
    await enter('r', a, b);
    for (let number = 0; number < 50; number += 1) {
      a.socket.emit('say', 'r', `a${number}`);
      b.socket.emit('say', 'r', `b${number}`);
    }
    await expect.poll(() => [a.heard.length, b.heard.length], patience).toEqual([100, 100]);
    expect(a.heard).toEqual(b.heard);
    const messages = await page('socket.io/_/r');
    expect(messages.map(({ event, data }) => [event, data])).toEqual(a.heard);
    expect(messages.map(({ cursor }) => cursor)).toEqual(
      a.cursors.filter((cursor) => a.cursors.indexOf(cursor) > 0),
    );
  });

  it('lets a room be read by EventSource, and written to by POST', async () => {
    const member = await connect(apps[0]!);
    await enter('r', member);
    const source = new EventSource(`${everywire.http}/channels/socket.io/_/r?since=earliest`);
    const read: unknown[] = [];
    source.addEventListener('said', ({ data }) => read.push(JSON.parse(data as string)));
    member.socket.emit('say', 'r', { text: 'from socket.io' });
    await expect.poll(() => read, patience).toEqual([{ text: 'from socket.io' }]);
    source.close();
    await fetch(`${everywire.http}/channels/socket.io/_/r`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'Everywire-Event': 'paid' },
      body: '{"total":42.5}',
    });
    await fetch(`${everywire.http}/channels/socket.io/_`, {
      method: 'POST',
      headers: { 'Content-Type': 'text/plain', 'Everywire-Event': 'disconnect' },
      body: 'to everybody, under a name that Socket.IO keeps for itself',
    });
    await hears(member, [
      ['said', { text: 'from socket.io' }],
      ['paid', { total: 42.5 }],
      ['message', 'to everybody, under a name that Socket.IO keeps for itself'],
    ]);
    expect(member.socket.connected).toBe(true);
  });

  it('carries all kinds of arguments, rooms and exceptions', async () => {
    const [a, b, c] = [
      await connect(apps[0]!, overWebSocket),
      await connect(apps[1]!, overWebSocket),
      await connect(apps[1]!, overWebSocket),
    ];
    await enter('r', a, b, c);
    await enter('q/1 +#*%', b);
    await enter('quiet', c);
    a.socket.emit('say', 'r');
    a.socket.emit('say', 'r', 'a string at the end', 'and another');
    a.socket.emit('say', 'r', Buffer.from([0, 255]));
    a.socket.emit('say', 'r', { deep: [{ bytes: Buffer.from('x') }] }, null, [1, [2]]);
    a.socket.emit('say to', ['r', 'q/1 +#*%'], ['quiet'], 'once');
    a.socket.emit('say to others', 'others');
    b.socket.emit('say', 'q/1 +#*%', 'only b');
    a.socket.emit('say', 'r', JSON.parse(`${'['.repeat(60)}${']'.repeat(60)}`));
    const all = [
      ['said'],
      ['said', 'a string at the end', 'and another'],
      ['said', Buffer.from([0, 255])],
      ['said', { deep: [{ bytes: Buffer.from('x') }] }, null, [1, [2]]],
    ];
    const deep = ['said', JSON.parse(`${'['.repeat(60)}${']'.repeat(60)}`) as unknown];
    const without = (member: Member, ...texts: string[]): unknown[][] =>
      member.heard.filter(([, arg]) => !texts.includes(arg as string));
    await expect.poll(() => a.heard.at(-1), patience).toEqual(deep);
    await expect.poll(() => b.heard, patience).toHaveLength(8);
    await expect.poll(() => c.heard, patience).toHaveLength(6);
    expect(without(a, 'once')).toEqual([...all, deep]);
    expect(without(b, 'once', 'others', 'only b')).toEqual([...all, deep]);
    expect(without(c, 'others')).toEqual([...all, deep]);
    for (const member of [a, b]) expect(member.heard.filter(([, arg]) => arg === 'once')).toHaveLength(1);
    for (const { cursors } of [a, b, c])
      expect(new Set(cursors.map((one) => typeof one))).toEqual(new Set(['string']));
    // A reader of a room also finds the events that were sent to several rooms.
    expect((await page('socket.io/_/r')).filter(({ data }) => data === 'once')).toHaveLength(1);
  });

  it('keeps namespaces apart', async () => {
    const [main, chat] = [await connect(apps[0]!), await connect(apps[1]!, { namespace: '/chat' })];
    await enter('r', main, chat);
    main.socket.emit('say', 'r', 'main');
    chat.socket.emit('say', 'r', 'chat');
    await hears(main, [['said', 'main']]);
    await hears(chat, [['said', 'chat']]);
    expect((await page('socket.io/chat/r')).map(({ data }) => data)).toEqual(['chat']);
  });

  it('asks, finds and moves sockets of all processes, each at its place in the order', async () => {
    const [a, b] = [await connect(apps[0]!), await connect(apps[1]!)];
    await enter('r', a, b);
    await b.socket.emitWithAck('name', 'b');
    const pids = await a.socket.emitWithAck('servers');
    expect(pids).toEqual([apps[1]!.child.pid]);
    const answers = (await a.socket.emitWithAck('ask', 'r')) as unknown[];
    expect(new Set(answers)).toEqual(new Set([a.socket.id, b.socket.id]));
    for (const member of [a, b]) {
      await hears(member, [
        ['said', 'before the question'],
        ['asked', 'name?'],
      ]);
    }
    const sockets = (await a.socket.emitWithAck('sockets', 'r')) as {
      id: string;
      rooms: string[];
      data: unknown;
    }[];
    expect(sockets.find(({ id }) => id === b.socket.id)).toMatchObject({ data: { name: 'b' } });
    expect(sockets).toHaveLength(2);
    for (const { heard } of [a, b]) heard.length = 0;
    a.socket.emit('make join', 'r', 's');
    for (const member of [a, b]) await hears(member, [['said', 'welcome to s']]);
    b.socket.emit('make leave', 's');
    for (const member of [a, b]) {
      await hears(member, [
        ['said', 'welcome to s'],
        ['said', 'the last'],
      ]);
    }
    const gone = once(b.socket as never, 'disconnect');
    a.socket.emit('throw out', 'r');
    expect((await gone)[0]).toBe('io server disconnect');
    expect(b.heard.at(-1)).toEqual(['said', 'out with you']);
  });

  it('sends to one socket in order, acknowledgements among the rest', async () => {
    const a = await connect(apps[0]!);
    a.socket.emit('say to me', 20);
    const numbers = Array.from({ length: 20 }, (_, at) => ['said', at + 1]);
    await hears(a, [...numbers, ['asked', 'now?'], ['said', 'answered']]);
    // Events for one socket are in no room's channel.
    expect((await page('socket.io/_/~packets')).length).toBe(21);
    expect(await page(`socket.io/_/${a.socket.id!}`)).toEqual([]);
  });

  it('recovers in another process, also a client that never received anything', async () => {
    const a = await connect(apps[0]!);
    const b = await connect(apps[1]!, overWebSocket);
    await enter('r', b);
    await b.socket.emitWithAck('name', 'b');
    const { id } = b.socket;
    moveTo(b, apps[0]!);
    cut(b);
    a.socket.emit('say', 'r', 1);
    a.socket.emit('say', 'other', 'not for b');
    a.socket.emit('say volatile', 'r', 'volatile');
    a.socket.emit('say', 'r', 2, 'a string');
    await expect.poll(() => b.recovered, patience).toEqual([false, true]);
    a.socket.emit('say', 'r', 3);
    await expect.poll(() => b.heard.at(-1), patience).toEqual(['said', 3]);
    expect(b.heard.filter(([, one]) => one !== 'volatile')).toEqual([
      ['said', 1],
      ['said', 2, 'a string'],
      ['said', 3],
    ]);
    expect(b.socket.id).toBe(id);
    expect(await b.socket.emitWithAck('describe me')).toEqual({
      recovered: true,
      name: 'b',
      rooms: [id, 'r'],
    });
  });

  it('does not recover a session that has ended, or that of another client', async () => {
    const [a, b] = [await connect(apps[0]!), await connect(apps[1]!)];
    const session = b.socket as unknown as { _pid: string; _lastOffset: string };
    const [pid, offset] = [session._pid, session._lastOffset];
    b.socket.disconnect();
    const filter = 'filter=socket.io-sessions/**';
    const sessions = async (): Promise<number> => {
      const list = await (await fetch(`${everywire.http}/channels?${filter}`)).json();
      return (list as { channels: unknown[] }).channels.length;
    };
    await expect.poll(sessions, patience).toBe(1);
    for (const auth of [
      { pid, offset },
      { pid: 'wrong', offset },
      { pid: (a.socket as unknown as typeof session)._pid, offset: 'no cursor' },
      { pid: '__proto__', offset: '12' },
    ]) {
      const other = await connect(apps[0]!, { auth, forceNew: true });
      expect(other.socket.recovered).toBe(false);
      expect(other.socket.id).not.toBe(a.socket.id);
    }
  });

  it('is exact through a hundred cuts at random instants, each time on to the other process', async () => {
    const cuts = 100;
    const [a, b] = [
      await connect(apps[0]!),
      await connect(apps[1]!, { ...overWebSocket, reconnectionDelayMax: 50 }),
    ];
    await enter('r', a, b);
    let isOver = false;
    let said = 0;
    const talk = async (): Promise<void> => {
      while (!isOver) {
        a.socket.emit('say', 'r', (said += 1));
        // A word about every millisecond, and now and then a burst.
        if (said % 7 > 2) await sleep(1);
      }
    };
    const talking = talk();
    for (let round = 0; round < cuts; round += 1) {
      await sleep(Math.random() * 40);
      const back = once(b.socket as never, 'connect');
      moveTo(b, apps[round % 2]!);
      cut(b);
      await back;
    }
    isOver = true;
    await talking;
    await hears(
      b,
      Array.from({ length: said }, (_, at) => ['said', at + 1]),
    );
    expect(b.recovered).toEqual([false, ...Array<boolean>(cuts).fill(true)]);
  });

  it('takes a session over from a connection that does not know that it is dead', async () => {
    const [a, b] = [await connect(apps[0]!), await connect(apps[1]!, { reconnection: false })];
    await enter('r', a, b);
    const { _pid: pid, _lastOffset: offset } = b.socket as unknown as { _pid: string; _lastOffset: string };
    const { id } = b.socket;
    const ended = once(b.socket as never, 'disconnect');
    const next = await connect(apps[0]!, { auth: { pid, offset }, forceNew: true });
    await ended;
    expect(next.socket.id).toBe(id);
    expect(await next.socket.emitWithAck('describe me')).toMatchObject({ recovered: true, rooms: [id, 'r'] });
    a.socket.emit('say', 'r', 'for one of them');
    await hears(next, [['said', 'for one of them']]);
    expect(b.heard).toEqual([]);
  });

  it('delivers an event that is too large in its own process, and continues', async () => {
    const [a, b] = [await connect(apps[0]!), await connect(apps[1]!)];
    await enter('r', a, b);
    const [large, tooLargeForAFrame] = ['x'.repeat(100_000), 'y'.repeat(700_000)];
    a.socket.emit('say', 'r', 'before');
    a.socket.emit('say', 'r', large);
    a.socket.emit('say', 'r', tooLargeForAFrame);
    a.socket.emit('say', 'r', 'after');
    await hears(b, [
      ['said', 'before'],
      ['said', 'after'],
    ]);
    // An event that is not in the log has no place in the order.
    await expect.poll(() => a.heard.length, patience).toBe(4);
    expect(new Set(a.heard.map(([, text]) => text))).toEqual(
      new Set(['before', large, tooLargeForAFrame, 'after']),
    );
  });

  it('loses and repeats nothing when Everywire is killed in mid-traffic', async () => {
    const [a, b] = [await connect(apps[0]!), await connect(apps[1]!)];
    await enter('r', a, b);
    const count = 400;
    for (let number = 0; number < count; number += 1) {
      a.socket.emit('say', 'r', number);
      if (number === 100 || number === 250) {
        await expect.poll(() => b.heard.length, patience).toBeGreaterThan(number / 2);
        everywire.child.kill('SIGKILL');
        await everywire.ended;
        void startEverywire(everywire.port).then((started) => (everywire = started));
      }
      if (number % 10 === 0) await new Promise(setImmediate);
      if (number === 249) await expect.poll(() => b.heard.length, patience).toBeGreaterThan(101);
    }
    const all = Array.from({ length: count }, (_, number) => ['said', number]);
    await hears(a, all);
    await hears(b, all);
    expect([a.recovered, b.recovered]).toEqual([[false], [false]]);
    expect((await page('socket.io/_/r')).map(({ data }) => data)).toEqual(all.map(([, number]) => number));
  });

  it('recovers the messages that clients of a killed process missed, once and in order', async () => {
    const a = await connect(apps[0]!);
    const inB = await Promise.all([
      connect(apps[1]!, overWebSocket),
      connect(apps[1]!, { transports: ['polling'] }),
      connect(apps[1]!),
    ]);
    await inB[0].socket.emitWithAck('name', 'the first');
    await enter('r', ...inB);
    const rounds = 3;
    const perRound = 200;
    for (let round = 0; round < rounds; round += 1) {
      for (let number = 0; number < perRound; number += 1) {
        a.socket.emit('say', 'r', round * perRound + number);
        if (number % 10 === 0) await new Promise(setImmediate);
        if (number === perRound / 2) {
          const { child, port } = apps[1]!;
          child.kill('SIGKILL');
          await once(child, 'exit');
          void startApp(port).then((app) => (apps[1] = app));
        }
      }
      for (const { recovered } of inB) {
        await expect.poll(() => recovered.length, patience).toBe(round + 2);
      }
    }
    const all = Array.from({ length: rounds * perRound }, (_, number) => ['said', number]);
    for (const member of inB) {
      await hears(member, all);
      expect(member.recovered).toEqual([false, true, true, true]);
    }
    expect(await inB[0].socket.emitWithAck('describe me')).toMatchObject({
      recovered: true,
      name: 'the first',
    });
  });

  it('hands over nothing lost when a process is stopped', async () => {
    const [a, b] = [await connect(apps[0]!), await connect(apps[1]!)];
    await enter('r', a, b);
    const { child, port } = apps[1]!;
    a.socket.emit('say', 'r', 'before');
    await hears(b, [['said', 'before']]);
    child.kill('SIGTERM');
    const [code] = (await once(child, 'exit')) as [number];
    expect(code).toBe(0);
    a.socket.emit('say', 'r', 'meanwhile');
    apps[1] = await startApp(port);
    await hears(b, [
      ['said', 'before'],
      ['said', 'meanwhile'],
    ]);
    expect(b.recovered).toEqual([false, true]);
  });
});
