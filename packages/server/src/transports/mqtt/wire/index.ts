/**
 * The wire of MQTT 3.1, 3.1.1 and 5: bytes ⇄ packets ⇄ messages. Pure; it never saw a socket.
 *
 *   packets.ts         what packets are; reason-codes.ts, reason-uses.ts: what they may say
 *   reader.ts          bytes → packets or a fault, in any portions; decode*.ts, fields.ts: one packet
 *   encode.ts          packets → bytes
 *   messages.ts        what a PUBLISH or a will says ⇄ drafts and messages
 *   publish-format.ts  messages → bytes that many subscribers share
 */
export { encodePacket } from './encode.ts';
export { deliveryQos, draftOf, propertiesOf, withPlace } from './messages.ts';
export * from './packets.ts';
export {
  fillPacketIds,
  packetBytes,
  publishFormat,
  type LinkKind,
  type PublishFormatOptions,
} from './publish-format.ts';
export { PacketReader, clientReader, serverReader, type PacketReaderOptions } from './reader.ts';
export * from './reason-codes.ts';
