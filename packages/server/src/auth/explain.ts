import { contains, overlaps, type Filter } from '@everywire/protocol';
import type { Rules } from './permissions.ts';

/** Whether an action is allowed, and each rule that decides about it, in words. */
export interface Explanation {
  readonly isAllowed: boolean;
  readonly reasons: readonly string[];
}

/** Judges a filter to read, or a channel to publish to as the filter that matches it alone. */
export function explain(rules: Rules, filter: Filter): Explanation {
  const isAllowed = rules.grants(filter);
  const denying = rules.deny.find((rule) => contains(rule, filter));
  const allowing = rules.allow.find((rule) => contains(rule, filter));
  const reasons: string[] = [];
  if (denying !== undefined) reasons.push(`the rule !${denying.text} denies it`);
  if (allowing !== undefined)
    reasons.push(`the rule ${allowing.text} ${denying === undefined ? 'allows' : 'would allow'} it`);
  if (rules.allow.length === 0) reasons.push('the token has no rule of that kind');
  else if (allowing === undefined) {
    reasons.push('no rule allows it');
    for (const { text } of rules.allow.filter((rule) => overlaps(rule, filter)))
      reasons.push(`the rule ${text} allows a part of it, and one rule has to allow the whole`);
  }
  if (isAllowed)
    for (const { text } of rules.deny.filter((rule) => overlaps(rule, filter)))
      reasons.push(`but nothing that !${text} matches is delivered`);
  return { isAllowed, reasons };
}
