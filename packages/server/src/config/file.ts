import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { readTree, type Layer } from './settings.ts';

/**
 * Reads a configuration file (YAML 1.2, so JSON too). Returns `undefined` when there is no file. Problems name the file
 * and the line.
 */
export function readConfigFile(path: string): Layer | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    return { settings: [], problems: [`${path}: cannot be read (${code ?? 'unknown'}).`] };
  }
  // Loaded here, because most starts have no file and need no parser.
  const { parseDocument, LineCounter, isNode } = createRequire(import.meta.url)(
    'yaml',
  ) as typeof import('yaml');
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  if (document.errors.length > 0) {
    return {
      settings: [],
      problems: document.errors.map(
        (error) => `${path}:${lines.linePos(error.pos[0]).line}: is not YAML: ${error.message}`,
      ),
    };
  }
  return readTree(document.toJS(), (at) => {
    const node: unknown = at.length === 0 ? document.contents : document.getIn(at, true);
    const start = isNode(node) ? node.range?.[0] : undefined;
    return start === undefined ? path : `${path}:${lines.linePos(start).line}`;
  });
}
