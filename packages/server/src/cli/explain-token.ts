import { text as readAll } from 'node:stream/consumers';
import { EverywireError, exactFilter, parseFilter, type Filter, checkChannel } from '@everywire/protocol';
import { explain, type Explanation } from '../auth/explain.ts';
import { createPermissions } from '../auth/permissions.ts';
import { readToken } from '../auth/tokens/read-token.ts';
import { createVerifier } from '../auth/tokens/verifier.ts';
import { issuersOf } from '../config/auth.ts';
import type { Config } from '../config/schema.ts';
import type { Claims, Identity } from '../core/sessions/access.ts';
import { isGroupName, parseGroupName } from '../core/groups/name.ts';
import { systemClock } from '../runtime/clock.ts';
import { createLog } from '../telemetry/log.ts';
import { loadHere } from './config.ts';
import { checkToken, chooseToken } from './credentials.ts';
import { CommandError, exitCodes } from './exit.ts';
import type { ServeFlags } from './flags.ts';
import { write } from './output.ts';

const actions = ['subscribe', 'publish', 'admin'] as const;
type Action = (typeof actions)[number];

interface Question {
  readonly token: string;
  readonly action: Action;
  /** The channel or filter; absent with the action `admin`. */
  readonly name: string | undefined;
}

/**
 * `everywire explain TOKEN|- ACTION CHANNEL`: says whether a server with the configuration here would allow the action
 * with that token, and why. Exit code 0 for yes, 1 for no. Never prints the token.
 */
export async function explainToken(flags: ServeFlags, args: readonly string[]): Promise<void> {
  const { config } = loadHere(flags);
  const question = await readQuestion(args);
  const { isAllowed, reasons } = await judge(question, config);
  await write([...reasons.map((reason, at) => (at === 0 ? reason : `  ${reason}`)), ''].join('\n'));
  process.exitCode = isAllowed ? exitCodes.done : exitCodes.failed;
}

async function readQuestion(args: readonly string[]): Promise<Question> {
  const [first] = args;
  const hasToken = first !== undefined && !isAction(first);
  const [action, name, ...more] = hasToken ? args.slice(1) : args;
  if (
    action === undefined ||
    !isAction(action) ||
    more.length > 0 ||
    (action === 'admin') !== (name === undefined)
  ) {
    throw new CommandError(
      'usage',
      'It is: everywire explain TOKEN ACTION CHANNEL, with - for a token on standard input, and no CHANNEL for the ' +
        'action admin; the others are subscribe and publish. Without TOKEN it is that of EVERYWIRE_TOKEN.',
    );
  }
  const token =
    first === '-' ? checkToken(await readAll(process.stdin)) : chooseToken(hasToken ? first : undefined);
  if (token === undefined)
    throw new CommandError(
      'usage',
      'There is no token: give it, or - and pipe it in, or set EVERYWIRE_TOKEN.',
    );
  return { token, action, name };
}

function isAction(text: string): text is Action {
  return (actions as readonly string[]).includes(text);
}

async function judge({ token, action, name }: Question, config: Config): Promise<Explanation> {
  const filter = name === undefined ? undefined : readName(action, name, config);
  const issuers = issuersOf(config);
  if (issuers.length === 0) {
    const problem = findTokenProblem(token, config);
    if (problem !== undefined) return { isAllowed: false, reasons: ['no: that is not a token', problem] };
    return {
      isAllowed: true,
      reasons: [
        'yes: authentication is off here (no key in auth.jwt or auth.issuers), everyone may do everything',
      ],
    };
  }
  let identity: Identity;
  try {
    const log = createLog({ ...config.log, level: 'silent' });
    const verifier = createVerifier({ issuers, clock: systemClock, log, limits: config.limits });
    identity = await verifier.verify(token);
  } catch (error) {
    if (!(error instanceof EverywireError)) throw error;
    return { isAllowed: false, reasons: ['no: the token is refused', error.message] };
  }
  const { subject = '', isAdmin } = identity;
  const claims = identity.claims!;
  const found = filter === undefined ? explainAdmin(isAdmin) : explainRules(action, filter, claims, config);
  const may = found.isAllowed ? 'yes: it may' : 'no: it may not';
  const what =
    name === undefined
      ? 'do what only administrators may'
      : `${action} ${action === 'publish' ? 'to ' : ''}${name}`;
  return {
    isAllowed: found.isAllowed,
    reasons: [`${may} ${what}`, ...found.reasons, ...describe(subject, isAdmin, claims)],
  };
}

/** Without a key, only the form of the token can be checked. */
function findTokenProblem(token: string, { limits }: Config): string | undefined {
  try {
    readToken(token, limits);
    return undefined;
  } catch (error) {
    if (!(error instanceof EverywireError)) throw error;
    return error.message;
  }
}

/** The check of the name that the server does first. */
function readName(action: Action, name: string, { limits }: Config): Filter {
  try {
    if (action === 'publish') return exactFilter(checkChannel(name, limits));
    return isGroupName(name) ? parseGroupName(name, limits).filter : parseFilter(name, limits);
  } catch (error) {
    if (!(error instanceof EverywireError)) throw error;
    throw new CommandError('usage', error.message, error);
  }
}

function explainAdmin(isAdmin: boolean): Explanation {
  const reason = isAdmin ? 'the token says admin: true' : 'the token does not say admin: true';
  return { isAllowed: isAdmin, reasons: [reason] };
}

function explainRules(action: Action, filter: Filter, claims: Claims, { limits }: Config): Explanation {
  const { subscribe, publish } = createPermissions(limits)(claims);
  return explain(action === 'publish' ? publish : subscribe, filter);
}

function describe(subject: string, isAdmin: boolean, claims: Claims): readonly string[] {
  const { tokenId, issuedAtMs, expiresAtMs } = claims;
  const minutes = Math.floor((expiresAtMs - systemClock.nowMs()) / 60_000);
  const lines = [
    `subject ${subject}${isAdmin ? ', an administrator' : ''}`,
    `expires ${dateOf(expiresAtMs)}, in ${minutes < 1 ? 'less than a minute' : `${minutes} min`}`,
  ];
  if (issuedAtMs !== undefined) lines.push(`issued ${dateOf(issuedAtMs)}`);
  if (tokenId !== undefined) lines.push(`jti ${tokenId}`);
  lines.push('only the running server knows the revocations');
  return lines;
}

function dateOf(ms: number): string {
  return new Date(ms).toISOString();
}
