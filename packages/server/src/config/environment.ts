import { readFileSync } from 'node:fs';
import { listLeaves, type Leaf } from './schema.ts';
import { readText, type Layer, type Setting } from './settings.ts';
import { nearest } from './suggest.ts';

/** The environment of the process, in the form of `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

const prefix = 'EVERYWIRE_';

/** Names of flags and variables that are shorter than their path. */
export const shortNames: ReadonlyMap<string, readonly string[]> = new Map([
  ['PORT', ['http', 'port']],
  ['HOST', ['http', 'host']],
  ['MQTT_PORT', ['mqtt', 'port']],
  ['STOMP_PORT', ['stomp', 'port']],
  ['GRPC_PORT', ['grpc', 'port']],
  ['MQTTS_PORT', ['mqtt', 'tlsPort']],
  ['STOMPS_PORT', ['stomp', 'tlsPort']],
  ['JWT_SECRET', ['auth', 'jwt', 'secret']],
  ['LOG_LEVEL', ['log', 'level']],
  ['LOG_FORMAT', ['log', 'format']],
]);

/**
 * Variables that other code reads: `loadConfig` the name of the file, the command line the token, the test scripts
 * `LONG`.
 */
const notSettings: ReadonlySet<string> = new Set(['CONFIG', 'LONG', 'TOKEN', 'TOKEN_FILE']);

/** Variables that Kubernetes sets in every container beside a service named `everywire`, such as `EVERYWIRE_PORT=tcp://…`. */
const serviceLink = /^(SERVICE_(HOST|PORT)(_\w+)?|PORT_\d+_(TCP|UDP)(_\w+)?)$/;

/**
 * Reads `EVERYWIRE_*` (`__` separates sections, so `EVERYWIRE_HTTP__PORT`), the short names, and `PORT`.
 * `EVERYWIRE_<secret>_FILE` names a file with the value; this also works for long values that are not secret. Empty
 * variables count as unset.
 */
export function readEnvironment(env: Environment): Layer {
  const leaves = new Map(listLeaves().map((leaf) => [normalize(longName(leaf)), leaf]));
  const settings = new Map<string, Setting & { readonly rank: number }>();
  const problems: string[] = [];
  const take = (leaf: readonly string[], text: string, source: string, rank: number): void => {
    const read = readText(leaf, text, source);
    problems.push(...read.problems);
    for (const setting of read.settings) {
      const key = setting.path.join('\n');
      if ((settings.get(key)?.rank ?? -1) < rank) settings.set(key, { ...setting, rank });
    }
  };
  for (const [variable, text] of Object.entries(env)) {
    if (text === undefined || text === '') continue;
    if (variable === 'PORT') take(['http', 'port'], text, 'environment PORT', 0);
    if (!variable.startsWith(prefix)) continue;
    const name = variable.slice(prefix.length);
    if (notSettings.has(name) || serviceLink.test(name)) continue;
    if (name === 'PORT' && text.startsWith('tcp://')) continue;
    const source = `environment ${variable}`;
    const short = shortNames.get(name);
    const leaf = leaves.get(normalize(name));
    const fromFile = findSecret(name, leaves);
    // If both names are set, the long name wins, because it is the more specific one.
    if (short !== undefined) take(short, text, source, 1);
    else if (leaf !== undefined) take(leaf.path, text, source, 2);
    else if (fromFile !== undefined) {
      const read = readSecret(text, source);
      if (read.problem === undefined) take(fromFile, read.text, source, 3);
      else problems.push(read.problem);
    } else problems.push(describeUnknown(variable, leaves.values()));
  }
  return { settings: [...settings.values()], problems };
}

/** `EVERYWIRE_AUTH__JWT__PUBLIC_KEY` without its prefix. */
function longName({ path }: Leaf): string {
  return path.map((name) => name.replace(/[A-Z]/g, '_$&').toUpperCase()).join('__');
}

/** `PUBLIC_KEY` and `PUBLICKEY` are the same key; only `__` separates sections. */
function normalize(name: string): string {
  return name
    .toUpperCase()
    .split('__')
    .map((part) => part.replaceAll('_', ''))
    .join('__');
}

function findSecret(name: string, leaves: ReadonlyMap<string, Leaf>): readonly string[] | undefined {
  if (!name.endsWith('_FILE')) return undefined;
  const of = name.slice(0, -'_FILE'.length);
  const leaf = leaves.get(normalize(of));
  const isFromFile = leaf?.schema.secret === true || leaf?.schema.mayBeFile === true;
  return isFromFile ? leaf.path : of === 'JWT_SECRET' ? shortNames.get(of) : undefined;
}

function readSecret(
  path: string,
  source: string,
): { readonly text: string; readonly problem?: undefined } | { readonly problem: string } {
  try {
    // Editors and `echo` end a file with a line break that does not belong to the secret.
    return { text: readFileSync(path, 'utf8').replace(/\r?\n$/, '') };
  } catch (error) {
    return {
      problem: `${source}: cannot read ${path} (${(error as NodeJS.ErrnoException).code ?? 'unknown'}).`,
    };
  }
}

function describeUnknown(variable: string, leaves: Iterable<Leaf>): string {
  const known = [...[...leaves].map(longName), ...shortNames.keys()].map((name) => prefix + name);
  const meant = nearest(variable, known);
  return `environment: unknown variable ${variable}.${meant === undefined ? '' : ` Did you mean ${meant}?`}`;
}
