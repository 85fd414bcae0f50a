import type { FastifyInstance } from 'fastify';
import { EverywireError } from '@everywire/protocol';
import type { Tokens } from '../core/sessions/access.ts';
import type { HttpLimits } from './limits.ts';
import type { HubFront } from '../core/seams/hub-api.ts';
import { callerOf } from './caller.ts';
import { jsonOnly } from './parse-body.ts';
import { revokeDocs, ticketDocs } from './route-docs.ts';
import { revokeBodySchema } from './schemas.ts';

export interface TokenRoutesOptions {
  readonly hub: HubFront;
  readonly limits: HttpLimits;
  /** Absent while authentication is off. */
  readonly tokens?: Tokens | undefined;
}

type Revocation = ({ readonly sub: string } | { readonly jti: string }) & { readonly exp?: number };

const authenticates = true;
const noStore = { 'Cache-Control': 'no-store' };

/** Operations on tokens beside showing them (INTERFACES §10). */
export function addTokenRoutes(app: FastifyInstance, { hub, limits, tokens }: TokenRoutesOptions): void {
  const whileOn = (): Tokens => {
    if (tokens !== undefined) return tokens;
    throw new EverywireError('not_found', 'Authentication is off, so there are no tokens.');
  };

  app.post('/tickets', { config: { authenticates, docs: ticketDocs } }, async (request, reply) => {
    const issuer = whileOn();
    const { ticket, expiresAtMs } = issuer.issueTicket(callerOf(request));
    return reply
      .code(201)
      .headers(noStore)
      .send({ ticket, expiresAt: new Date(expiresAtMs).toISOString() });
  });

  app.post(
    '/tokens/revoke',
    {
      schema: { body: revokeBodySchema(limits.subjectBytesMax) },
      config: { authenticates, takesJson: true, docs: revokeDocs },
    },
    async (request, reply) => {
      const revoker = whileOn();
      hub.authorizeAdmin(callerOf(request), 'revoke tokens');
      if (request.body === undefined) throw jsonOnly();
      const revoked = request.body as Revocation;
      const untilMs = revoked.exp === undefined ? undefined : Math.ceil(revoked.exp * 1_000);
      await revoker.revoke(
        'sub' in revoked ? { subject: revoked.sub, untilMs } : { tokenId: revoked.jti, untilMs },
      );
      return reply.headers(noStore).send({ revoked });
    },
  );
}
