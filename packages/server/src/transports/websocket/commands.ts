import {
  parseCommand as parseCommandText,
  type BadCommand,
  type Command as TextCommand,
  type CommandPayload,
} from '@everywire/protocol/everywire-v1';
import type { PublishDraft } from '../../core/seams/session-api.ts';

/** A command of an `everywire.v1` client, with its publication in the form of the hub. */
export type Command =
  | Exclude<TextCommand, { readonly op: 'publish' }>
  | {
      readonly op: 'publish';
      readonly id: string;
      readonly channel: string;
      readonly draft: PublishDraft;
    };

/** Reads one text frame of a client. `bytes` are UTF-8: the frame reader refuses any other text. */
export function parseCommand(bytes: Buffer, limits: { readonly jsonDepthMax: number }): Command | BadCommand {
  const command = parseCommandText(bytes.toString(), limits);
  if (command.op !== 'publish') return command;
  const { op, id, channel, publication } = command;
  const { payload, type, event, headers, key, retain, ttlMs } = publication;
  return { op, id, channel, draft: { payload: bytesOf(payload), type, event, headers, key, retain, ttlMs } };
}

function bytesOf(payload: CommandPayload): Buffer {
  return payload.kind === 'base64' ? Buffer.from(payload.base64, 'base64') : Buffer.from(payload.text);
}
