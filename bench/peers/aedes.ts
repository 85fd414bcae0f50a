import net from 'node:net';
import { Aedes } from 'aedes';
import { serveCalls } from '../calls.ts';
import { listen } from './listen.ts';
import type { PortCalls } from './peer-calls.ts';

const broker = await Aedes.createBroker();
const port = listen(net.createServer(broker.handle));

serveCalls<PortCalls>({ port: () => port });
