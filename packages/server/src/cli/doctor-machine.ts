import { createServer } from 'node:net';
import { asRecord } from '@everywire/protocol';
import { isLoopback } from '../net/loopback.ts';
import { isDefault, type LoadedConfig } from '../config/load.ts';
import { authenticates } from '../config/auth.ts';
import type { Config } from '../config/schema.ts';

/** The result of one check. `bad`: the server cannot start. `doubtful`: it may fail later. */
export interface Finding {
  readonly verdict: 'good' | 'doubtful' | 'bad';
  readonly text: string;
}

const nodeMin = [22, 12] as const;
/** One open file per connection, and a few for the store. */
const filesWanted = 10_000;

/** `version` as in `process.versions.node`. */
export function checkNode(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const isNew = major > nodeMin[0] || (major === nodeMin[0] && minor >= nodeMin[1]);
  return isNew
    ? { verdict: 'good', text: `Node ${version}` }
    : { verdict: 'bad', text: `Node ${version} is older than ${nodeMin.join('.')}` };
}

/** Node raises the soft limit to the hard one by itself when it starts. */
export function checkFiles(): Finding {
  const report: unknown = process.report.getReport();
  const limit = asRecord(asRecord(asRecord(report)?.['userLimits'])?.['open_files'])?.['soft'];
  const count = limit === 'unlimited' ? Infinity : Number(limit);
  if (Number.isNaN(count))
    return { verdict: 'doubtful', text: 'The limit of open files cannot be read here' };
  const text = `${count} files may be open, one per connection`;
  return count >= filesWanted
    ? { verdict: 'good', text }
    : { verdict: 'doubtful', text: `${text}; raise it with ulimit -n for more than a few thousand peers` };
}

/** The configuration is valid here, since `loadHere` refuses an invalid one. */
export function checkAddress(config: Config): Finding {
  const { http } = config;
  if (isLoopback(http.host)) {
    return { verdict: 'good', text: `${http.host} is loopback: only this machine reaches the server` };
  }
  const why = authenticates(config) ? 'with authentication' : 'because of --insecure';
  return { verdict: 'doubtful', text: `${http.host} is reachable from elsewhere, ${why}` };
}

/** Listens for a moment. */
export async function checkPort({ host, port }: Pick<Config['http'], 'host' | 'port'>): Promise<Finding> {
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port }, resolve);
    });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const reason =
      code === 'EADDRINUSE' ? 'is taken; is a server already running?' : `cannot be used (${code ?? ''})`;
    return { verdict: 'bad', text: `Port ${port} on ${host} ${reason}` };
  }
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return {
    verdict: 'good',
    text: port === 0 ? `A port on ${host} can be chosen` : `Port ${port} on ${host} is free`,
  };
}

/** The separate port of a protocol; `undefined` when that is off, and the port is not needed. */
export async function checkOwnPort(
  name: 'mqtt' | 'stomp' | 'grpc',
  loaded: LoadedConfig,
): Promise<readonly Finding[]> {
  const { config } = loaded;
  const { port } = config[name];
  if (!config.transports[name] || port === -1) return [];
  const finding = await checkPort({ host: config.http.host, port });
  const words = name.toUpperCase();
  if (finding.verdict === 'good') return [{ verdict: 'good', text: `${finding.text} (${words})` }];
  return isDefault(loaded, [name, 'port'])
    ? [{ verdict: 'doubtful', text: `${finding.text} ${words} would be off over TCP` }]
    : [finding];
}
