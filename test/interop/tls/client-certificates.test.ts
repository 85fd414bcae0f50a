import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { connect, type ConnectionOptions } from 'node:tls';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { connect as connectMqtt, type IClientOptions } from 'mqtt';
import { io } from 'socket.io-client';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import {
  openAccess,
  type Access,
  type Credentials,
} from '../../../packages/server/src/core/sessions/access.ts';
import { Messaging } from '@everywire/wires/grpc/generated/everywire/v1/messaging_pb.js';
import { TestAuthority, type Pair } from './certificates.ts';
import { portOf, startSecureServer, type SecureServer } from './server.ts';

interface Identified {
  readonly ca: string;
  readonly cert?: string;
  readonly key?: string;
}

let authority: TestAuthority;
let stranger: TestAuthority;
let ca: string;
let pair: Pair;
const shown: Credentials[] = [];
const access: Access = {
  ...openAccess,
  authenticate: (credentials) => {
    shown.push(credentials);
    return openAccess.authenticate(credentials);
  },
};
const servers: SecureServer[] = [];

beforeAll(() => {
  authority = new TestAuthority();
  stranger = new TestAuthority('Another Authority');
  ca = readFileSync(authority.ca, 'utf8');
  pair = authority.issueForLoopback();
});
afterAll(async () => {
  for (const server of servers) await server.stop();
  authority.dispose();
  stranger.dispose();
});

async function start(
  clientCertificates: 'request' | 'require',
  subjectFrom: 'none' | 'cn' | 'san-email' | 'san-uri' | 'san-dns',
): Promise<SecureServer> {
  const tls = { clientCa: authority.ca, clientCertificates, subjectFrom };
  const server = await startSecureServer(pair, { tls }, { access });
  servers.push(server);
  return server;
}

function withPair({ cert, key }: Pair): Identified {
  return { ca, cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
}

type Show = (server: SecureServer, identified: Identified) => Promise<unknown>;

async function publishOver(server: SecureServer, identified: Identified, allowH2: boolean): Promise<void> {
  const dispatcher = new Agent({ connect: { ...identified }, allowH2 });
  try {
    const { statusCode, body } = await request(`${server.url}/channels/a`, {
      method: 'POST',
      body: 'a',
      dispatcher,
    });
    await body.dump();
    expect(statusCode).toBe(201);
  } finally {
    await dispatcher.destroy();
  }
}

/** Unlike the library's own promise, this one ends with the connection. */
async function mqttConnect(url: string, options: IClientOptions): Promise<void> {
  const client = connectMqtt(url, { ...options, reconnectPeriod: 0 });
  try {
    await new Promise<void>((resolve, reject) => {
      client.once('connect', () => resolve());
      client.once('error', reject);
      client.once('close', () => reject(new Error('closed')));
    });
  } finally {
    await client.endAsync(true);
  }
}

function stompConnect(options: ConnectionOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(options, () => socket.write('CONNECT\naccept-version:1.2\nhost:a\n\n\0'));
    socket.once('data', (bytes: Buffer) => {
      resolve(bytes.toString());
      socket.destroy();
    });
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed')));
  });
}

/** A handshake on each listener, and on the HTTP port in each way. */
const listeners: readonly (readonly [name: string, show: Show])[] = [
  ['HTTP/1.1', (server, identified) => publishOver(server, identified, false)],
  ['HTTP/2', (server, identified) => publishOver(server, identified, true)],
  [
    'WebSocket',
    async ({ url }, identified) => {
      const socket = new WebSocket(`${url.replace('https', 'wss')}/ws`, ['everywire.v1'], { ...identified });
      await once(socket, 'open');
      socket.close();
      await once(socket, 'close');
    },
  ],
  [
    'Socket.IO',
    async ({ url }, identified) => {
      const socket = io(url, {
        transports: ['polling'],
        reconnection: false,
        forceNew: true,
        ...identified,
      } as object);
      try {
        await new Promise<void>((resolve, reject) => {
          socket.once('connect', resolve);
          socket.once('connect_error', reject);
        });
      } finally {
        socket.disconnect();
      }
    },
  ],
  [
    'MQTT over TLS',
    async ({ mqtts }, identified) => {
      await mqttConnect(mqtts, { ...identified });
    },
  ],
  [
    'MQTT over WebSocket',
    async ({ url }, identified) => {
      await mqttConnect(`${url.replace('https', 'wss')}/mqtt`, {
        wsOptions: { ...identified },
        ...identified,
      });
    },
  ],
  [
    'STOMP over TLS',
    async ({ stomps }, identified) => {
      const told = await stompConnect({ host: '127.0.0.1', port: portOf(stomps), ...identified });
      expect(told).toMatch(/^CONNECTED/);
    },
  ],
  [
    'gRPC',
    ({ grpc }, identified) => {
      const transport = createGrpcTransport({ baseUrl: `https://${grpc}`, nodeOptions: { ...identified } });
      return createClient(Messaging, transport).read({ channel: 'a' });
    },
  ],
  [
    'gRPC-Web',
    ({ url }, identified) => {
      const options = { baseUrl: url, httpVersion: '1.1' as const, nodeOptions: { ...identified } };
      return createClient(Messaging, createGrpcWebTransport(options)).read({ channel: 'a' });
    },
  ],
];

