import { Refused } from './request.ts';

/** A problem (RFC 9457) that came in the midst of a stream. */
export function toRefused(problem: Readonly<Record<string, unknown>> | undefined): Refused {
  const { code, detail, status } = problem ?? {};
  const words = typeof detail === 'string' ? detail : 'no reason was given';
  const name = typeof code === 'string' ? code : undefined;
  return new Refused(`${name ?? 'refused'}: ${words}`, {
    code: name,
    status: typeof status === 'number' ? status : undefined,
  });
}
