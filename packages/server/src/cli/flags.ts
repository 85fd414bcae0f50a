import type { Command } from 'commander';
import type { Flag } from '../config/load.ts';

interface FlagRow {
  /** In the syntax of commander. */
  readonly option: string;
  readonly path: readonly string[];
  readonly help: string;
}

/** The flags of `serve` and `config`, each with the key of the configuration that it sets. */
const rows: readonly FlagRow[] = [
  {
    option: '--port <port>',
    path: ['http', 'port'],
    help: 'HTTP and WebSocket port (default 8080; 0: any free one)',
  },
  { option: '--host <address>', path: ['http', 'host'], help: 'address to listen on (default 127.0.0.1)' },
  { option: '--store <url>', path: ['store'], help: 'lmdb:FOLDER or memory: (default lmdb:./data)' },
  {
    option: '--durability <level>',
    path: ['durability'],
    help: 'fsync, os or memory: where a message is stored before its publisher gets the answer (default fsync)',
  },
  { option: '--insecure', path: ['insecure'], help: 'listen on a public address without authentication' },
  { option: '--ready-file <path>', path: ['readyFile'], help: 'write pid and URLs there once ready' },
  {
    option: '--allowed-origins <list>',
    path: ['allowedOrigins'],
    help: 'web origins that may use this server',
  },
  {
    option: '--log-level <level>',
    path: ['log', 'level'],
    help: 'silent, error, warn, info (default) or debug',
  },
  { option: '--log-format <format>', path: ['log', 'format'], help: 'json, text or auto (default)' },
  { option: '--workers <count>', path: ['workers'], help: 'worker processes; not built yet beyond 1' },
  {
    option: '--jwt-secret <key>',
    path: ['auth', 'jwt', 'secret'],
    help: 'key that tokens are signed with (HS256); ps shows it: better EVERYWIRE_JWT_SECRET_FILE',
  },
  {
    option: '--mqtt-port <port>',
    path: ['mqtt', 'port'],
    help: 'MQTT over TCP (default 1883; 0: any free one; -1: off)',
  },
  {
    option: '--stomp-port <port>',
    path: ['stomp', 'port'],
    help: 'STOMP over TCP (default 61613; 0: any free one; -1: off)',
  },
  {
    option: '--grpc-port <port>',
    path: ['grpc', 'port'],
    help: 'gRPC (default 50051; 0: any free one; -1: off)',
  },
  { option: '--tls-cert <file>', path: ['tls', 'cert'], help: 'certificate, PEM: the ports speak TLS' },
  { option: '--tls-key <file>', path: ['tls', 'key'], help: 'its private key, PEM' },
  {
    option: '--mqtts-port <port>',
    path: ['mqtt', 'tlsPort'],
    help: 'MQTT over TLS (default 8883; 0: any free one; -1: off)',
  },
  {
    option: '--stomps-port <port>',
    path: ['stomp', 'tlsPort'],
    help: 'STOMP over TLS (default 61614; 0: any free one; -1: off)',
  },
];

/** The flag of each key that has one, by its path with dots. */
export const flagsByKey: ReadonlyMap<string, string> = new Map(
  rows.map(({ option, path }) => [path.join('.'), option.split(' ')[0]!]),
);

export interface ServeFlags {
  readonly flags: readonly Flag[];
  /** The path of the configuration file, if the user gave one. */
  readonly file: string | undefined;
}

export function addFlags(command: Command): Command {
  command.option('--config <path>', 'configuration file (default everywire.yaml, if there is one)');
  for (const { option, help } of rows) command.option(option, help);
  return command;
}

/** The flags for trusted tokens. */
export function addTokenFlags(command: Command): Command {
  command.option('--config <path>', 'configuration file (default everywire.yaml, if there is one)');
  for (const { option, path, help } of rows) if (path[0] === 'auth') command.option(option, help);
  return command;
}

export function readFlags(command: Command): ServeFlags {
  const given: Readonly<Record<string, string | true>> = command.opts();
  const flags = rows.flatMap(({ option, path }) => {
    const flag = option.split(' ')[0]!;
    const value = given[flag.slice(2).replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())];
    return value === undefined ? [] : [{ flag, path, text: String(value) }];
  });
  const file = given['config'];
  return { flags, file: file === true ? undefined : file };
}
