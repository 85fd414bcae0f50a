import { runProgram, type Program } from '../../support/program.ts';

export type MosquittoVersion = 'mqttv31' | 'mqttv311' | 'mqttv5';

/** A message as mosquitto_sub tells it (`-F %j`). */
export interface Told {
  readonly topic: string;
  readonly qos: number;
  readonly retain: number;
  readonly payload: string;
  readonly properties?: {
    readonly 'content-type'?: string;
    readonly 'response-topic'?: string;
    readonly 'message-expiry-interval'?: number;
    readonly 'user-properties'?: Readonly<Record<string, string>>;
  };
}

export interface Subscriber {
  readonly program: Program;
  readonly messages: () => readonly Told[];
  /** The first `count` messages, once they are there; rejects when the program ends with fewer. */
  readonly first: (count: number) => Promise<readonly Told[]>;
}

interface Server {
  /** `mqtt://host:port` */
  readonly mqtt: string;
}

const marker = '>';

function place({ mqtt }: Server, version: MosquittoVersion): readonly string[] {
  const { hostname, port } = new URL(mqtt);
  return ['-h', hostname, '-p', port, '-V', version];
}

/** Starts mosquitto_sub, and resolves once the server has granted what it asked for. */
export async function subscribe(
  server: Server,
  version: MosquittoVersion,
  args: readonly string[],
): Promise<Subscriber> {
  // Into a pipe mosquitto_sub would write only when its buffer is full, so stdbuf makes it write each line. `-d` makes it
  // report its steps; the marker distinguishes messages from these reports.
  const options = ['-d', '-F', `${marker}%j`, ...args];
  const program = runProgram('stdbuf', ['-oL', 'mosquitto_sub', ...place(server, version), ...options]);
  await program.line((line) => line.startsWith('Subscribed'));
  const messages = (): readonly Told[] =>
    program.lines
      .filter((line) => line.startsWith(marker))
      .map((line) => JSON.parse(line.slice(marker.length)) as Told);
  return {
    program,
    messages,
    async first(count) {
      await program.line(() => messages().length >= count);
      return messages().slice(0, count);
    },
  };
}

/** Runs mosquitto_pub to its end: at QoS 1 and 2 the server has acknowledged every message by then. */
export async function publish(
  server: Server,
  version: MosquittoVersion,
  args: readonly string[],
  lines: readonly string[] = [],
): Promise<void> {
  const input = lines.length === 0 ? [] : ['-l'];
  await runProgram(
    'mosquitto_pub',
    [...place(server, version), ...input, ...args],
    lines.map((line) => `${line}\n`).join(''),
  ).done;
}
