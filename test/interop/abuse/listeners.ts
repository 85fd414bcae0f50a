import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

/** Where connections come in, and what is spoken there. */
export interface Listener {
  readonly name: string;
  readonly port: number;
  readonly protocol: 'http' | 'mqtt' | 'stomp' | 'grpc';
  readonly isSecure: boolean;
}

export interface Listening {
  readonly url: string;
  readonly mqtt: string | undefined;
  readonly stomp: string | undefined;
  readonly grpc: string | undefined;
  readonly mqtts?: string | undefined;
  readonly stomps?: string | undefined;
}

/** All that `server` has. */
export function listenersOf(server: Listening): readonly Listener[] {
  const isSecure = server.url.startsWith('https:');
  const own = [
    { name: isSecure ? 'https' : 'http', at: server.url, protocol: 'http', isSecure },
    { name: isSecure ? 'grpcs' : 'grpc', at: `grpc://${server.grpc!}`, protocol: 'grpc', isSecure },
    { name: 'mqtt', at: server.mqtt, protocol: 'mqtt', isSecure: false },
    { name: 'stomp', at: server.stomp, protocol: 'stomp', isSecure: false },
    { name: 'mqtts', at: server.mqtts, protocol: 'mqtt', isSecure: true },
    { name: 'stomps', at: server.stomps, protocol: 'stomp', isSecure: true },
  ] as const;
  return own.flatMap(({ at, ...listener }) =>
    at === undefined ? [] : [{ ...listener, port: Number(new URL(at).port) }],
  );
}

/** A TCP connection, and what becomes of it. */
export interface Dialled {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  isClosed: boolean;
}

/** Resolves once it is open on this side: whether the server reads from it is another question. */
export async function dialTcp({ port }: Listener, localAddress?: string): Promise<Dialled> {
  const socket = connectTcp({
    host: '127.0.0.1',
    port,
    ...(localAddress === undefined ? {} : { localAddress }),
  });
  socket.on('error', () => undefined).resume();
  const dialled: Dialled = {
    socket,
    isClosed: false,
    closed: new Promise((resolve) => socket.once('close', () => resolve())),
  };
  void dialled.closed.then(() => (dialled.isClosed = true));
  await once(socket, 'connect');
  return dialled;
}

/** Shows a token as the protocol does, and resolves once the server has taken it; the connection is left open. */
export async function login(listener: Listener, token: string): Promise<Dialled> {
  const { port, isSecure, protocol } = listener;
  const alpn = protocol === 'grpc' ? { ALPNProtocols: ['h2'] } : {};
  const socket = isSecure
    ? connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false, ...alpn })
    : connectTcp(port, '127.0.0.1');
  const dialled: Dialled = {
    socket,
    isClosed: false,
    closed: new Promise((resolve) => socket.once('close', () => resolve())),
  };
  void dialled.closed.then(() => (dialled.isClosed = true));
  const lost = dialled.closed.then(() => {
    throw new Error(`${listener.name}: closed before the login was over`);
  });
  lost.catch(() => undefined);
  socket.on('error', () => undefined);
  await Promise.race([protocol === 'grpc' ? callGrpc(socket, token) : say(socket, protocol, token), lost]);
  return dialled;
}

const hellos = {
  http: {
    bytes: (token: string) =>
      Buffer.from(`GET /channels/a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n\r\n`),
    isTaken: (answer: Buffer) => answer.includes('HTTP/1.1 200'),
  },
  stomp: {
    bytes: (token: string) => Buffer.from(`CONNECT\naccept-version:1.2\nhost:x\npasscode:${token}\n\n\0`),
    isTaken: (answer: Buffer) => answer.includes('CONNECTED'),
  },
  mqtt: { bytes: mqttConnect, isTaken: (answer: Buffer) => answer[0] === 0x20 && answer[3] === 0 },
};

async function say(socket: Socket, protocol: keyof typeof hellos, token: string): Promise<void> {
  const { bytes, isTaken } = hellos[protocol];
  socket.write(bytes(token));
  let answer = Buffer.alloc(0);
  while (!isTaken(answer)) {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    answer = Buffer.concat([answer, chunk]);
  }
}

/** MQTT 5, clean start, no client id, the token as the password. */
export function mqttConnect(token: string): Buffer {
  const password = Buffer.from(token);
  const body = Buffer.concat([
    Buffer.from([0, 4, 0x4d, 0x51, 0x54, 0x54, 5, 0x42, 0, 60, 0, 0, 0]),
    Buffer.from([password.length >> 8, password.length & 0xff]),
    password,
  ]);
  const length = [body.length & 0x7f, body.length >> 7];
  return Buffer.concat([
    Buffer.from(length[1] === 0 ? [0x10, length[0]!] : [0x10, length[0]! | 0x80, length[1]!]),
    body,
  ]);
}

async function callGrpc(socket: Socket, token: string): Promise<void> {
  const session = connectHttp2('http://127.0.0.1', { createConnection: () => socket });
  session.on('error', () => undefined);
  const stream = session.request({
    ':method': 'POST',
    ':path': '/everywire.v1.Messaging/Read',
    'content-type': 'application/grpc',
    te: 'trailers',
    authorization: `Bearer ${token}`,
  });
  // ReadRequest with field 1, channel, "a".
  stream.end(Buffer.from([0, 0, 0, 0, 3, 0x0a, 1, 0x61]));
  stream.on('error', () => undefined).resume();
  const status = await new Promise<unknown>((resolve) => {
    stream.on('response', (head) => resolve(head['grpc-status'] ?? undefined));
    stream.on('trailers', (trailers) => resolve(trailers['grpc-status']));
  }).then(
    async (early) =>
      early ?? ((await once(stream, 'trailers')) as [Record<string, unknown>])[0]['grpc-status'],
  );
  if (status !== '0') throw new Error(`gRPC status ${String(status)}`);
}
