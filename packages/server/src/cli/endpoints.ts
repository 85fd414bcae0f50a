import { styleText } from 'node:util';
import { authenticates } from '../config/auth.ts';
import type { Config } from '../config/schema.ts';
import type { Started } from '../server.ts';

/** Transports with a separate port, which may be off although the configuration did not turn it off. */
const ownPorts = [
  { name: 'mqtt', of: 'mqtt', key: 'port' },
  { name: 'mqtts', of: 'mqtt', key: 'tlsPort' },
  { name: 'stomp', of: 'stomp', key: 'port' },
  { name: 'stomps', of: 'stomp', key: 'tlsPort' },
  { name: 'grpc', of: 'grpc', key: 'port' },
] as const;

/** The table that `serve` prints: each transport, its URL, and a command to try it. */
export function describeEndpoints(started: Started, config: Config): string {
  const { http, endpoints } = started;
  const publish = {
    transport: 'publish',
    url: `${http}/channels/<channel>`,
    tryIt: `curl -d hello ${http}/channels/demo`,
  };
  const rows = [publish, ...endpoints];
  const width = Math.max(...rows.map(({ transport }) => transport.length));
  const indent = ' '.repeat(width + 4);
  const dim = (text: string): string => styleText('dim', text, { stream: process.stdout });
  const bold = (text: string): string => styleText('bold', text, { stream: process.stdout });
  const lines = rows.map(
    ({ transport, url, tryIt }) =>
      `  ${bold(transport.padEnd(width))}  ${url}\n${indent}${dim('$')} ${tryIt}\n`,
  );
  const missing: string[] = [];
  for (const { name, of, key } of ownPorts) {
    const ports: Readonly<Partial<Record<string, number>>> = config[of];
    const port = ports[key];
    if (port === -1 || started[name] !== undefined) continue;
    if (key === 'tlsPort' && config.tls.cert === undefined) continue;
    if (!endpoints.some(({ transport }) => transport === of)) continue;
    const flag = `--${name}-port`;
    missing.push(
      `  ${bold(name.padEnd(width))}  off over ${key === 'port' ? 'TCP' : 'TLS'}: port ${port} is taken; ${flag} chooses another\n`,
    );
  }
  const { host, protocol: scheme } = new URL(http);
  const ws = scheme === 'https:' ? 'wss' : 'ws';
  const more = [
    ...(authenticates(config) ? [howToShowAToken(config)] : []),
    `Without any other tool: npx everywire subscribe ${ws}://${host}/demo, or sse+${scheme}, stream+${scheme}, longpoll+${scheme}.\n`,
    `In a browser: ${http}/ · for programs: /openapi.json, /metrics, /livez, /readyz\n`,
  ];
  return `${[...lines, ...missing, '\n', ...more].join('')}\n`;
}

/** A configured secret can sign tokens; otherwise the issuer signs them. */
function howToShowAToken({ auth }: Config): string {
  const token = auth.jwt.secret === undefined ? '…' : '$(npx everywire token --sub me --admin)';
  return `Everybody shows a token: export EVERYWIRE_TOKEN=${token}, and for curl -H "Authorization: Bearer $EVERYWIRE_TOKEN".\n`;
}