describe('required, and mapped by e-mail address', () => {
  let server: SecureServer;
  let good: Identified;
  beforeAll(async () => {
    server = await start('require', 'san-email');
    good = withPair(authority.issue({ commonName: 'Alice', names: 'email:alice@example.org,DNS:a.example' }));
  });

  it.each(listeners)('%s brings the subject to the core', async (_name, show) => {
    shown.length = 0;
    await show(server, good);
    expect(shown.length).toBeGreaterThan(0);
    for (const { certificate } of shown) expect(certificate).toBe('alice@example.org');
  });

  it.each(listeners)('%s refuses a client without a certificate', async (_name, show) => {
    shown.length = 0;
    await expect(show(server, { ca })).rejects.toThrow();
    expect(shown).toEqual([]);
  });

  it.each(listeners)('%s is closed to one of another authority', async (_name, show) => {
    shown.length = 0;
    const bad = withPair(stranger.issue({ commonName: 'Alice', names: 'email:alice@example.org' }));
    await expect(show(server, bad)).rejects.toThrow();
    expect(shown).toEqual([]);
  });

  it.each(listeners)('%s is closed to one that has expired', async (_name, show) => {
    shown.length = 0;
    const bad = withPair(
      authority.issue({ commonName: 'Alice', names: 'email:alice@example.org', isExpired: true }),
    );
    await expect(show(server, bad)).rejects.toThrow();
    expect(shown).toEqual([]);
  });

  it('a TLS session without a certificate cannot be resumed as one with a certificate', async () => {
    const port = portOf(server.stomps);
    const tickets: Buffer[] = [];
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const first = connect({ host: '127.0.0.1', port, ca, maxVersion });
      const closed = new Promise((resolve) => first.once('close', resolve));
      first.on('error', () => undefined);
      first.on('session', (session: Buffer) => tickets.push(session));
      await closed;
      for (const session of tickets)
        await expect(stompConnect({ host: '127.0.0.1', port, ca, maxVersion, session })).rejects.toThrow();
    }
  });
});

describe('asked for', () => {
  let server: SecureServer;
  beforeAll(async () => {
    server = await start('request', 'cn');
  });

  it('one without a certificate has no subject', async () => {
    shown.length = 0;
    await publishOver(server, { ca }, true);
    expect(shown.map(({ certificate }) => certificate)).toEqual([undefined]);
  });

  it('one with a good certificate has its common name', async () => {
    shown.length = 0;
    await publishOver(server, withPair(authority.issue({ commonName: 'sensor-7' })), true);
    expect(shown.map(({ certificate }) => certificate)).toEqual(['sensor-7']);
  });

  it('one with a bad certificate is refused all the same', async () => {
    shown.length = 0;
    const bad = withPair(stranger.issue({ commonName: 'sensor-7' }));
    await expect(publishOver(server, bad, false)).rejects.toThrow();
    expect(shown).toEqual([]);
  });

  it('all requests of one HTTP/2 connection have it', async () => {
    shown.length = 0;
    const session = connectHttp2(server.url, { ...withPair(authority.issue({ commonName: 'sensor-8' })) });
    const ends = [1, 2, 3].map(async () => {
      const stream = session.request({ ':path': '/channels/a' });
      stream.resume();
      await once(stream, 'close');
    });
    await Promise.all(ends);
    session.close();
    expect(shown.map(({ certificate }) => certificate)).toEqual(['sensor-8', 'sensor-8', 'sensor-8']);
  });
});
