import { defaultLimits, limitOwners, type AllLimits } from '../../packages/server/src/config/limits.ts';
import { markdownTable } from './markdown.ts';

/** A row for each sentence: limits without one share the row of the limit above them. */
export function limitsTable(): string {
  const rows: { readonly names: string[]; readonly meaning: string }[] = [];
  for (const [name, { about }] of limitOwners.flatMap((owner) => Object.entries(owner))) {
    if (about !== undefined) rows.push({ names: [], meaning: about });
    rows.at(-1)!.names.push(name);
  }
  return markdownTable(
    ['limit', 'default', 'what it bounds'],
    rows.map(({ names, meaning }) => [
      names.map((name) => `\`${name}\``).join('<br>'),
      names.map((name) => describeDefault(name as keyof AllLimits)).join('<br>'),
      meaning,
    ]),
  );
}

const kib = 1024;

function describeDefault(name: keyof AllLimits): string {
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
