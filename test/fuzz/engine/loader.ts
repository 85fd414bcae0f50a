import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { branchesMax, Coverage } from './coverage.ts';
import { countersGlobal, instrument, type Instrumented } from './instrument.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
/** What is counted in: our own sources, and the decoders with planted faults. Harnesses and their tools are not. */
const counted = /^(packages\/[^/]+\/src|test\/fuzz\/planted)\//;
const tag = 'fuzz';

/**
 * Loads modules with counters, anew for each harness (a query in the URL makes them other modules), so that what one
 * harness found says nothing about the next. One for a thread.
 */
export class Loader {
  readonly #sources = new Map<string, Instrumented>();
  #counters = new Uint8Array(0);
  #branches = 0;
  #literals = new Set<string | number>();

  install(): void {
    registerHooks({
      resolve: (specifier, context, nextResolve) => {
        const resolved = nextResolve(specifier, context);
        const group = groupOf(context.parentURL);
        if (group === undefined || projectPathOf(resolved.url) === undefined) return resolved;
        const url = new URL(resolved.url);
        url.searchParams.set(tag, group);
        return { ...resolved, url: url.href };
      },
      load: (url, context, nextLoad) => {
        const path = groupOf(url) === undefined ? undefined : projectPathOf(url);
        if (path === undefined || !counted.test(path)) return nextLoad(url, context);
        return { format: 'module', source: this.#sourceOf(path), shortCircuit: true };
      },
    });
  }

  /** `file` is a path from the root of the project. */
  async load(
    file: string,
    group: string,
  ): Promise<{ readonly module: unknown; readonly coverage: Coverage }> {
    this.#counters = new Uint8Array(branchesMax);
    this.#branches = 0;
    this.#literals = new Set();
    (globalThis as Record<string, unknown>)[countersGlobal] = this.#counters;
    const url = pathToFileURL(`${root}/${file}`);
    url.searchParams.set(tag, group);
    const module: unknown = await import(url.href);
    return { module, coverage: new Coverage(this.#counters, this.#branches, this.#literals) };
  }

  #sourceOf(path: string): string {
    let known = this.#sources.get(path);
    if (known === undefined) {
      known = instrument(readFileSync(`${root}/${path}`, 'utf8'), path);
      this.#sources.set(path, known);
    }
    const first = this.#branches;
    this.#branches += known.branches;
    if (this.#branches > branchesMax) throw new RangeError('There are more branches than counters.');
    for (const literal of known.literals) this.#literals.add(literal);
    return known.codeFrom(first);
  }
}

function groupOf(url: string | undefined): string | undefined {
  if (url?.startsWith('file:') !== true || !url.includes(`?${tag}=`)) return undefined;
  return new URL(url).searchParams.get(tag) ?? undefined;
}

/** The path of one of our sources, from the root of the project. */
function projectPathOf(url: string): string | undefined {
  if (!url.startsWith('file:')) return undefined;
  const path = fileURLToPath(url).replaceAll('\\', '/');
  const own = path.startsWith(root) ? path.slice(root.length) : undefined;
  return own?.endsWith('.ts') === true && !own.includes('node_modules/') ? own : undefined;
}
