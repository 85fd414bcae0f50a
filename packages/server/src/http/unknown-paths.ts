import type { FastifyInstance } from 'fastify';
import { EverywireError } from '@everywire/protocol';
import { HttpRefusal } from './problem.ts';
import { rawPath } from './percent.ts';
import type { UpgradeRouter } from './upgrades.ts';

/** The methods of each path, for `Allow` (RFC 9110 §10.2.1). */
export class AllowedMethods {
  readonly #byPath = new Map<string, Set<string>>();
  /** Paths that end in `*`, without it. */
  readonly #byPrefix = new Map<string, Set<string>>();
  /** Paths with levels such as `:id`, level by level. */
  readonly #byLevels: { readonly levels: readonly string[]; readonly methods: Set<string> }[] = [];

  add(url: string, methods: string | readonly string[]): void {
    const known = this.#methodsOf(url);
    for (const method of [methods].flat()) known.add(method);
  }

  /** The value of `Allow`, or `undefined` for an unknown path. */
  of(path: string): string | undefined {
    const methods =
      this.#byPath.get(path) ??
      [...this.#byPrefix].find(([prefix]) => path.startsWith(prefix))?.[1] ??
      this.#byLevels.find(({ levels }) => areLevelsOf(levels, path))?.methods;
    return methods === undefined ? undefined : [...new Set(methods).add('OPTIONS')].sort().join(', ');
  }

  #methodsOf(url: string): Set<string> {
    if (url.includes('/:')) {
      const levels = url.split('/');
      const known = this.#byLevels.find((other) => other.levels.join('/') === url);
      if (known !== undefined) return known.methods;
      const methods = new Set<string>();
      this.#byLevels.push({ levels, methods });
      return methods;
    }
    const isPrefix = url.endsWith('*');
    const table = isPrefix ? this.#byPrefix : this.#byPath;
    const key = isPrefix ? url.slice(0, -1) : url;
    const known = table.get(key) ?? new Set();
    table.set(key, known);
    return known;
  }
}

function areLevelsOf(levels: readonly string[], path: string): boolean {
  const given = path.split('/');
  return (
    given.length === levels.length &&
    levels.every((level, at) => (level.startsWith(':') ? given[at] !== '' : level === given[at]))
  );
}

/** Answers requests without a route: OPTIONS, wrong methods, upgrade paths without an upgrade, and unknown paths. */
export function answerUnknown(
  app: FastifyInstance,
  { allowed, upgrades }: { readonly allowed: AllowedMethods; readonly upgrades: UpgradeRouter },
): void {
  app.setNotFoundHandler((request, reply) => {
    const path = rawPath(request.url);
    const isUpgrade = upgrades.knows(path);
    const allow = allowed.of(path) ?? (isUpgrade ? 'GET' : undefined);
    if (request.method === 'OPTIONS' && (allow !== undefined || path === '*')) {
      return reply
        .code(204)
        .header('Allow', allow ?? 'GET, HEAD, POST, DELETE, OPTIONS')
        .send();
    }
    if (allow === undefined) throw new EverywireError('not_found', 'There is nothing at this path.');
    if (isUpgrade && request.method === 'GET') {
      // RFC 6455 §4.2.1: without the upgrade fields this is no handshake.
      throw new HttpRefusal('malformed', 'This path needs a WebSocket handshake.', {
        headers: { Upgrade: 'websocket' },
      });
    }
    throw new HttpRefusal('unsupported', `This path allows ${allow}.`, {
      httpStatus: 405,
      headers: { Allow: allow },
    });
  });
}
