import { EverywireError } from '@everywire/protocol';
import type { Log } from '../../core/seams/log.ts';
import type { IoApplication, IoEvent } from './application.ts';
import type { EngineSession } from './engine/handlers.ts';
import { IoSocket, type IoSocketOwner } from './io-socket.ts';
import {
  connectedPacket,
  connectErrorPacket,
  IoFault,
  type IoLimits,
  parseIoPacket,
  type IoPacket,
} from '@everywire/wires/socketio';
import { refusalOf } from '../parts/refusal.ts';
import { CommandPacer } from '../parts/command-pacer.ts';
import type { PartsLimits } from '../parts/limits.ts';

const protocolFaultCode = 1002;

/** The shared part of the connections of one server. */
export interface IoConnectionHost<State> {
  readonly application: IoApplication<State>;
  readonly log: Log;
  readonly packetLimits: IoLimits;
  readonly attachmentBytesMax: number;
  readonly commandLimits: PartsLimits;
  readonly ioNamespacesMax: number;
  /** A peer outside all namespaces is cut after this many refusals. */
  readonly refusalsMax: number;
  /** The peer was admitted to a namespace. */
  entered(connection: IoConnection<State>): void;
  /** The peer is in no namespace any more: its time-out starts again. */
  left(connection: IoConnection<State>): void;
}

/** Socket.IO on one Engine.IO session: packets with their attachments, and the namespaces that the peer is in. */
export class IoConnection<State> implements IoSocketOwner<State> {
  readonly engine: EngineSession<IoConnection<State>>;
  readonly #host: IoConnectionHost<State>;
  /** Few, and mostly one: a Map would cost every connection more memory. */
  #sockets: readonly IoSocket<State>[] = [];
  /** A packet that waits for attachments. */
  #partial: { readonly packet: IoPacket; readonly attachments: Buffer[]; bytes: number } | undefined;
  readonly #pacer: CommandPacer;
  /** How often a CONNECT was refused since the peer was last in a namespace. */
  #refusals = 0;

  constructor(host: IoConnectionHost<State>, engine: EngineSession<IoConnection<State>>) {
    this.#host = host;
    this.engine = engine;
    this.#pacer = new CommandPacer(engine, host.commandLimits);
  }

  get sockets(): readonly IoSocket<State>[] {
    return this.#sockets;
  }

  /** The sockets whose CONNECT was answered. */
  get connected(): readonly IoSocket<State>[] {
    return this.#sockets.filter(({ stage }) => stage === 'connected');
  }

