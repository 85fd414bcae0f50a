import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Envelope, GapNotice } from '@everywire/protocol';
import { Webhook } from 'standardwebhooks';
import { Refused, type Reader, type Received, type TransportDriver } from './driver.ts';
import { fromEnvelope } from './envelopes.ts';
import { Inbox } from './inbox.ts';

interface View {
  readonly cursor: string;
  readonly lastGap: GapNotice | null;
}

/** An endpoint of its own on loopback, which the server has to be allowed to call, and a webhook that leads to it. */
export const webhookDriver: TransportDriver = {
  name: 'webhook',
  async read(server, filter, from): Promise<Reader> {
    const inbox = new Inbox<Envelope>();
    const held: ServerResponse[] = [];
    let isPaused = false;
    let verify: (body: string, headers: Record<string, string>) => unknown = () => undefined;
    const endpoint = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const body = Buffer.concat(chunks).toString();
        verify(body, request.headers as Record<string, string>);
        inbox.push(JSON.parse(body) as Envelope);
        if (isPaused) held.push(response);
        else response.writeHead(204).end();
      });
    });
    endpoint.listen(0, '127.0.0.1');
    await once(endpoint, 'listening');
    const stop = (): void => {
      endpoint.close();
      endpoint.closeAllConnections();
      inbox.end(new Error('the endpoint was closed'));
    };
    const { port } = endpoint.address() as AddressInfo;
    const secret = `whsec_${Buffer.alloc(32, port % 256).toString('base64')}`;
    const library = new Webhook(secret);
    verify = (body, headers) => library.verify(body, headers);
    const registered = await fetch(`${server.url}/webhooks`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ url: `http://127.0.0.1:${port}/`, filter, secret, ...from }),
    });
    if (registered.status !== 201) {
      stop();
      throw new Refused(registered.status, ((await registered.json()) as { code: string }).code);
    }
    const { id } = (await registered.json()) as { id: string };
    const view = (await (await fetch(`${server.url}/webhooks/${id}`)).json()) as View;
    const gap = view.lastGap ?? undefined;
    // Where it began, whatever has been delivered meanwhile.
    let cursor = gap?.cursor ?? from?.after ?? view.cursor;
    const remove = (): void => {
      fetch(`${server.url}/webhooks/${id}`, { method: 'DELETE' }).catch(() => undefined);
    };
    return {
      continuity: gap === undefined ? 'exact' : 'gap',
      gap,
      get cursor() {
        return cursor;
      },
      async next(): Promise<Received> {
        const envelope = await inbox.next();
        ({ cursor } = envelope);
        return fromEnvelope(envelope);
      },
      pause: () => {
        isPaused = true;
      },
      resume: () => {
        isPaused = false;
        for (const response of held.splice(0)) response.writeHead(204).end();
      },
      close: () => {
        remove();
        stop();
      },
      cut: () => {
        stop();
        remove();
      },
      // It is the server that connects: when it stops there is nobody to say goodbye to.
      goodbye: new Promise<string>(() => undefined),
    };
  },
};
