import type { Envelope } from '@everywire/protocol';
import type { CheckedOptions, Problem } from './options.ts';
import { ChannelNames } from './names.ts';
import { Link } from './link.ts';
import { LogReader } from './log-reader.ts';

/** The adapter of one Socket.IO namespace. */
export interface Member {
  /** Level of its Socket.IO namespace. */
  readonly namespace: string;
  /** A message of this namespace arrived from the log. */
  receive(message: Envelope): void;
  /** The link is connected, for the first time or again. */
  ready(): void;
}

/** Shared by the adapters of all namespaces of one `socket.io` server: the link, and which adapter gets which message. */
export class Cluster {
  readonly names: ChannelNames;
  readonly link: Link;
  readonly reader: LogReader;
  readonly options: CheckedOptions;
  /** By namespace. Several servers of one process may share a cluster. */
  readonly #members = new Map<string, Set<Member>>();

  constructor(options: CheckedOptions) {
    this.options = options;
    this.names = new ChannelNames(options.prefix);
    this.reader = new LogReader(options);
    this.link = new Link(options, this.names.filter, {
      message: (message) => this.#receive(message),
      ready: () => {
        for (const members of this.#members.values()) for (const member of members) member.ready();
      },
    });
  }

  report(kind: Problem['kind'], detail: string, cause?: unknown): void {
    this.options.onProblem(cause === undefined ? { kind, detail } : { kind, detail, cause });
  }

  publishRefused(channel: string, error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    this.report('refused', `An event was not published to ${channel}: ${reason}`, error);
  }

  join(member: Member): void {
    const members = this.#members.get(member.namespace);
    if (members === undefined) this.#members.set(member.namespace, new Set([member]));
    else members.add(member);
    this.link.open();
  }

  /** Closes the link with the last adapter, when the server has answered its publishes. */
  async leave(member: Member): Promise<void> {
    const members = this.#members.get(member.namespace);
    if (members?.delete(member) !== true) return;
    if (members.size === 0) this.#members.delete(member.namespace);
    if (this.#members.size === 0) await this.link.close();
  }

  /** If one namespace cannot process a message, the others must still get theirs. */
  #receive(message: Envelope): void {
    const place = this.names.place(message.channel);
    const members = place === undefined ? undefined : this.#members.get(place.namespace);
    for (const member of members ?? []) {
      try {
        member.receive(message);
      } catch (error) {
        this.report('failed', `A message of ${message.channel} could not be delivered.`, error);
      }
    }
  }
}
