/**
 * The wire of MQTT 3.1, 3.1.1 and 5: bytes to packets and back. Pure; it never saw a socket.
 *
 * packets.ts the packets; reason-codes.ts, reason-uses.ts: their reason codes
 *   reader.ts          bytes to packets or a fault, in chunks of any size; decode*.ts, fields.ts: one packet
 *   encode.ts          packets to bytes
 *   properties.ts      properties of packets, read and written
 *   payload-type.ts    the media type of a payload
 */
export { encodePacket } from './encode.ts';
export { Fields } from './fields.ts';
export * from './packets.ts';
export { isHonestType } from './payload-type.ts';
export { noProperties, propertiesBytes, readProperties, writeProperties } from './properties.ts';
export { PacketReader, clientReader, serverReader, type PacketReaderOptions } from './reader.ts';
export * from './reason-codes.ts';
export * from './topics.ts';
export { varintBytes, writeVarint } from './varint.ts';
