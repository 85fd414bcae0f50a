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

/** What all connections of the broker share. */
export class Broker {
  readonly host: MqttHost;
  readonly figures: MqttFigures = noFigures();
  /** Refusals that the protocol has no words for. */
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

  /** Has PUBLISHes answered at the end of this turn, behind what the hub delivers in it. */
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

/** Formats by what they depend on: connections that want the same bytes share the object, and with it their id. */
class Formats {
  readonly #known = new Map<string, WireFormat>();

  get(options: PublishFormatOptions): WireFormat {
    // These are as many as clients like; their subscriptions keep them.
    if (options.subscriptionIdentifiers.length > 0 || options.nowMs !== undefined)
      return publishFormat(options);
    const { version, link, qos, retain, dup, withCursor } = options;
    const key = `${version} ${link} ${qos} ${retain} ${dup} ${withCursor}`;
    let format = this.#known.get(key);
    if (format === undefined) this.#known.set(key, (format = publishFormat(options)));
    return format;
  }
}
