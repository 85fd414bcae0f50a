import type { SchemaNode } from './schema.ts';
import { schemaAt, type Setting } from './settings.ts';

const mask = '********';

/** The configuration as valid YAML, each value with its source behind it; secrets are masked. */
export function showConfig(settings: readonly Setting[]): string {
  const rows: { readonly text: string; readonly source: string | undefined }[] = [];
  let open: readonly string[] = [];
  for (const { path, value, source } of settings.filter(isWorthShowing)) {
    const sections = path.slice(0, -1);
    const common = sections.findIndex((name, depth) => name !== open[depth]);
    for (let depth = common < 0 ? sections.length : common; depth < sections.length; depth += 1) {
      rows.push({ text: `${'  '.repeat(depth)}${quoteKey(sections[depth]!)}:`, source: undefined });
    }
    open = sections;
    const shown = `${'  '.repeat(sections.length)}${quoteKey(path.at(-1)!)}: ${quoteValue(maskSecret(path, value))}`;
    rows.push({ text: shown, source });
  }
  const width = Math.min(60, Math.max(...rows.map(({ text }) => text.length)));
  return rows
    .map(({ text, source }) => (source === undefined ? `${text}\n` : `${text.padEnd(width)}  # ${source}\n`))
    .join('');
}

/** The same for programs: `{"http.port": {"value": 8080, "source": "default"}, …}`. */
export function showConfigJson(settings: readonly Setting[]): string {
  const entries = settings
    .filter(isWorthShowing)
    .map(({ path, value, source }) => [path.join('.'), { value: maskSecret(path, value), source }]);
  return `${JSON.stringify(Object.fromEntries(entries), null, 2)}\n`;
}

/** Keys that are unset and have no default are absent from the configuration too. */
function isWorthShowing({ value }: Setting): boolean {
  return (
    value !== undefined &&
    !(typeof value === 'object' && Object.keys(value as object).length === 0 && !Array.isArray(value))
  );
}

function maskSecret(path: readonly string[], value: unknown): unknown {
  const schema = schemaAt(path);
  if (schema?.secret !== true) return value;
  if (Array.isArray(value)) return value.map((item: unknown) => maskMembers(item, schema.items));
  if (typeof value !== 'string') return value;
  return path[0] === 'store' ? maskPassword(value) : mask;
}

/** The URL of a store without its password. The function also finds a password that contains `/` or `@`. */
export function maskPassword(storeUrl: string): string {
  return storeUrl.replace(/(:\/\/[^:@/]*):.*@/, `$1:${mask}@`);
}

/** In a list of sections, the section's keys decide what is secret. */
function maskMembers(item: unknown, schema: SchemaNode | undefined): unknown {
  if (typeof item !== 'object' || item === null) return mask;
  return Object.fromEntries(
    Object.entries(item).map(([name, value]: [string, unknown]) => [
      name,
      schema?.properties?.[name]?.secret === true ? mask : value,
    ]),
  );
}

function quoteKey(name: string): string {
  return /^[A-Za-z][A-Za-z0-9]*$/.test(name) ? name : JSON.stringify(name);
}

function quoteValue(value: unknown): string {
  return JSON.stringify(value);
}
