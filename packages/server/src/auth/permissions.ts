import {
  EverywireError,
  contains,
  matchesLevels,
  overlaps,
  parseFilter,
  type Filter,
} from '@everywire/protocol';
import type { Claims } from '../core/sessions/access.ts';
import type { Limits } from '../core/limits.ts';

/** How many answers the rules of one token remember: a peer commonly reads a few channels, again and again. */
const rememberedMax = 64;

/** The rules of a token for one kind of action, `subscribe` or `publish`. */
export interface Rules {
  readonly allow: readonly Filter[];
  readonly deny: readonly Filter[];
  /** Whether a subscription to `filter` is granted: an allowing rule contains it, and no denying rule does. */
  grants(filter: Filter): boolean;
  /** Whether the channel may be used: an allowing rule matches it, and no denying rule does. */
  allows(channel: string): boolean;
  /**
   * Which channels of `filter` may be delivered. `undefined` means all of them: an allowing rule contains the filter,
   * and no denying rule matches any of its names.
   */
  deliverable(filter: Filter): ((channel: string) => boolean) | undefined;
}

export interface Permissions {
  readonly subscribe: Rules;
  readonly publish: Rules;
}

type FilterLimits = Pick<Limits, 'nameBytesMax' | 'nameLevelsMax' | 'filterWildcardsMax'>;

/**
 * Reads filters in the form of `Claims`; one with `!` in front denies. A list with an unreadable rule grants nothing.
 * Such a list was stored under larger limits; if one rule were left out, the rest could grant what that rule denied.
 */
export function compileRules(texts: readonly string[], limits: FilterLimits): Rules {
  const allow: Filter[] = [];
  const deny: Filter[] = [];
  try {
    for (const text of texts) {
      if (text.startsWith('!')) deny.push(parseFilter(text.slice(1), limits));
      else allow.push(parseFilter(text, limits));
    }
  } catch (error) {
    if (!(error instanceof EverywireError)) throw error;
    return createRules([], []);
  }
  return createRules(allow, deny);
}

function createRules(allow: readonly Filter[], deny: readonly Filter[]): Rules {
  const remembered = new Map<string, boolean>();
  const allows = (channel: string): boolean => {
    let answer = remembered.get(channel);
    if (answer === undefined) {
      const names = channel.split('/');
      const matchesName = (filter: Filter): boolean => matchesLevels(filter, names);
      answer = allow.some(matchesName) && !deny.some(matchesName);
      if (remembered.size >= rememberedMax) remembered.clear();
      remembered.set(channel, answer);
    }
    return answer;
  };
  return {
    allow,
    deny,
    grants: (filter) =>
      allow.some((rule) => contains(rule, filter)) && !deny.some((rule) => contains(rule, filter)),
    allows,
    deliverable: (filter) =>
      allow.some((rule) => contains(rule, filter)) && !deny.some((rule) => overlaps(rule, filter))
        ? undefined
        : allows,
  };
}

/** The permissions of claims, each compiled once and shared by all holders of the same claims. */
export function createPermissions(limits: FilterLimits): (claims: Claims) => Permissions {
  const compiled = new WeakMap<Claims, Permissions>();
  return (claims) => {
    let permissions = compiled.get(claims);
    if (permissions === undefined) {
      permissions = {
        subscribe: compileRules(claims.subscribe, limits),
        publish: compileRules(claims.publish, limits),
      };
      compiled.set(claims, permissions);
    }
    return permissions;
  };
}
