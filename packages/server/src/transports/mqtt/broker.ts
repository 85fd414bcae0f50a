import { ThrottledLog } from '../../core/throttled-log.ts';
import type { WireFormat } from '../../core/log/batch.ts';
import { noFigures, type MqttFigures } from './figures.ts';
import { Sessions } from './sessions.ts';
import { SysTopics } from './sys.ts';
import { publishFormat, type PublishFormatOptions } from './format.ts';
import type { MqttHost } from './limits.ts';

/** Answers that are sent at the end of a turn. */
export interface Answering {
  answer(): void;
}

export interface BrokerOptions {
  /** How often the server sends `$SYS` to its subscribers. */
  readonly sysEveryMs?: number | undefined;
}

const sysEveryMsDefault = 10_000;

/** The shared state of all connections of the broker. */
export class Broker {
  readonly host: MqttHost;
  readonly figures: MqttFigures = noFigures();
  /** Logs refusals that the protocol cannot report. */
  readonly refusals: ThrottledLog;
  readonly formats = new Formats();
  readonly sessions: Sessions;
  readonly sys: SysTopics;
  #answering: Answering[] = [];

  constructor(host: MqttHost, { sysEveryMs }: BrokerOptions) {
    this.host = host;
    this.refusals = new ThrottledLog(host.clock, host.log);
    this.sessions = new Sessions(host);
    this.sys = new SysTopics({
      clock: host.clock,
      heldFromBytes: host.limits.outboundHeldFromBytes,
      figures: this.figures,
      hubFigures: host.hub.figures,
      sessionsStored: () => this.sessions.stored,
      everyMs: sysEveryMs ?? sysEveryMsDefault,
    });
  }

  /** Answers PUBLISHes at the end of this turn, after the deliveries of the hub in it. */
  atEndOfTurn(answering: Answering): void {
    if (this.#answering.push(answering) === 1) this.host.clock.turn(this.#answer);
  }

  readonly #answer = (): void => {
    const answering = this.#answering;
    this.#answering = [];
    for (const one of answering) one.answer();
  };

  nowMs(): number {
    return this.host.clock.nowMs();
  }
}

/** Formats by their options: connections with the same options share the object, and with it its id. */
class Formats {
  readonly #known = new Map<string, WireFormat>();

  get(options: PublishFormatOptions): WireFormat {
    // Clients can make any number of these, so only their subscriptions keep them.
    if (options.subscriptionIdentifiers.length > 0 || options.nowMs !== undefined)
      return publishFormat(options);
    const { version, link, qos, retain, dup, withCursor } = options;
    const key = `${version} ${link} ${qos} ${retain} ${dup} ${withCursor}`;
    let format = this.#known.get(key);
    if (format === undefined) this.#known.set(key, (format = publishFormat(options)));
    return format;
  }
}
