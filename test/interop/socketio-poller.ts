/** Engine.IO by HTTP, request by request, for what no library does: to stop between two polls. */
export class Poller {
  readonly #server: string;
  sid = '';
  #acks = 0;

  constructor(server: string) {
    this.#server = server;
  }

  /** Opens a session and enters the main namespace. */
  static async connect(server: string, auth: object = {}): Promise<Poller> {
    const poller = new Poller(server);
    const { body } = await poller.request('GET', '');
    poller.sid = (JSON.parse(body.slice(1)) as { readonly sid: string }).sid;
    await poller.post(`40${JSON.stringify(auth)}`);
    const [connected] = await poller.poll();
    if (connected?.startsWith('40') !== true) throw new Error(`not connected: ${connected}`);
    return poller;
  }

  async request(
    method: string,
    query: string,
    body?: string,
  ): Promise<{ readonly status: number; readonly body: string }> {
    const init =
      body === undefined ? { method } : { method, body, headers: { 'content-type': 'text/plain' } };
    const answer = await fetch(`${this.#server}/socket.io/?EIO=4&transport=polling${query}`, init);
    return { status: answer.status, body: await answer.text() };
  }

  /** One poll: its packets, without pings, which are answered. */
  async poll(): Promise<readonly string[]> {
    const { status, body } = await this.request('GET', `&sid=${this.sid}`);
    if (status !== 200) throw new Error(`${status} ${body}`);
    const packets = body.split('\x1e');
    if (packets.includes('2')) await this.post('3');
    return packets.filter((packet) => packet !== '2');
  }

  async post(...packets: readonly string[]): Promise<void> {
    const { status, body } = await this.request('POST', `&sid=${this.sid}`, packets.join('\x1e'));
    if (status !== 200) throw new Error(`${status} ${body}`);
  }

  /** Sends an event that asks for an acknowledgement; returns how that begins. */
  async emit(...args: readonly unknown[]): Promise<string> {
    this.#acks += 1;
    await this.post(`42${this.#acks}${JSON.stringify(args)}`);
    return `43${this.#acks}`;
  }
}

/** The data of the deliveries among `packets`. */
export function dataOf(packets: readonly string[]): readonly unknown[] {
  return packets
    .filter((packet) => packet.startsWith('42['))
    .map((packet) => (JSON.parse(packet.slice(2)) as readonly unknown[])[1]);
}
