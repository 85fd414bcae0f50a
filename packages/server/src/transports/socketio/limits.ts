import type { LimitDeclarations, LimitsOf } from '../../core/limits.ts';
import type { Host } from '../../core/seams/transport.ts';
import type { WebSocketLimits } from '../../websocket/limits.ts';
import type { PartsLimits } from '../parts/limits.ts';

const kib = 1024;

/** The first byte of `Draft.native` in messages that Socket.IO clients published. It is stored: never change it. */
export const socketioNativeByte = 3;

export const socketioLimits = {
  ioNamespacesMax: {
    default: 64,
    about: 'Namespaces that one Socket.IO connection may be in.',
  },
  ioOrderBytesMax: {
    default: 1024 * kib,
    about:
      'Messages of a Socket.IO session that wait for an earlier one of another of its filters; all filters ' +
      'together.',
  },
  ioSessionAgeMsMax: {
    default: 7 * 24 * 3_600_000,
    about:
      'How long, and how many, Socket.IO sessions are kept for clients that come back: as long as messages ' +
      'are by default, and some tens of megabytes. Beyond that the oldest go; before them, and also while ' +
      'there is room, the oldest of a subject that has more than its own number, which holds while ' +
      'authentication is on and not for administrators.',
  },
  ioSessionsMax: { default: 100_000 },
  ioSessionsPerSubjectMax: { default: 10_000 },
  ioPollAgeMsMax: {
    default: 3_600_000,
    about: 'How long a Socket.IO session that polls is kept when the server that knew it is gone.',
  },
} satisfies LimitDeclarations;

export type SocketIoLimits = WebSocketLimits & PartsLimits & LimitsOf<typeof socketioLimits>;

export type SocketIoHost = Host<SocketIoLimits>;
