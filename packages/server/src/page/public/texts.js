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
    refusedState: 'refused',
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
    ways: 'Every way in',
    docs: 'Documentation',
    docsOf: ({ name }) => `Documentation of ${name}`,
    pollTab: 'Polling',
    pollAbout: 'A request, and the newest messages as JSON. With a cursor, the messages after it.',
    longpollTab: 'Long polling',
    longpollAbout: 'The same, answered when there is something new.',
    streamTab: 'HTTP streaming',
    streamAbout: 'One response that never ends: a line of JSON for each message.',
    sseTab: 'SSE',
    sseAbout: 'Server-Sent Events, for EventSource in a browser.',
    websocketTab: 'WebSocket',
    websocketAbout: 'One channel; frames in both directions.',
    multiplexTab: 'WebSocket, many',
    multiplexAbout: 'Many channels and filters over one connection: the subprotocol everywire.v1 at /ws.',
    socketioTab: 'Socket.IO',
    socketioAbout: 'For socket.io-client, over WebSocket and HTTP polling, with connection state recovery.',
    stompTab: 'STOMP',
    stompAbout:
      'STOMP 1.0, 1.1 and 1.2, here over WebSocket; over TCP at port 61613, unless configured otherwise.',
    mqttTab: 'MQTT',
    mqttAbout:
      'MQTT 3.1, 3.1.1 and 5, here over WebSocket; over TCP at port 1883, unless configured otherwise.',
    grpcTab: 'gRPC',
    grpcAbout: 'Connect and gRPC-Web at this port; gRPC at port 50051, unless configured otherwise.',
    webhookTab: 'Webhooks',
    webhookAbout: 'The server posts each message to your address, signed, and tries again until it is taken.',
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
    refusedState: '거절됨',
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
    ways: '모든 전송 방식',
    docs: '문서',
    docsOf: ({ name }) => `${name} 문서`,
    pollTab: '폴링',
    pollAbout: '요청 한 번에 최근 메시지를 JSON으로 받습니다. 커서를 주면 그 뒤의 메시지를 받습니다.',
    longpollTab: '롱 폴링',
    longpollAbout: '같은 요청이지만, 새 메시지가 생겼을 때 응답이 옵니다.',
    streamTab: 'HTTP 스트리밍',
    streamAbout: '끝나지 않는 응답 하나로, 메시지마다 JSON 한 줄을 받습니다.',
    sseTab: 'SSE',
    sseAbout: '브라우저의 EventSource로 받는 Server-Sent Events입니다.',
    websocketTab: 'WebSocket',
    websocketAbout: '채널 하나를 양방향 프레임으로 주고받습니다.',
    multiplexTab: 'WebSocket, 여러 채널',
    multiplexAbout: '연결 하나로 여러 채널과 필터를 받습니다. 주소는 /ws, 서브프로토콜은 everywire.v1입니다.',
    socketioTab: 'Socket.IO',
    socketioAbout: 'socket.io-client로 WebSocket과 HTTP 폴링을 쓰며, 연결 상태를 복구합니다.',
    stompTab: 'STOMP',
    stompAbout:
      'STOMP 1.0, 1.1, 1.2. 여기서는 WebSocket으로 연결하고, TCP 포트는 따로 설정하지 않으면 61613입니다.',
    mqttTab: 'MQTT',
    mqttAbout:
      'MQTT 3.1, 3.1.1, 5. 여기서는 WebSocket으로 연결하고, TCP 포트는 따로 설정하지 않으면 1883입니다.',
    grpcTab: 'gRPC',
    grpcAbout: '이 포트에서는 Connect와 gRPC-Web을, 따로 설정하지 않으면 50051 포트에서는 gRPC를 씁니다.',
    webhookTab: '웹훅',
    webhookAbout: '서버가 메시지를 서명해 여러분의 주소로 보내고, 받을 때까지 다시 시도합니다.',
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
