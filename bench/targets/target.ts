import type { Agent } from '../agent-process.ts';
import type { WireName } from '../generator/handshakes.ts';
import type { PublishTarget } from '../generator/publishers.ts';
import type { PaceReport } from '../pacer.ts';

/** A server that the bench can start: ours with one of its stores, or a peer. */
export interface Target {
  readonly name: string;
  /** What it is called with `--peers`; ours always runs. */
  readonly peer?: string;
  /** Wires on which it fans out. */
  readonly wires: readonly WireName[];
  /** Whether other processes publish to it; its `publishTargets` say where. */
  readonly isPublishedTo?: boolean;
  /** Why it cannot run here; `undefined` when it can. */
  missing(): string | undefined;
  /** `publisher` is the process that publishes for servers that do not publish by themselves. */
  start(publisher: Agent): Promise<RunningTarget>;
}

/** A started server with one channel, `bench`. */
export interface RunningTarget {
  /** Whose CPU time and memory count, with its children. */
  readonly pid: number;
  /** Of HTTP, or of the one wire that the server has. */
  readonly port: number;
  /** The port of `wire`, if wires have separate ports; absent: all wires use `port`. */
  portOf?(wire: WireName): number;
  /** What subscribers have to show; absent: nothing. */
  readonly token?: string | undefined;
  /** For MQTT, the topic. */
  subscribePath(wire: WireName): string;
  /** Subscribers are on `wire`; the publisher may use it too. */
  startPublishing(ratePerSecond: number, payloadBytes: number, wire?: WireName): Promise<void>;
  stopPublishing(): Promise<PaceReport>;
  /** Where another process may publish; absent for servers that only publish by themselves. */
  readonly publishTargets?: readonly PublishTarget[];
  /** Where it keeps what it stores, for servers that do. */
  readonly storeFolder?: string;
  stop(): Promise<void>;
}
