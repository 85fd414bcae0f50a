import type { Envelope, GapNotice, Receipt } from '@everywire/protocol';
import { StompClient, type ClientFrame } from '../../clients/stomp/client.ts';
import type { Outgoing, PublishAnswer, PublishWire } from './publish-wires.ts';
import type { OpenReading, ReadWire, ReadingEvents } from './read-wires.ts';

/** A refusal of these kinds is the server coming up or going down: worth repeating. */
const passing = new Set(['going_away', 'store_unavailable', 'internal', 'timed_out']);

/** Plain subscriptions that resume after the cursor of the last message. `url` absent: WebSocket at the HTTP address. */
export function stompReadWire(name: string, url?: () => string): ReadWire {
  return {
    name,
    open: (http, filter, after, events) => openReading(url?.() ?? http, filter, after, events),
  };
}

function openReading(url: string, filter: string, after: string, events: ReadingEvents): OpenReading {
  let client: StompClient | undefined;
  const state = { isCut: false };
  const ended = (async () => {
    try {
      client = await StompClient.open(url);
      client.onFrame = (frame) => {
        if (!state.isCut) readFrame(frame, events);
      };
      if (state.isCut) client.cut();
      client.send('CONNECT', { 'accept-version': '1.1' });
      client.send('SUBSCRIBE', { id: '1', destination: `/${filter}`, after });
      await untilClosed(client);
    } catch {
      // No program listens: the server is dead, and the reader tries again later.
    }
  })();
  return {
    ended,
    cut(how) {
      state.isCut = true;
      if (how === 'fin') client?.end();
      else client?.cut();
    },
  };
}

/** For as long as it takes. */
export function untilClosed(client: StompClient): Promise<void> {
  return client.isClosed ? Promise.resolve() : new Promise((resolve) => (client.onClosed = resolve));
}

function readFrame(frame: ClientFrame, events: ReadingEvents): void {
  if (frame.command !== 'MESSAGE') return;
  const gaps = frame.headers['everywire-gap'];
  if (gaps !== undefined) {
    // In 1.1 a colon of a value is written \c.
    for (const gap of JSON.parse(gaps.replaceAll('\\c', ':')) as GapNotice[]) events.gap(gap);
  }
  events.message(envelopeOf(frame));
}

export function envelopeOf({ headers, body }: ClientFrame): Envelope {
  return {
    channel: headers['destination']!.slice(1),
    offset: Number(headers['offset']),
    cursor: headers['message-id']!,
    id: headers['everywire-id']!,
    time: new Date(Number(headers['timestamp'])).toISOString(),
    type: headers['content-type']!,
    data: body.toString(),
  };
}

/** SEND with a publish id and a receipt, over WebSocket. */
export function stompPublishWire(): PublishWire {
  let client: StompClient | undefined;
  let receipts = 0;
  return {
    name: 'stomp',
    isAnswered: true,
    async publish(http, messages) {
      const answers = new Map<string, PublishAnswer>();
      try {
        if (client === undefined || client.isClosed) {
          client = await StompClient.open(http);
          client.send('CONNECT', { 'accept-version': '1.2' });
        }
        await sendAll(client, messages, answers, () => `p${(receipts += 1)}`);
      } catch {
        // The server was killed in between: a publish without an answer has an unknown result.
        client?.cut();
        client = undefined;
      }
      return messages.map(({ key }) => answers.get(key));
    },
    close: () => client?.end(),
  };
}

async function sendAll(
  client: StompClient,
  messages: readonly Outgoing[],
  answers: Map<string, PublishAnswer>,
  nextReceipt: () => string,
): Promise<void> {
  const keys = new Map<string, string>();
  const { promise, resolve } = Promise.withResolvers<undefined>();
  client.onClosed = () => resolve(undefined);
  client.onFrame = ({ command, headers }) => {
    const key = keys.get(headers['receipt-id'] ?? '');
    if (command === 'RECEIPT' && key !== undefined) {
      const { offset, cursor } = headers;
      answers.set(key, { offset: Number(offset), cursor: cursor! } as Receipt);
    }
    if (command === 'ERROR' && key !== undefined && !passing.has(headers['message']!)) {
      answers.set(key, { refused: headers['message']! });
    }
    if (command === 'ERROR' || answers.size === messages.length) resolve(undefined);
  };
  for (const { channel, value, key } of messages) {
    const receipt = nextReceipt();
    keys.set(receipt, key);
    client.send('SEND', { destination: `/${channel}`, 'content-type': 'text/plain', key, receipt }, value);
  }
  await promise;
}
