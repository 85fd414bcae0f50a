import { detectType } from '@everywire/protocol';
import { Probe } from '@everywire/probes';
import { buffer } from 'node:stream/consumers';
import { chooseToken } from './credentials.ts';
import { CommandError } from './exit.ts';
import { noteResourcePath, toCommandError } from './explain.ts';
import { write } from './output.ts';
import { parseTarget } from './target.ts';
import { useTls, type TlsOptions } from './tls-client.ts';

export interface PublishOptions extends TlsOptions {
  readonly type?: string;
  readonly json?: boolean;
  readonly event?: string;
  /** `name=value` each. */
  readonly header?: readonly string[];
  readonly key?: string;
  readonly retain?: boolean;
  readonly ttl?: string;
  readonly token?: string;
}

/** How long the whole exchange may take. */
const answerWithinMs = 30_000;

/** `everywire publish URL [data|-]`: publishes one message and prints its receipt, once the server has stored it. */
export async function publish(url: string, data: string | undefined, options: PublishOptions): Promise<void> {
  const target = { ...parseTarget(url), token: chooseToken(options.token), certificate: useTls(options) };
  noteResourcePath(target);
  const payload = await readPayload(data);
  const headers = new Map((options.header ?? []).map(parseHeader));
  const { event, key, retain = false, ttl } = options;
  const publication = { payload, type: chooseType(payload, options), headers, event, key, retain, ttl };
  const probe = new Probe(target, { signal: AbortSignal.timeout(answerWithinMs) });
  try {
    await write(`${await probe.publish(target.channel, publication)}\n`);
  } catch (error) {
    throw toCommandError(error, target);
  } finally {
    probe.close();
  }
}

async function readPayload(data: string | undefined): Promise<Buffer> {
  if (data !== undefined && data !== '-') return Buffer.from(data);
  if (data === undefined && process.stdin.isTTY) {
    throw new CommandError('usage', 'Nothing to publish: give the data as an argument, or pipe it in.');
  }
  return buffer(process.stdin);
}

/** As the server detects it, since some protocols need a type. */
function chooseType(payload: Buffer, { type, json }: PublishOptions): string {
  if (type !== undefined) return type;
  if (json === true) return 'application/json';
  return detectType(payload);
}

function parseHeader(text: string): readonly [string, string] {
  const at = text.indexOf('=');
  if (at < 1) throw new CommandError('usage', `--header is name=value, not ${text}.`);
  return [text.slice(0, at), text.slice(at + 1)];
}
