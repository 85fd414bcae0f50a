import type { Log } from '../../core/seams/log.ts';
import type { IoApplication } from './application.ts';
import { Deadlines } from './engine/deadlines.ts';
import { EngineServer, type EngineOptions } from './engine/engine-server.ts';
import type { EngineHandlers, EngineSession } from './engine/handlers.ts';
import { IoConnection, type IoConnectionHost } from './io-connection.ts';
import type { IoLimits } from '@everywire/wires/socketio';
import type { PartsLimits } from '../parts/limits.ts';

/** Attachments of one packet: the default of the protocol's own parser. */
const attachmentsMax = 10;

/** The hooks of an application whose sessions outlive the process. */
export type Persistence<State> = Pick<
  EngineHandlers<IoConnection<State>>,
  'beforeHandshake' | 'beforeAnswer' | 'restore' | 'upgraded' | 'cameBy'
> & {
  /** All messages of a POST were handled; its answer waits for the promise. */
  afterPost?(connection: IoConnection<State>): undefined | Promise<void>;
  closed?(connection: IoConnection<State>): undefined | Promise<void>;
};

export interface IoServerOptions<State> extends Omit<EngineOptions<IoConnection<State>>, 'handlers'> {
  readonly application: IoApplication<State>;
  readonly persistence?: Persistence<State>;
  /** How long a peer may be in no namespace. */
  readonly connectTimeoutMs?: number;
}

/** Socket.IO 5 on Engine.IO 4. */
export class IoServer<State> implements IoConnectionHost<State> {
  readonly engine: EngineServer<IoConnection<State>>;
  readonly application: IoApplication<State>;
  readonly log: Log;
  readonly packetLimits: IoLimits;
  readonly attachmentBytesMax: number;
  readonly commandLimits: PartsLimits;
  readonly ioNamespacesMax: number;
  readonly refusalsMax: number;
  readonly #silent: Deadlines<EngineSession<IoConnection<State>>>;

  constructor(options: IoServerOptions<State>) {
    const { application, persistence, limits, clock } = options;
    this.application = application;
    this.log = options.log;
    this.packetLimits = {
      attachmentsMax,
      jsonDepthMax: limits.jsonDepthMax,
      nameBytesMax: limits.nameBytesMax,
    };
    this.attachmentBytesMax = options.payloadBytesMax;
    this.commandLimits = limits;
    this.ioNamespacesMax = limits.ioNamespacesMax;
    this.refusalsMax = limits.badCommandsMax;
    this.#silent = new Deadlines(clock, options.connectTimeoutMs ?? limits.handshakeTimeoutMs, (engine) =>
      engine.close(1008, 'in no namespace'),
    );
    this.engine = new EngineServer({
      ...options,
      handlers: {
        ...persistence,
        open: (engine) => {
          this.#silent.set(engine);
          return new IoConnection(this, engine);
        },
        message: ({ context }, data) => context.receive(data),
        afterPost: ({ context }) => persistence?.afterPost?.(context),
        writable: ({ context }) => {
          for (const socket of context.connected) application.writable(socket);
        },
        closed: (engine, how) => {
          this.#silent.delete(engine);
          engine.context.ended(how);
          return persistence?.closed?.(engine.context);
        },
      },
    });
  }

  /** Adds a connection that another process opened. It must enter a namespace before the time-out. */
  restored(connection: IoConnection<State>): void {
    if (connection.sockets.length === 0) this.left(connection);
    else this.entered(connection);
  }

  entered({ engine }: IoConnection<State>): void {
    this.#silent.delete(engine);
    engine.trust();
  }

  left({ engine }: IoConnection<State>): void {
    if (engine.isOpen) this.#silent.set(engine);
  }
}
