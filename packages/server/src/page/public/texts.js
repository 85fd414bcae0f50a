/** Everything the page says, in both of its languages. A function where a number or a name comes in between. */
export const texts = {
  en: {
    tagline: 'Publish once; deliver on every wire.',
    lead:
      'Three readers follow the same channel, each over another transport. Publish something, then cut one of them, ' +
      'publish more, and reconnect: it resumes from its cursor.',
    publish: 'Publish',
    channel: 'Channel',
    message: 'Message',
    burst: 'Ten at once',
    firstMessage: 'hello',
    stored: ({ offset, took }) => `Accepted as number ${offset} after ${took}.`,
    storedMany: ({ offset, took }) => `Ten messages accepted, up to number ${offset}, after ${took}.`,
    refused: ({ why }) => `Refused: ${why}`,
    unreachable: 'The server cannot be reached, so it is unknown whether the message was stored.',
    tokenWanted: 'Authentication is on: this page needs a token.',
    token: 'Token',
    useToken: 'Use it',
    howToMint:
      "For development, everywire token makes one: everywire token --sub me --subscribe '**' --publish '**'. It stays in " +
      'the memory of this page; SSE and WebSocket are opened with tickets that it gets for it.',
    received: 'received',
    latency: 'latency',
    missing: 'missing',
    cursor: 'cursor',
    live: 'live',
    connecting: 'connecting',
    cut: 'cut',
    doCut: 'Cut',
    doReconnect: 'Reconnect',
    cutOf: ({ name }) => `Cut ${name}`,
    reconnectOf: ({ name }) => `Reconnect ${name}`,
    messagesOf: ({ name }) => `Messages received over ${name}`,
    caughtUp: 'from the log',
    gap: ({ from, to, reason }) =>
      from === undefined
        ? `Messages are gone (${reason}).`
        : `Numbers ${from} to ${to} are gone (${reason}).`,
    copy: 'Copy',
    copied: 'Copied',
    empty: 'Nothing yet.',
    sse: 'An HTTP response that never ends. Browsers reconnect it by themselves.',
    websocket: 'Frames in both directions over one connection.',
    longpoll: 'Plain requests, answered once there is something new.',
    sseName: 'SSE',
    websocketName: 'WebSocket',
    longpollName: 'Long polling',
    hint:
      'The commands above carry the current cursor. It is the same on every transport: take the one of SSE and continue ' +
      'with it in long polling, or in a shell.',
    openapi: 'OpenAPI',
    metrics: 'Metrics',
    health: 'Health',
    channels: 'Channels',
  },
  ko: {
    tagline: '한 번 발행하면, 모든 연결로 전해집니다.',
    lead:
      '세 수신자가 같은 채널을 각기 다른 방식으로 구독하고 있습니다. 메시지를 발행해 보고, 그중 하나의 연결을 끊은 채 ' +
      '몇 개 더 발행한 다음 다시 연결해 보세요. 마지막 커서에서부터 이어서 받습니다.',
    publish: '발행',
    channel: '채널',
    message: '메시지',
    burst: '열 개 한꺼번에',
    firstMessage: '안녕하세요',
    stored: ({ offset, took }) => `${offset}번 메시지로 접수되었습니다 (${took}).`,
    storedMany: ({ offset, took }) => `열 개가 모두 접수되었습니다. 마지막은 ${offset}번입니다 (${took}).`,
    refused: ({ why }) => `거절되었습니다: ${why}`,
    unreachable: '서버에 연결할 수 없어 메시지가 저장되었는지 알 수 없습니다.',
    tokenWanted: '인증이 켜져 있어 토큰이 필요합니다.',
    token: '토큰',
    useToken: '사용',
    howToMint:
      "개발할 때는 everywire token 명령으로 만들 수 있습니다: everywire token --sub me --subscribe '**' --publish '**'. " +
      '토큰은 이 페이지의 메모리에만 남습니다. SSE와 WebSocket은 그 토큰으로 발급받은 일회용 티켓으로 연결합니다.',
    received: '받음',
    latency: '지연',
    missing: '누락',
    cursor: '커서',
    live: '연결됨',
    connecting: '연결 중',
    cut: '끊김',
    doCut: '끊기',
    doReconnect: '다시 연결',
    cutOf: ({ name }) => `${name} 끊기`,
    reconnectOf: ({ name }) => `${name} 다시 연결`,
    messagesOf: ({ name }) => `받은 메시지: ${name}`,
    caughtUp: '이어받음',
    gap: ({ from, to, reason }) =>
      from === undefined
        ? `남아 있지 않은 메시지가 있습니다 (${reason}).`
        : `${from}번부터 ${to}번까지는 더 이상 남아 있지 않습니다 (${reason}).`,
    copy: '복사',
    copied: '복사됨',
    empty: '아직 받은 메시지가 없습니다.',
    sse: '끝나지 않는 HTTP 응답 하나로 받습니다. 끊기면 브라우저가 스스로 다시 연결합니다.',
    websocket: '연결 하나로 양쪽이 프레임을 주고받습니다.',
    longpoll: '평범한 요청을 보내 두면, 새 메시지가 생겼을 때 응답이 옵니다.',
    sseName: 'SSE',
    websocketName: 'WebSocket',
    longpollName: '롱 폴링',
    hint:
      '위 명령에는 현재 커서가 들어 있습니다. 커서는 어느 방식에서나 똑같이 통하므로, SSE에서 받은 커서를 롱 폴링이나 ' +
      '터미널에서 그대로 이어 쓸 수 있습니다.',
    openapi: 'OpenAPI',
    metrics: '지표',
    health: '상태',
    channels: '채널 목록',
  },
};

const storageKey = 'everywire.language';

/** The language that was chosen before, else the browser's; English where that is neither. */
export function rememberedLanguage() {
  const wanted = readStorage() ?? navigator.language.slice(0, 2);
  return Object.hasOwn(texts, wanted) ? wanted : 'en';
}

export function rememberLanguage(language) {
  try {
    localStorage.setItem(storageKey, language);
  } catch (error) {
    console.warn('The language cannot be remembered:', error);
  }
}

/** Storage may be forbidden, and then it throws. */
function readStorage() {
  try {
    return localStorage.getItem(storageKey) ?? undefined;
  } catch (error) {
    console.warn('The language cannot be looked up:', error);
    return undefined;
  }
}

/** Says `key` in `language`. */
export function say(language, key, values) {
  const text = texts[language][key];
  return typeof text === 'function' ? text(values) : text;
}
