import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { defaultLimits, type AllLimits } from '../../src/config/limits.ts';
import type { Log } from '../../src/core/seams/log.ts';
import { UpgradeRouter, wantsWebSocket } from '../../src/http/upgrades.ts';
import type { Link, LinkHandlers, OpenLinks } from '../../src/net/link.ts';
import { listenTcp } from '../../src/net/listener.ts';
import { serveWebSocketLinks } from '../../src/net/websocket-links.ts';
import type { WebSocketLinkRules } from '../../src/net/websocket-link.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { frame, opcodes } from '@everywire/wires/websocket';
import { clientFrame } from '../../../../test/clients/websocket/client-frames.ts';
import { RawClient } from '../../../../test/clients/websocket/raw-client.ts';

/** What a test keeps of a connection: everything that it heard. */
export class Heard {
  readonly link: Link<Heard>;
  readonly chunks: Buffer[] = [];
  drains = 0;
  readonly closes: ('left' | 'lost')[] = [];
  deadlines = 0;

  constructor(link: Link<Heard>) {
    this.link = link;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

export interface LinkRigOptions {
  readonly limits?: Partial<AllLimits>;
  readonly onData?: (link: Link<Heard>, bytes: Buffer) => void;
  /** Refuses every connection. */
  readonly isClosed?: boolean;
  readonly onOpen?: (link: Link<Heard>) => void;
  readonly rules?: WebSocketLinkRules;
}

/** A far end that reads and writes bytes as they are, framed as its kind of link wants it. */
export interface FarEnd {
  readonly socket: Socket;
  /** The protocol's bytes that have come. */
  readonly bytes: Buffer;
  readonly isEnded: boolean;
  write(bytes: Buffer): void;
  until(isTrue: () => boolean, timeoutMs?: number): Promise<void>;
}

export interface LinkRig {
  readonly kind: 'tcp' | 'websocket';
  readonly links: OpenLinks<Heard>;
  readonly heard: Heard[];
  readonly errors: string[];
  /** What `send` wants of these bytes. */
  ready(bytes: Buffer): Buffer;
  connect(): Promise<FarEnd>;
  stop(): Promise<void>;
}

class TcpEnd implements FarEnd {
  readonly socket: Socket;
  isEnded = false;
  readonly #chunks: Buffer[] = [];
  #waiting: (() => void)[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    const wake = () => {
      for (const one of this.#waiting.splice(0)) one();
    };
    const end = () => {
      this.isEnded = true;
      wake();
    };
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      wake();
    });
    socket.on('end', end);
    socket.on('error', end);
    socket.on('close', end);
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  write(bytes: Buffer): void {
    this.socket.write(bytes);
  }

  async until(isTrue: () => boolean, timeoutMs = 10_000): Promise<void> {
    const giveUp = AbortSignal.timeout(timeoutMs);
    while (!isTrue()) {
      if (giveUp.aborted) throw new Error(`not within ${timeoutMs} ms`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 100);
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }
}

class WebSocketEnd implements FarEnd {
  readonly client: RawClient;

  constructor(client: RawClient) {
    this.client = client;
  }

  get socket(): Socket {
    return this.client.socket;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.client.frames.filter(({ opcode }) => opcode < 8).map(({ payload }) => payload));
  }

  get isEnded(): boolean {
    return this.client.isEnded || this.client.closeCode !== undefined;
  }

  write(bytes: Buffer): void {
    this.client.write(clientFrame({ opcode: opcodes.binary, payload: bytes }));
  }

  until(isTrue: () => boolean, timeoutMs = 10_000): Promise<void> {
    return this.client.until(isTrue, timeoutMs);
  }
}

export async function startLinks(kind: 'tcp' | 'websocket', options: LinkRigOptions = {}): Promise<LinkRig> {
  const limits = { ...defaultLimits, ...options.limits };
  const errors: string[] = [];
  const heard: Heard[] = [];
  const quiet = () => undefined;
  const log: Log = { debug: quiet, info: quiet, warn: quiet, error: (_, text) => errors.push(text) };
  const handlers: LinkHandlers<Heard> = {
    onData(link, bytes) {
      link.context.chunks.push(Buffer.from(bytes));
      options.onData?.(link, bytes);
    },
    onDrain: ({ context }) => (context.drains += 1),
    onClose: ({ context }, how) => context.closes.push(how),
    onDeadline: ({ context }) => (context.deadlines += 1),
  };
  const open = (link: Link<Heard>): Heard | undefined => {
    if (options.isClosed === true) return undefined;
    const one = new Heard(link);
    heard.push(one);
    options.onOpen?.(link);
    return one;
  };
  const shared = { open, handlers, limits, clock: systemClock, log };
  if (kind === 'tcp') {
    const listener = await listenTcp({
      ...shared,
      name: 'mqtt',
      host: '127.0.0.1',
      port: 0,
      isDefaultPort: false,
    });
    return {
      kind,
      links: listener,
      heard,
      errors,
      ready: (bytes) => bytes,
      async connect() {
        const socket = connect({ port: listener.port!, host: '127.0.0.1', allowHalfOpen: true });
        await once(socket, 'connect');
        return new TcpEnd(socket);
      },
      async stop() {
        listener.close();
        for (const link of listener) link.destroy();
        await listener.emptied();
      },
    };
  }
  const upgrades = new UpgradeRouter();
  const links = serveWebSocketLinks({
    ...shared,
    upgrades,
    path: '/link',
    handshake: { protocols: ['v2.bytes', 'v1.bytes'] },
    messageBytesMax: 1024 * 1024,
    untrustedMessageBytesMax: 16 * 1024,
    ...(options.rules ?? { isTextData: false, answersAs: 'binary' }),
  });
  const http = createServer({ shouldUpgradeCallback: wantsWebSocket });
  http.on('upgrade', (request, socket, head: Buffer) => upgrades.handle(request, socket, head));
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  return {
    kind,
    links,
    heard,
    errors,
    ready: (bytes) => frame(opcodes.binary, bytes),
    async connect() {
      const { port } = http.address() as AddressInfo;
      return new WebSocketEnd(
        await RawClient.open(port, '/link', ['Sec-WebSocket-Protocol: v1.bytes, v2.bytes']),
      );
    },
    async stop() {
      http.close();
      for (const link of links) link.destroy();
      await links.emptied();
    },
  };
}
