import { readFileSync } from 'node:fs';
import { defaultLimits, type Limits } from '../../packages/server/src/core/limits.ts';
import { markdownTable } from './markdown.ts';

const source = new URL('../../packages/server/src/core/limits.ts', import.meta.url);

/** The interface's own comments: one stands above each group of limits that belong together. */
export function limitsTable(): string {
  const text = readFileSync(source, 'utf8');
  const body = /export interface Limits \{\n(.*?)\n\}/s.exec(text)?.[1];
  if (body === undefined) throw new Error('core/limits.ts has no interface Limits');
  const rows: { readonly names: string[]; readonly meaning: string }[] = [];
  for (const [, comment, name] of body.matchAll(/(?:\/\*\*(.*?)\*\/\s*)?readonly (\w+): number;/gs)) {
    if (comment !== undefined)
      rows.push({ names: [], meaning: comment.replace(/\s*\n\s*\*\s*/g, ' ').trim() });
    rows.at(-1)!.names.push(name!);
  }
  const named = rows.flatMap(({ names }) => names);
  const forgotten = Object.keys(defaultLimits).filter((name) => !named.includes(name));
  if (forgotten.length > 0) throw new Error(`limits without a place in the table: ${forgotten.join(', ')}`);
  return markdownTable(
    ['limit', 'default', 'what it bounds'],
    rows.map(({ names, meaning }) => [
      names.map((name) => `\`${name}\``).join('<br>'),
      names.map((name) => describeDefault(name as keyof Limits)).join('<br>'),
      meaning,
    ]),
  );
}

const kib = 1024;

function describeDefault(name: keyof Limits): string {
  const value = defaultLimits[name];
  if (name.includes('Bytes') && value >= kib) {
    return value % (kib * kib) === 0 ? `${value / kib / kib} MiB` : `${value / kib} KiB`;
  }
  if (name.includes('Ms')) return describeMs(value);
  return value.toLocaleString('en-US') + (name.includes('Bytes') ? ' bytes' : '');
}

function describeMs(value: number): string {
  return value % 3_600_000 === 0 ? `${value / 3_600_000} h` : `${value / 1_000} s`;
}
