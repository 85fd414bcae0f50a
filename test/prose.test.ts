import { readFileSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, test } from 'vitest';

/**
 * A lint for comments, messages and docs: phrases that readers had to read twice. Each has a ratchet, the number that is
 * left: lower it when you have removed some, never raise it.
 */
interface Phrase {
  readonly shape: RegExp;
  /** What to write instead. */
  readonly instead: string;
  /** How many are left. */
  readonly max: number;
}

const phrases: readonly Phrase[] = [
  { shape: /\bwhom\b/gi, instead: 'name the person or program', max: 0 },
  { shape: /\bwho(?:ever)?\b/gi, instead: 'name the client, peer, caller or user', max: 0 },
  { shape: /\bwhatever\b/gi, instead: 'say what it is', max: 0 },
  {
    shape: /\b(?:is|are|was|were|be|been) told\b/gi,
    instead: 'say who tells: "the client gets …"',
    max: 0,
  },
  { shape: /\b(?:is|are|was|were) owed\b/gi, instead: '"must still receive"', max: 0 },
  { shape: /\bof (?:its|their|our|his) own\b/gi, instead: '"separate", "its own …"', max: 0 },
  { shape: /\bstands?\b/gi, instead: '"is", "is at"', max: 0 },
  { shape: /\bportions?\b/gi, instead: '"chunk", "page"', max: 0 },
  { shape: /\bas good as\b/gi, instead: 'say what it is', max: 0 },
  {
    shape:
      /(?:^|[.:;,] )what (?:is|was|it|they|we|a|the|comes?|came|has|had|does|others|no|peers?|nobody|somebody|cannot|must|may|can)\b/gim,
    instead: 'a noun in place of the free relative clause',
    max: 0,
  },
  { shape: /\b(?:goes|go|went) on\b/gi, instead: '"continues", "resumes"', max: 0 },
  { shape: /\blet(?:s|ting)? go\b/gi, instead: '"releases", "frees", "closes"', max: 0 },
  { shape: /\b(?:nobody|somebody)\b/gi, instead: 'name the subject', max: 0 },
  { shape: /\bis none\b/gi, instead: '"is not a …"', max: 0 },
  { shape: /\bas it came\b/gi, instead: '"unchanged"', max: 0 },
  { shape: /\bbegun\b/gi, instead: '"started"', max: 0 },
];

const root = fileURLToPath(new URL('..', import.meta.url));
const sources = '{packages,test,bench,scripts,examples}/**/*.{ts,js}';
const docs = '{*.md,docs/**/*.md,examples/**/*.md}';
/** The log of what changed quotes the past; the Korean pages have their own words; this file names the phrases. */
const isExempt = (path: string): boolean =>
  /(?:^|\/)(?:generated|node_modules|dist)(?:\/|$)|CHANGELOG|\.ko\.md$|^test\/prose\.test\.ts$/.test(path);

interface Prose {
  readonly path: string;
  readonly text: string;
}

let prose: readonly Prose[];
beforeAll(async () => {
  const found: Prose[] = [];
  for await (const path of glob([sources, docs], { cwd: root, exclude: isExempt })) {
    if (isExempt(path)) continue;
    const text = readFileSync(join(root, path), 'utf8');
    found.push({ path, text: path.endsWith('.md') ? proseOfPage(text) : proseOfCode(text) });
  }
  prose = found;
});

/** Without blocks of code. */
function proseOfPage(text: string): string {
  return text.replace(/```[\s\S]*?```/g, '');
}

/** Comments, and strings that have a space in them. */
function proseOfCode(text: string): string {
  const comments = text.match(/\/\*\*?[\s\S]*?\*\/|(?:^|\s)\/\/.*$/gm) ?? [];
  const strings = text.match(/'(?:[^'\\\n]|\\.)* (?:[^'\\\n]|\\.)*'|`[^`]* [^`]*`/g) ?? [];
  return [...comments, ...strings].join('\n');
}

test('comments, messages and docs use no more of the phrases than are left', () => {
  expect(prose.length, 'files that were read').toBeGreaterThan(100);
  const over = phrases.flatMap(({ shape, instead, max }) => {
    const places = prose.flatMap(({ path, text }) => [...text.matchAll(shape)].map(() => path));
    if (places.length <= max) return [];
    return [`${places.length} of at most ${max} ${String(shape)}: write ${instead}`];
  });
  expect(over).toEqual([]);
});

test('the lint reads comments, messages and docs, and leaves code alone', () => {
  expect(proseOfCode("const whom = 1; // whom it is for\nfail('whom it was');")).toBe(
    " // whom it is for\n'whom it was'",
  );
  expect(proseOfPage('One.\n```ts\nwhom\n```\nTwo.')).toBe('One.\n\nTwo.');
});