  receive(data: string | Buffer): undefined | Promise<unknown> {
    if (typeof data !== 'string') return this.#takeAttachment(data);
    if (this.#partial !== undefined) return this.#fail('text where an attachment is due');
    const packet = parseIoPacket(data, this.#host.packetLimits);
    if (packet instanceof IoFault) return this.#fail(packet.detail);
    if (packet.attachments === 0) return this.#take(packet, []);
    this.#partial = { packet, attachments: [], bytes: 0 };
    return undefined;
  }

  /** A socket that another process, or an earlier one, has admitted. */
  adopt(ioNamespace: string): IoSocket<State> {
    const socket = new IoSocket(this, ioNamespace);
    this.#sockets = this.#sockets.concat(socket);
    return socket;
  }

  leave(socket: IoSocket<State>, how: 'disconnected' | 'left' | 'lost'): undefined | Promise<void> {
    if (socket.stage === 'ended') return undefined;
    const wasConnected = socket.stage === 'connected';
    socket.stage = 'ended';
    this.#sockets = this.#sockets.filter((other) => other !== socket);
    if (this.#sockets.length === 0) this.#host.left(this);
    return wasConnected ? this.#host.application.ended(socket, how) : undefined;
  }

  /** The engine's session is over. */
  ended(how: 'left' | 'lost'): void {
    this.#partial = undefined;
    for (const socket of this.#sockets) void this.leave(socket, how);
  }

  #takeAttachment(data: Buffer): undefined | Promise<unknown> {
    const partial = this.#partial;
    if (partial === undefined) return this.#fail('an attachment that is not due');
    partial.bytes += data.length;
    if (partial.bytes > this.#host.attachmentBytesMax) return this.#fail('attachments too large');
    const isLast = partial.attachments.length + 1 === partial.packet.attachments;
    partial.attachments.push(isLast && partial.attachments.length === 0 ? data : Buffer.from(data));
    if (!isLast) return undefined;
    this.#partial = undefined;
    return this.#take(partial.packet, partial.attachments);
  }

  #take(packet: IoPacket, attachments: readonly Buffer[]): undefined | Promise<unknown> {
    const socket = this.#sockets.find(({ ioNamespace }) => ioNamespace === packet.ioNamespace);
    if (packet.kind === 'connect') {
      return socket === undefined ? this.#connect(packet) : this.#fail('connected already');
    }
    // An event is allowed only after CONNECT and before DISCONNECT.
    if (socket?.stage !== 'connected') return this.#fail('not connected to this namespace');
    switch (packet.kind) {
      case 'disconnect':
        return this.leave(socket, 'disconnected');
      case 'event':
        return this.#run(socket, packet, attachments);
      case 'ack':
        // The server asks for no acknowledgements, so it ignores them.
        return undefined;
    }
  }

  async #connect({ ioNamespace, auth }: IoPacket): Promise<void> {
    const { application, ioNamespacesMax } = this.#host;
    const socket = new IoSocket<State>(this, ioNamespace);
    try {
      if (this.#sockets.length >= ioNamespacesMax) {
        throw new EverywireError('quota_exceeded', `A connection has at most ${ioNamespacesMax} namespaces.`);
      }
      this.#sockets = this.#sockets.concat(socket);
      const given = auth === undefined ? {} : (JSON.parse(auth) as Record<string, unknown>);
      const { answer, state } = await application.connect(socket, given);
      socket.state = state;
      if (socket.stage === 'ended') {
        void application.ended(socket, 'lost');
        return;
      }
      socket.stage = 'connected';
      this.#refusals = 0;
      this.#host.entered(this);
      this.engine.sendText(connectedPacket(ioNamespace, answer));
      application.connected(socket);
    } catch (caught) {
      this.#sockets = this.#sockets.filter((other) => other !== socket);
      socket.stage = 'ended';
      const error = refusalOf(caught, this.#host.log, 'a Socket.IO CONNECT failed');
      // For an unknown namespace, the protocol sends only the message.
      const data = error.code === 'not_found' ? undefined : { code: error.code };
      this.engine.sendText(connectErrorPacket(ioNamespace, error.message, data));
      this.#refusals += 1;
      // A peer must not try tokens without end.
      const isStranger = this.#sockets.length === 0;
      if (isStranger && this.#refusals >= this.#host.refusalsMax) this.engine.close(1008, error.code);
    }
  }

  #run(
    socket: IoSocket<State>,
    packet: IoPacket,
    attachments: readonly Buffer[],
  ): undefined | Promise<unknown> {
    const [name, ...items] = packet.items;
    const event: IoEvent = {
      name: JSON.parse(name!) as string | number,
      items,
      attachments,
      ackId: packet.id,
    };
    const done = this.#host.application.event(socket, event);
    if (done === undefined) return undefined;
    const bytes = bytesOf(event);
    this.#pacer.begin(bytes);
    return done.finally(() => this.#pacer.end(bytes));
  }

  #fail(detail: string): undefined | Promise<unknown> {
    this.#partial = undefined;
    this.engine.close(protocolFaultCode, `parse error: ${detail}`);
    return undefined;
  }
}

function bytesOf({ items, attachments }: IoEvent): number {
  let bytes = 0;
  for (const { length } of items) bytes += length;
  for (const { length } of attachments) bytes += length;
  return bytes;
}
