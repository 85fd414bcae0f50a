import type { Packet, Version } from '@everywire/wires/mqtt';
import type { Session } from '../../core/seams/session-api.ts';
import type { Credit } from '../../core/seams/subscription-api.ts';
import type { CommandPacer } from '../parts/command-pacer.ts';
import type { Broker } from './broker.ts';
import type { OpenSession } from './open-session.ts';

/** A client, as the parts of its connection see it: publishing, subscriptions and delivery. */
export interface MqttClient extends Credit {
  readonly broker: Broker;
  readonly link: { readonly kind: 'tcp' | 'websocket'; readonly unsentBytes: number };
  readonly pacer: CommandPacer;
  readonly session: Session;
  readonly version: Version;
  /** Set once the CONNECT was accepted. */
  readonly opened: OpenSession | undefined;
  /** Another broker: it wants no message back that it published, and the retain flag as published. */
  readonly isBridge: boolean;
  /** Largest packet that it takes (§3.1.2.11.4). */
  readonly packetBytesMax: number;
  /** A method, not a property, since the value changes during an `await`. */
  isOpen(): boolean;
  /** Writes whole packets. Returns false if enough is unsent; `Delivery.drained` is called later. */
  send(bytes: Buffer): boolean;
  /** Sends one packet at the end of the turn, together with others. */
  answer(packet: Packet): void;
  /** Ends the connection because of the client; in MQTT 5 with the reason [MQTT-4.13.1-1]. */
  refuse(reasonCode: number, detail: string): void;
  /** Ends the connection for a fault of the server. */
  fail(cause: unknown): void;
  /** PUBLISHes were answered, so the connection may read more. */
  resume(): void;
  /** Saves the state of the session some milliseconds later. */
  saveSoon(): void;
  /** Resolves when the present window is durable. */
  saveNow(): Promise<void>;
}
