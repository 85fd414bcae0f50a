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
  /** Since the CONNECT was judged. */
  readonly opened: OpenSession | undefined;
  /** Largest packet that it takes (§3.1.2.11.4). */
  readonly packetBytesMax: number;
  /** A method, since it changes while something is awaited. */
  isOpen(): boolean;
  /** Writes whole packets. False: enough is unsent; `Delivery.drained` is called later. */
  send(bytes: Buffer): boolean;
  /** Sends one packet at the end of the turn, together with others. */
  answer(packet: Packet): void;
  /** Ends the connection for what the client did or is; in MQTT 5 with the reason [MQTT-4.13.1-1]. */
  refuse(reasonCode: number, detail: string): void;
  /** Ends the connection for a fault of the server. */
  fail(cause: unknown): void;
  /** PUBLISHes were answered: more may be read. */
  resume(): void;
  /** Saves the state of the session some milliseconds later. */
  saveSoon(): void;
  /** The window as it is now is durable when this resolves. */
  saveNow(): Promise<void>;
}
