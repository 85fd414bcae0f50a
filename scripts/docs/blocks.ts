import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { configurationTables } from './configuration.ts';
import { errorsTable } from './errors.ts';
import { limitsTable } from './limits.ts';

/** Parts of pages that are derived from the code; everything around them is written by hand. */
const blocks: readonly { readonly page: string; readonly name: string; readonly render: () => string }[] = [
  { page: 'docs/configuration.md', name: 'options', render: configurationTables },
  { page: 'docs/limits.md', name: 'limits', render: limitsTable },
  { page: 'docs/http.md', name: 'errors', render: errorsTable },
];

const root = new URL('../../', import.meta.url);

export interface DocsPage {
  readonly path: string;
  readonly name: string;
  readonly current: string;
  /** The page with its derived part made anew. */
  readonly wanted: string;
}

export function docsPages(): readonly DocsPage[] {
  return blocks.map(({ page, name, render }) => {
    const path = fileURLToPath(new URL(page, root));
    const current = readFileSync(path, 'utf8');
    return { path, name: page, current, wanted: replaceBlock(current, name, render()) };
  });
}

function replaceBlock(text: string, name: string, content: string): string {
  const open = `<!-- generated: ${name}; change the code, then run node scripts/generate-docs.ts -->\n`;
  const close = '<!-- end of generated part -->';
  const from = text.indexOf(open);
  const to = text.indexOf(close, from);
  if (from < 0 || to < 0) throw new Error(`there is no place for ${name}: ${open}${close}`);
  return `${text.slice(0, from + open.length)}\n${content}\n${text.slice(to)}`;
}
