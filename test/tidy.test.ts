import { existsSync, readFileSync } from 'node:fs';
import { glob } from 'node:fs/promises';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';

/** What a machine can check of how the code is laid out, with what to do instead. */

const root = fileURLToPath(new URL('..', import.meta.url));
const server = 'packages/server/src';

interface Import {
  readonly specifier: string;
  /** The file it leads to, from the root; `undefined` for packages. */
  readonly file: string | undefined;
  readonly isTypeOnly: boolean;
}

interface Source {
  /** From the root, with slashes. */
  readonly path: string;
  readonly text: string;
  readonly imports: readonly Import[];
}

const importShape = /^\s*(?:import|export)\s(?:[^'";]*?\sfrom\s)?'([^']+)'|\bimport\('([^']+)'\)/gm;

function readSource(path: string): Source {
  const text = readFileSync(join(root, path), 'utf8');
  const imports = [...text.matchAll(importShape)].map((match): Import => {
    const specifier = (match[1] ?? match[2])!;
    const file = specifier.startsWith('.') ? normalize(join(dirname(path), specifier)) : undefined;
    return { specifier, file, isTypeOnly: /^\s*(import|export)\s+type\s/.test(match[0]) };
  });
  return { path, text, imports };
}

let sources: readonly Source[];
beforeAll(async () => {
  const found: Source[] = [];
  const folders = '{packages/*/src,packages/*/test,test,bench,scripts}/**/*.{ts,js}';
  for await (const path of glob(folders, {
    cwd: root,
    exclude: (name) => name === 'node_modules' || name === 'generated',
  })) {
    found.push(readSource(relative(root, join(root, path))));
  }
  sources = found;
});

const clocks = /\b(?:setTimeout|setInterval|setImmediate|Date\.now|performance\.now)\b/g;

/** Each line of the result is a fault; the lists are compared whole so that a failure shows all of them. */
function faults(inside: string | RegExp, find: (source: Source) => readonly string[]): readonly string[] {
  const isInside = (path: string): boolean =>
    typeof inside === 'string' ? path.startsWith(`${inside}/`) : inside.test(path);
  const chosen = sources.filter(({ path }) => isInside(path));
  expect(chosen.length, `there are files in ${String(inside)}`).toBeGreaterThan(0);
  return chosen.flatMap((source) => find(source).map((fault) => `${source.path}: ${fault}`));
}

function importsFrom(source: Source, isBad: (one: Import) => boolean): readonly string[] {
  return source.imports.filter(isBad).map(({ specifier }) => `imports ${specifier}`);
}

describe('arrows point inward', () => {
  test('the protocol package depends on nothing, not even on Node: it runs in browsers', () => {
    const bad = faults('packages/protocol/src', (source) => [
      ...importsFrom(source, ({ file }) => file?.startsWith('packages/protocol/src/') !== true),
      ...mentions(source, /\b(?:Buffer|process|global)\b/g),
    ]);
    expect(bad).toEqual([]);
  });

  test('the core knows itself and the protocol, and does no I/O', () => {
    const pure = new Set(['@everywire/protocol', 'node:buffer']);
    const bad = faults(`${server}/core`, (source) =>
      importsFrom(source, ({ specifier, file }) =>
        file === undefined ? !pure.has(specifier) : !file.startsWith(`${server}/core/`),
      ),
    );
    expect(bad).toEqual([]);
  });

  test('the core names no protocol, except in comments that cite where a rule comes from', () => {
    const names = /mqtt|stomp|socket\.?io|websocket|grpc|webhook|\bsse\b|\bpoll/gi;
    const bad = faults(`${server}/core`, ({ text }) =>
      [...text.replace(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, '').matchAll(names)].map(
        ([name]) => `says ${name}`,
      ),
    );
    expect(bad).toEqual([]);
  });

  test('the configuration knows nothing of a transport but its limits and its section', () => {
    const bad = faults(`${server}/config`, (source) =>
      importsFrom(
        source,
        ({ file }) => file?.startsWith(`${server}/transports/`) === true && !file.endsWith('/limits.ts'),
      ),
    );
    expect(bad).toEqual([]);
  });

  test('a transport knows no store, no other transport, and nothing of the command line', () => {
    const bad = faults(`${server}/transports`, (source) => {
      if (source.path === `${server}/transports/index.ts`) return [];
      const own = source.path.split('/').slice(0, 5).join('/');
      const shared = ['core', 'http', 'websocket', 'net', 'transports/parts'];
      const allowed = [own, ...shared.map((folder) => `${server}/${folder}`)];
      return importsFrom(
        source,
        ({ file }) => file !== undefined && !allowed.some((folder) => file.startsWith(`${folder}/`)),
      );
    });
    expect(bad).toEqual([]);
  });

  test('the byte carriers import no transport: such an import would point outward', () => {
    const carriers = new RegExp(`^${server}/(?:net|http|websocket|tls)/`);
    const bad = faults(carriers, (source) =>
      importsFrom(source, ({ file }) => file?.startsWith(`${server}/transports/`) === true),
    );
    expect(bad).toEqual([]);
  });

  test('a store imports the core, and no other store except their shared files', () => {
    const bad = faults(`${server}/stores`, (source) => {
      const parts = source.path.split('/');
      const own = parts.length > 5 ? parts.slice(0, 5).join('/') : undefined;
      if (source.path === `${server}/stores/index.ts`) return [];
      return importsFrom(source, ({ file }) => {
        if (file === undefined || file.startsWith(`${server}/core/`)) return false;
        if (!file.startsWith(`${server}/stores/`)) return true;
        const isShared = file.split('/').length === 5;
        return !isShared && (own === undefined || !file.startsWith(`${own}/`));
      });
    });
    expect(bad).toEqual([]);
  });

  test('a codec knows its own folder, the protocol and Node’s pure modules', () => {
    const pure = new Set(['@everywire/protocol', 'node:buffer', 'node:crypto', 'node:zlib']);
    const bad = faults('packages/wires/src', (source) => {
      const own = source.path.split('/').slice(0, 4).join('/');
      const isGrpc = own === 'packages/wires/src/grpc';
      return [
        ...importsFrom(source, ({ specifier, file }) =>
          file === undefined
            ? !pure.has(specifier) && !(isGrpc && specifier.startsWith('@bufbuild/protobuf'))
            : !file.startsWith(`${own}/`),
        ),
        ...mentions(source, clocks),
      ];
    });
    expect(bad).toEqual([]);
  });

  test('format.ts is pure: code that never saw a socket makes the bytes', () => {
    const bad = faults(new RegExp(`^${server}/transports/[^/]+/(?:format|convert)\\.ts$`), (source) => [
      ...importsFrom(source, ({ specifier, file, isTypeOnly }) => {
        if (isTypeOnly) return false;
        if (file === undefined) return /^node:(?!buffer$)|^(fastify|undici|ws)$/.test(specifier);
        return /\/core\/(hub|clock|sessions\/session|fanout\/[a-z-]+)\.ts$/.test(file);
      }),
      ...mentions(source, clocks),
    ]);
    expect(bad).toEqual([]);
  });

  test('the adapter for socket.io runs in other programs: it knows itself, Node, the protocol and its base class', () => {
    const own = 'packages/socketio-adapter/src';
    const known = /^(?:node:|socket\.io-adapter$|@everywire\/protocol(?:\/|$))/;
    const bad = faults(own, (source) =>
      importsFrom(source, ({ specifier, file }) =>
        file === undefined ? !known.test(specifier) : !file.startsWith(`${own}/`),
      ),
    );
    expect(bad).toEqual([]);
  });

  test('a probe knows itself, Node, the protocol, the codecs and the library of gRPC, and no server', () => {
    const own = 'packages/probes/src';
    const known = /^(?:node:|@bufbuild\/protobuf|@connectrpc\/|@everywire\/(?:protocol|wires)(?:\/|$))/;
    const bad = faults(own, (source) =>
      importsFrom(source, ({ specifier, file }) =>
        file === undefined ? !known.test(specifier) : !file.startsWith(`${own}/`),
      ),
    );
    expect(bad).toEqual([]);
  });

  test('authentication knows the core, and how JSON is read', () => {
    const bad = faults(`${server}/auth`, (source) =>
      importsFrom(
        source,
        ({ file }) =>
          file !== undefined &&
          file !== `${server}/http/json-bytes.ts` &&
          ![`${server}/auth/`, `${server}/core/`].some((folder) => file.startsWith(folder)),
      ),
    );
    expect(bad).toEqual([]);
  });

  test('no other folder imports the command line', () => {
    const bad = faults(server, (source) =>
      source.path.startsWith(`${server}/cli/`)
        ? []
        : importsFrom(source, ({ file }) => file?.startsWith(`${server}/cli/`) === true),
    );
    expect(bad).toEqual([]);
  });

  test('only the composition root and the command line know the configuration', () => {
    const allowed = [`${server}/cli/`, `${server}/config/`, `${server}/server.ts`, `${server}/index.ts`];
    const bad = faults(server, (source) =>
      allowed.some((place) => source.path.startsWith(place))
        ? []
        : importsFrom(source, ({ file }) => file?.startsWith(`${server}/config/`) === true),
    );
    expect(bad).toEqual([]);
  });
});

/** Groups of files of which each leads to every other one, type imports included. */
function circles(): readonly string[] {
  const own = sources.filter(({ path }) => /^packages\/[^/]+\/src\//.test(path));
  const importsOf = new Map(own.map(({ path, imports }) => [path, imports.map(({ file }) => file)]));
  const reached = new Map(own.map(({ path }) => [path, reachedFrom(path, importsOf)]));
  const found = own.map(({ path }) =>
    [...reached.get(path)!]
      .filter((other) => reached.get(other)?.has(path) === true)
      .toSorted()
      .join(', '),
  );
  return [...new Set(found)].filter((circle) => circle !== '');
}

function reachedFrom(
  start: string,
  importsOf: ReadonlyMap<string, readonly (string | undefined)[]>,
): ReadonlySet<string> {
  const reached = new Set<string>();
  const waiting = [start];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    for (const file of importsOf.get(path) ?? []) {
      if (file === undefined || reached.has(file)) continue;
      reached.add(file);
      waiting.push(file);
    }
  }
  return reached;
}

test('no file imports itself by a detour, type imports included: they are one idea, or an interface is missing', () => {
  expect(circles()).toEqual([]);
});

/** Without comments and strings, whose words are not code. */
function codeOf(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/(^|\s)\/\/.*$/gm, '')
    .replace(/'(?:[^'\\\n]|\\.)*'/g, "''");
}

function mentions({ text }: Source, words: RegExp): readonly string[] {
  return [...codeOf(text).matchAll(words)].map(([word]) => `says ${word}`);
}

test('the core makes no clock, no random numbers and no timers: use the injected Clock and Random', () => {
  const words =
    /\b(?:Date\.now|new Date\(\)|Math\.random|performance\.now|setTimeout|setInterval|setImmediate|queueMicrotask|process\.)/g;
  expect(faults(`${server}/core`, (source) => mentions(source, words))).toEqual([]);
});

test('sizes, time-outs and buffers: no Buffer.allocUnsafeSlow, no deprecated Buffer constructor', () => {
  expect(faults(server, (source) => mentions(source, /\ballocUnsafeSlow\b|\bnew Buffer\(/g))).toEqual([]);
});

test('no file contains unfinished code', () => {
  const words = /\b(?:TODO|FIXME|XXX|HACK)\b/;
  const own = 'test/tidy.test.ts';
  const bad = sources.filter(({ path, text }) => path !== own && words.test(text)).map(({ path }) => path);
  expect(bad).toEqual([]);
});

test('no test runs alone, and each skipped test has a reason (skipIf, or the list of a contract)', () => {
  const words = /\b(?:describe|test|it)\.(?:only|skip|todo)\(/g;
  const bad = sources
    .filter(({ path }) => path.endsWith('.test.ts'))
    .flatMap((source) => mentions(source, words).map((fault) => `${source.path}: ${fault}`));
  expect(bad).toEqual([]);
});

test('every file that is imported exists, and its name ends in .ts', () => {
  const bad = sources.flatMap(({ path, imports }) =>
    imports
      .filter(
        ({ file }) => file !== undefined && !(/\.(ts|js|json)$/.test(file) && existsSync(join(root, file))),
      )
      .map(({ specifier }) => `${path}: imports ${specifier}`),
  );
  expect(bad).toEqual([]);
});

test('file names are kebab-case, and name the content', () => {
  const shape = /^[a-z0-9]+(-[a-z0-9]+)*(\.(test|contract|config))?\.(ts|js)$/;
  const vague = /^(utils?|helpers?|common|misc)\b/;
  const bad = sources
    .map(({ path }) => path)
    .filter(
      (path) => !shape.test(path.split('/').at(-1)!) || path.split('/').some((name) => vague.test(name)),
    );
  expect(bad).toEqual([]);
});

test('nothing is exported as default, and no enum, namespace or parameter property needs more than erasing', () => {
  const words = /^export default\b|^\s*(?:export\s+)?(?:const\s+)?enum\s|^\s*(?:export\s+)?namespace\s/gm;
  const bad = sources
    .filter(({ path }) => path.startsWith('packages/'))
    .flatMap((source) => mentions(source, words).map((fault) => `${source.path}: ${fault}`));
  expect(bad).toEqual([]);
});
