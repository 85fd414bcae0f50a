import { isUtf8 } from 'node:buffer';
import { fault, rule, type FaultOptions, type Rule } from './fault.ts';
import type { MqttFault, Version } from './packets.ts';

const cutShort = rule('4.13.1-1');
const notUtf8 = rule('1.5.4-1', '1.5.3-1');
const hasNul = rule('1.5.4-2', '1.5.3-2');
const control = rule('§1.5.4', '§1.5.3');
const longVarint = rule('1.5.5-1', '§2.2.3');

/**
 * Reads the fields of one packet, in order. It keeps the first fault and reads nothing after it: later fields are 0 or
 * empty. So a decoder needs no check per field, and looks at `fault` once.
 */
export class Fields {
  readonly bytes: Buffer;
  at: number;
  /** The end of the current part: the packet, or its properties. */
  end: number;
  version: Version | undefined;
  fault: MqttFault | undefined;

  constructor(bytes: Buffer, from: number, to: number, version: Version | undefined) {
    this.bytes = bytes;
    this.at = from;
    this.end = to;
    this.version = version;
    this.fault = undefined;
  }

  isAtEnd(): boolean {
    return this.at >= this.end;
  }

  hasFault(): boolean {
    return this.fault !== undefined;
  }

  /** Keeps the fault, if it is the first; nothing more is read. */
  refuse(kind: FaultOptions['kind'], rule: Rule, detail: string, reasonCode?: MqttFault['reasonCode']): void {
    this.fault ??= fault({
      kind,
      rule,
      version: this.version,
      detail,
      ...(reasonCode === undefined ? {} : { reasonCode }),
    });
    this.at = this.end;
  }

  readByte(): number {
    if (this.at >= this.end) return this.#cutShort();
    return this.bytes[this.at++]!;
  }

  readUint16(): number {
    const { at } = this;
    if (at + 2 > this.end) return this.#cutShort();
    this.at = at + 2;
    return this.bytes[at]! * 0x100 + this.bytes[at + 1]!;
  }

  readUint32(): number {
    if (this.at + 4 > this.end) return this.#cutShort();
    this.at += 4;
    return this.bytes.readUInt32BE(this.at - 4);
  }

  readVarint(): number {
    let value = 0;
    for (let shift = 0; shift <= 21; shift += 7) {
      if (this.at >= this.end) return this.#cutShort();
      const byte = this.bytes[this.at++]!;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (byte === 0 && shift > 0) {
          this.refuse('malformed', longVarint, 'A variable byte integer is longer than needed.');
          return 0;
        }
        return value;
      }
    }
    this.refuse('malformed', longVarint, 'A variable byte integer has more than four bytes.');
    return 0;
  }

  /** Reads bytes with a length of two bytes before them. The result shares memory with the packet. */
  readBinary(): Buffer {
    const length = this.readUint16();
    const from = this.at;
    if (from + length > this.end) {
      this.#cutShort();
      return nothing;
    }
    this.at = from + length;
    return this.bytes.subarray(from, from + length);
  }

  /** Reads the remaining bytes. */
  readRest(): Buffer {
    const from = this.at;
    this.at = this.end;
    return this.bytes.subarray(from, this.end);
  }

  /** Reads text for people: any well-formed UTF-8 without U+0000. */
  readText(utf8Rule: Rule = notUtf8): string {
    return this.#readString(false, utf8Rule);
  }

  /**
   * Reads text that is a name: a topic, filter, client id or user name. The standard allows a receiver to refuse
   * control characters; Mosquitto does, and channel names have none.
   */
  readName(utf8Rule: Rule = notUtf8): string {
    return this.#readString(true, utf8Rule);
  }

  #readString(isName: boolean, utf8Rule: Rule): string {
    const length = this.readUint16();
    const from = this.at;
    const to = from + length;
    if (to > this.end) {
      this.#cutShort();
      return '';
    }
    this.at = to;
    if (length === 0) return '';
    const { bytes } = this;
    let all = 0;
    let isControlled = false;
    for (let at = from; at < to; at += 1) {
      const byte = bytes[at]!;
      all |= byte;
      if (byte < 0x20 || byte === 0x7f) {
        if (byte === 0) {
          this.refuse('malformed', hasNul, 'A text contains U+0000.');
          return '';
        }
        isControlled = true;
      }
    }
    let text: string;
    if (all < 0x80) {
      text = bytes.toString('latin1', from, to);
    } else {
      // A byte order mark is a character like any other [MQTT-1.5.4-3].
      if (!isUtf8(bytes.subarray(from, to))) {
        this.refuse('malformed', utf8Rule, 'A text is not UTF-8.');
        return '';
      }
      text = bytes.toString('utf8', from, to);
      if (isName && c1.test(text)) isControlled = true;
    }
    if (isName && isControlled) {
      this.refuse('malformed', control, 'A name contains control characters.');
      return '';
    }
    return text;
  }

  #cutShort(): 0 {
    this.refuse('malformed', cutShort, 'The packet ends within a field.');
    return 0;
  }
}

const c1 = /[\u0080-\u009f]/;
const nothing = Buffer.alloc(0);
