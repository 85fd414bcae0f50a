import assert from 'node:assert/strict';
import { parseFilter } from '@everywire/protocol';
import {
  encodePacket,
  serverReader,
  type MqttFault,
  type Packet,
  type PacketReader,
  type Publish,
  type Version,
} from '@everywire/wires/mqtt';
import { checkDraft } from '../../packages/server/src/core/log/drafts.ts';
import { defaultLimits } from '../../packages/server/src/config/limits.ts';
import { Message } from '../../packages/server/src/core/log/message.ts';
import { readTarget } from '../../packages/server/src/transports/mqtt/targets.ts';
import { draftOf, propertiesOf } from '../../packages/server/src/transports/mqtt/convert.ts';
import { rawConnect } from '../clients/mqtt/raw-packets.ts';
import { chunkingsOf, takenOrRefused } from './tools.ts';

/** What the harnesses of MQTT have in common. */

export const packetBytesMax = 400;
const nowMs = 1_800_000_000_000;
const stamp = { id: '01JD0000000000000000000000', nowMs, from: undefined };
const place = { epoch: '000000', seq: 1, offset: 1, tag: '0000000000000000' };

/** A reader that has read a CONNECT of `version`. */
export function connectedReader(version: Version): PacketReader {
  const reader = serverReader({ packetBytesMax });
  reader.push(rawConnect(version));
  assert.equal(reader.next()?.type, 'connect');
  return reader;
}

/** Reads `bytes` in every portioning and checks what was read. Whether anything was. */
export function checkPackets(bytes: Buffer, makeReader: () => PacketReader): boolean {
  const whole = readAll(makeReader(), [Buffer.from(bytes)]);
  for (const chunks of chunkingsOf(bytes)) {
    assert.deepEqual(readAll(makeReader(), chunks), whole, 'what is read does not depend on how it was cut');
  }
  let taken = 0;
  let connected: Version | undefined;
  for (const [at, one] of whole.entries()) {
    if (one.type === 'fault') {
      assert.equal(at, whole.length - 1, 'nothing is read behind a fault');
      assert.match(one.statement, /^§?\d/);
      assert.match(one.detail, /\.$/);
      continue;
    }
    taken += 1;
    const fresh = makeReader();
    if (one.type === 'connect') connected = one.version;
    const version = connected ?? fresh.version!;
    const encoded = encodePacket(one, version);
    assert.ok(encoded !== undefined, 'what was read can be written');
    const reader = one.type !== 'connect' && fresh.version === undefined ? connectedReader(version) : fresh;
    assert.deepEqual(readAll(reader, [encoded]), [one], 'and is read again as the same');
    if (one.type === 'publish') checkPublish(one);
    else if (one.type === 'subscribe') {
      for (const { filter } of one.filters) {
        const target = takenOrRefused(() => readTarget(filter, one.properties.userProperties, nowMs));
        if (target?.kind === 'log' && !target.isShared)
          takenOrRefused(() => parseFilter(target.filter, defaultLimits));
      }
    } else if (one.type === 'connect' && one.will !== undefined) {
      takenOrRefused(() => checkDraft(draftOf(one.will!), stamp, defaultLimits));
    }
  }
  return taken > 0;
}

/** Asserts that a subscriber of MQTT 5 gets the properties of the PUBLISH, besides those of the server. */
function checkPublish(publish: Publish): void {
  const draft = takenOrRefused(() => checkDraft(draftOf(publish), stamp, defaultLimits));
  // A PUBLISH may use any valid name and any properties: only limits refuse it.
  if (draft === undefined) return;
  const said = propertiesOf(new Message('a', place, draft), nowMs);
  const given = publish.properties;
  for (const name of ['payloadFormatIndicator', 'contentType', 'responseTopic', 'correlationData'] as const) {
    assert.deepEqual(said[name], given[name], `${name} is kept`);
  }
  const kept = (given.userProperties ?? []).filter(([name]) => !/^everywire-/i.test(name));
  assert.deepEqual(said.userProperties ?? [], kept, 'user properties are kept, in their order');
}

function readAll(reader: PacketReader, chunks: readonly Buffer[]): (Packet | MqttFault)[] {
  const read: (Packet | MqttFault)[] = [];
  for (const chunk of chunks) {
    reader.push(chunk);
    for (let one = reader.next(); one !== undefined; one = reader.next()) read.push(one);
    assert.ok(reader.pendingBytes <= packetBytesMax);
  }
  return read;
}
