import { estimateBytes, type Message } from '../log/message.ts';
import type { Credit } from '../seams/subscription-api.ts';
import type { GroupMember, Share } from './member.ts';

/** The most members whose room is added up: the log offers no more at once, and keeps the rest. */
const addedUpMax = 128;

const nothing: Share = { messages: [], bytes: 0 };

/** Messages that are set aside for members until delivery. */
export class Shares {
  readonly byMember = new Map<GroupMember, Share>();
  readonly #byCredit = new Map<Credit, number>();

  /** How many more messages, if the next one has so many bytes. */
  roomOf(member: GroupMember, bytes: number): number {
    const { credit } = member;
    const ofCredit = credit === undefined ? 0 : (this.#byCredit.get(credit) ?? 0);
    return member.roomBeside(this.byMember.get(member) ?? nothing, { ofCredit, bytes });
  }

  add(member: GroupMember, message: Message): void {
    const bytes = estimateBytes(message);
    const share = this.byMember.get(member);
    if (share === undefined) {
      this.byMember.set(member, { messages: [message], bytes });
    } else {
      share.messages.push(message);
      share.bytes += bytes;
    }
    const { credit } = member;
    if (credit !== undefined) this.#byCredit.set(credit, (this.#byCredit.get(credit) ?? 0) + 1);
  }
}

/** Members that may have room, in turns. A member without room leaves the turns until it reports room. */
export class RoundRobin {
  readonly #ready: GroupMember[] = [];
  #next = 0;

  isEmpty(): boolean {
    return this.#ready.length === 0;
  }

  enter(member: GroupMember): void {
    if (member.beginTurns()) this.#ready.push(member);
  }

  /** It has no room, or is gone. */
  leave(member: GroupMember): void {
    const at = this.#ready.indexOf(member);
    if (at >= 0) this.#removeAt(at);
  }

  /** It has no room, and waits until it says that it has. */
  park(member: GroupMember): void {
    this.leave(member);
    member.pauseTurns();
  }

  /** At least this many messages can be placed. 0 means that no member takes turns; each reports when it has room. */
  room(): number {
    const none = new Shares();
    let sum = 0;
    for (let at = 0; at < Math.min(this.#ready.length, addedUpMax);) {
      const room = none.roomOf(this.#ready[at]!, 0);
      if (room <= 0) {
        this.#park(at);
        continue;
      }
      sum += room;
      at += 1;
    }
    return sum;
  }

  /** The member whose turn it is to get this message; `last` only if no other has room. */
  choose(message: Message, shares: Shares, last: GroupMember | undefined): GroupMember | undefined {
    const bytes = estimateBytes(message);
    let second: number | undefined;
    for (let step = 0; step < this.#ready.length;) {
      const at = (this.#next + step) % this.#ready.length;
      const member = this.#ready[at]!;
      if (shares.roomOf(member, bytes) <= 0) {
        this.#park(at);
        // Those behind it moved up by one, the wanted one of them too.
        if (second !== undefined && second > at) second -= 1;
        continue;
      }
      step += 1;
      if (!member.mayHave(message)) continue;
      if (member !== last) return this.#take(at);
      second = at;
    }
    return second === undefined ? undefined : this.#take(second);
  }

  #take(at: number): GroupMember {
    this.#next = (at + 1) % this.#ready.length;
    return this.#ready[at]!;
  }

  #park(at: number): void {
    this.#ready[at]!.pauseTurns();
    this.#removeAt(at);
  }

  #removeAt(at: number): void {
    this.#ready.splice(at, 1);
    if (at < this.#next) this.#next -= 1;
    if (this.#next >= this.#ready.length) this.#next = 0;
  }
}
