import { flagsByKey } from '../../packages/server/src/cli/flags.ts';
import { shortNames } from '../../packages/server/src/config/environment.ts';
import { listLeaves, type Leaf } from '../../packages/server/src/config/schema.ts';
import { describeSchema } from '../../packages/server/src/config/settings.ts';
import { markdownTable } from './markdown.ts';

/** Every key but the limits, which have a separate page. */
export function configurationTables(): string {
  const rows = listLeaves()
    .filter(({ path }) => path[0] !== 'limits')
    .map((leaf) => [
      `\`${leaf.path.join('.')}\``,
      [flagsByKey.get(keyOf(leaf.path)), ...variablesOf(leaf)]
        .flatMap((name) => name ?? [])
        .map(code)
        .join('<br>'),
      leaf.schema.default === undefined ? '' : code(JSON.stringify(leaf.schema.default)),
      describe(leaf),
    ]);
  return markdownTable(['key', 'flag, environment', 'default', 'meaning'], rows);
}

/** Names of variables that set a key, without reading a file. */
export function variablesOf({ path }: Leaf): readonly string[] {
  const short = [...shortNames].filter(([, target]) => keyOf(target) === keyOf(path)).map(([name]) => name);
  const long = path.map((name) => name.replace(/[A-Z]/g, '_$&').toUpperCase()).join('__');
  return (short.length > 0 ? short : [long]).map((name) => `EVERYWIRE_${name}`);
}

function describe({ schema }: Leaf): string {
  const values = schema.patternProperties === undefined ? describeSchema(schema) : 'a section per filter';
  const text = schema.description ?? '';
  // Their descriptions have the examples already.
  const isSaid = values === 'text' || values.includes(' such as ');
  return isSaid ? text : `${text} (${values})`.trim();
}

function keyOf(path: readonly string[]): string {
  return path.join('.');
}

function code(text: string): string {
  return `\`${text}\``;
}
