import { EverywireError } from '@everywire/protocol';
import { Encoder, PacketType } from 'socket.io-parser';
import type { IoApplication } from '../../packages/server/src/transports/socketio/application.ts';
import { IoServer } from '../../packages/server/src/transports/socketio/io-server.ts';
import type { IoSocket } from '../../packages/server/src/transports/socketio/io-socket.ts';
import { valueOfItem } from '@everywire/wires/socketio';
import { serveEngine, suiteIntervals, suiteParts, type EchoServer } from './engine-io-echo.ts';

const encoder = new Encoder();
const ioNamespaces = new Set(['/', '/custom']);

interface EchoState {
  readonly auth: object;
}

function send(socket: IoSocket<EchoState>, type: PacketType, data: unknown[], id?: number): void {
  const packet = { type, nsp: socket.ioNamespace, data, ...(id === undefined ? {} : { id }) };
  for (const one of encoder.encode(packet) as (string | Buffer)[]) {
    if (typeof one === 'string') socket.engine.sendText(one);
    else socket.engine.sendBinary(one);
  }
}

/** The application that the public suite of the protocol asks for. */
const echo: IoApplication<EchoState> = {
  connect(socket, auth) {
    if (!ioNamespaces.has(socket.ioNamespace)) throw new EverywireError('not_found', 'Invalid namespace');
    return Promise.resolve({ answer: { sid: suiteParts.random.hex(10) }, state: { auth } });
  },
  connected: (socket) => send(socket, PacketType.EVENT, ['auth', socket.state.auth]),
  event(socket, { name, items, attachments, ackId }) {
    const values = items.map((item) => valueOfItem(item, attachments));
    if (name === 'message') send(socket, PacketType.EVENT, ['message-back', ...values]);
    else if (name === 'message-with-ack' && ackId !== undefined) send(socket, PacketType.ACK, values, ackId);
    return undefined;
  },
  writable: () => undefined,
  ended: () => undefined,
};

export function startSocketIoEcho(port = 0): Promise<EchoServer> {
  const { engine } = new IoServer({
    ...suiteParts,
    ...suiteIntervals,
    application: echo,
    connectTimeoutMs: 1_000,
  });
  return serveEngine(engine, port);
}
