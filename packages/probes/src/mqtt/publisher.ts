import { randomUUID } from 'node:crypto';
import { parseDurationMs } from '@everywire/protocol';
import { CommandError } from '../../../server/src/cli/exit.ts';
import { checkReason, openMqtt, propertyOf } from './client.ts';
import { answerWithinMs, receiptLine, type Publisher } from '../publisher.ts';

const packetId = 1;

/** By MQTT 5 at QoS 1; the PUBACK comes once the message is stored. */
export const publishByMqtt: Publisher = async (target, publication) => {
  const { payload, type, headers, event, key, retain, ttl } = publication;
  if (/[+#]/.test(target.channel)) {
    throw new CommandError(
      'usage',
      `${target.channel} is a filter, and what is published goes to one channel.`,
    );
  }
  const messageExpiryIntervalSeconds = ttl === undefined ? undefined : secondsOf(ttl);
  const client = await openMqtt(target, AbortSignal.timeout(answerWithinMs));
  try {
    client.send({
      type: 'publish',
      topic: target.channel,
      payload,
      qos: 1,
      retain,
      dup: false,
      packetId,
      properties: {
        contentType: type,
        userProperties: [
          ...headers,
          // With a publish id the PUBACK tells where the message is.
          ['everywire-key', key ?? randomUUID()],
          ...(event === undefined ? [] : [['everywire-event', event] as const]),
        ],
        ...(messageExpiryIntervalSeconds === undefined ? {} : { messageExpiryIntervalSeconds }),
      },
    });
    for (;;) {
      const packet = await client.next();
      if (packet.type !== 'puback') continue;
      const { reasonString, userProperties } = packet.properties;
      checkReason('PUBLISH', packet.reasonCode, reasonString);
      const offset = propertyOf(userProperties, 'offset');
      return receiptLine(target.channel, {
        offset: offset === undefined ? undefined : Number(offset),
        cursor: propertyOf(userProperties, 'cursor'),
        id: propertyOf(userProperties, 'everywire-id'),
        duplicate: propertyOf(userProperties, 'duplicate') === 'true' ? true : undefined,
      });
    }
  } finally {
    client.close();
  }
};

function secondsOf(ttl: string): number {
  const ms = parseDurationMs(ttl);
  if (ms === undefined) {
    throw new CommandError('usage', `--ttl is a length of time such as 60s or 5m, not ${ttl}.`);
  }
  return Math.ceil(ms / 1000);
}
