import { randomBytes } from 'node:crypto';
import { readWhole, Refused, send } from './http/request.ts';
import { originOf, type Target } from './target.ts';

/**
 * Throws why a WebSocket handshake failed, which Node's client does not tell: the same is asked again by plain HTTP.
 * @throws Unreachable, Cut, Refused
 */
export async function throwHandshakeFailure(
  target: Target,
  {
    path,
    protocol,
    signal,
  }: { readonly path: string; readonly protocol: string; readonly signal: AbortSignal },
): Promise<never> {
  const answer = await send(target, {
    path,
    headers: {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
      'Sec-WebSocket-Protocol': protocol,
    },
    signal,
    idleMs: 10_000,
  });
  await readWhole(answer);
  throw new Refused(`${originOf(target)} answers, but not with ${protocol} at ${path}`, {});
}
