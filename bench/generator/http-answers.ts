import type net from 'node:net';

/** What came back, as Latin-1. */
export interface HttpAnswer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** Reads the answers on a keep-alive connection: all have a length, or none for 304 (RFC 9112 §6.3). */
export function readAnswers(socket: net.Socket, onAnswer: (answer: HttpAnswer) => void): void {
  let unread = '';
  socket.on('data', (chunk: Buffer) => {
    unread += chunk.toString('latin1');
    for (;;) {
      const headEnd = unread.indexOf('\r\n\r\n');
      if (headEnd < 0) return;
      const head = unread.slice(0, headEnd);
      const length = /\r\ncontent-length: *(\d+)/i.exec(head);
      const end = headEnd + 4 + Number(length?.[1] ?? 0);
      if (unread.length < end) return;
      const body = unread.slice(headEnd + 4, end);
      unread = unread.slice(end);
      onAnswer({ status: Number(head.slice(9, 12)), head, body });
    }
  });
}
